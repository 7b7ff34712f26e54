//! The peers' middlewares, each set up as its docs advise. The bench reads no metrics, neither theirs nor ours.

use std::sync::Once;

use actix_web_prom::{PrometheusMetrics, PrometheusMetricsBuilder};
use opentelemetry::global;
use opentelemetry_instrumentation_actix_web::RequestMetrics;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};

/// Counts all unmatched requests under one label, as its docs advise for public services: otherwise each invented path
/// would be a series.
pub(crate) fn actix_web_prom() -> PrometheusMetrics {
    PrometheusMetricsBuilder::new("bench")
        .endpoint("/metrics")
        .mask_unmatched_patterns("UNKNOWN")
        .build()
        .expect("the names are valid, and the registry is new")
}

/// Uses a meter provider for the whole process. Its reader collects on request and is never asked, which is the
/// cheapest setup.
pub(crate) fn opentelemetry() -> RequestMetrics {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
        global::set_meter_provider(provider);
    });
    RequestMetrics::default()
}
