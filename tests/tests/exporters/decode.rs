//! Decodes what arrives.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;

/// The metrics of an OTLP window.
pub(crate) fn metrics(body: &[u8]) -> impl Iterator<Item = Metric> {
    let request = ExportMetricsServiceRequest::decode(body).expect("it is a request of OTLP");
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics)
}

/// Counts the requests in the durations of an OTLP window.
pub(crate) fn requests(body: &[u8]) -> u64 {
    let durations = metrics(body).filter(|metric| metric.name == "http.server.request.duration");
    let counts = durations.flat_map(|metric| match metric.data {
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points,
        other => panic!("{other:?}"),
    });
    counts.map(|point| point.count).sum()
}
