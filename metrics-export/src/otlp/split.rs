//! Messages that a collector takes: a window's metrics, split between data points.
//!
//! A collector refuses messages that are too large: over gRPC, 4 MiB uncompressed by default. A metric may be in several
//! messages, each with other points of it; a point is never split.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum, Summary,
};
use prost::Message;

/// Tags and lengths of nested messages, of which each takes up to six bytes.
const NESTED: usize = 32;

/// One message.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) request: ExportMetricsServiceRequest,
    /// Data points in it.
    pub(super) points: u64,
}

/// Splits a request with one resource and one scope into messages of at most `limit` bytes. Also returns how many data
/// points are left out, since each is too large by itself.
pub(super) fn split(mut request: ExportMetricsServiceRequest, limit: usize) -> (Vec<Part>, u64) {
    let metrics =
        request.resource_metrics.first_mut().and_then(|resource| resource.scope_metrics.first_mut());
    let Some(scope) = metrics else { return (Vec::new(), 0) };
    let count = |metrics: &[Metric]| metrics.iter().map(|metric| lengths(metric).len() as u64).sum();
    let points = count(&scope.metrics);
    if request.encoded_len() <= limit {
        return (vec![Part { request, points }], 0);
    }
    let Some(mut resource) = request.resource_metrics.pop() else { return (Vec::new(), 0) };
    let Some(mut scope) = resource.scope_metrics.pop() else { return (Vec::new(), 0) };
    let metrics = std::mem::take(&mut scope.metrics);
    let room = limit.saturating_sub(resource.encoded_len() + scope.encoded_len() + 2 * NESTED);
    let (batches, left_out) = batches(metrics, room);
    let part = |metrics: Vec<Metric>| {
        let points = count(&metrics);
        let scope_metrics = vec![ScopeMetrics { metrics, ..scope.clone() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..resource.clone() }];
        Part { request: ExportMetricsServiceRequest { resource_metrics }, points }
    };
    (batches.into_iter().map(part).collect(), left_out)
}

/// Groups metrics into batches of at most `room` bytes, and counts the points that do not even fit into an empty one.
fn batches(metrics: Vec<Metric>, room: usize) -> (Vec<Vec<Metric>>, u64) {
    let (mut batches, mut left_out) = (vec![Vec::new()], 0);
    let mut used = 0;
    for mut metric in metrics {
        let lengths = lengths(&metric);
        let whole = metric.encoded_len() + NESTED;
        let shell = whole.saturating_sub(lengths.iter().sum());
        let mut begin = 0;
        while begin < lengths.len() {
            let mut left = room.saturating_sub(used + shell);
            let fits = |length: &&usize| {
                let rest = left.checked_sub(**length);
                left = rest.unwrap_or(left);
                rest.is_some()
            };
            let count = lengths[begin..].iter().take_while(fits).count();
            if count > 0 {
                used += shell + lengths[begin..begin + count].iter().sum::<usize>();
                batches.last_mut().expect("there is always one").push(take(&mut metric, count));
                begin += count;
            } else if used > 0 {
                batches.push(Vec::new());
                used = 0;
            } else {
                take(&mut metric, 1);
                begin += 1;
                left_out += 1;
            }
        }
    }
    batches.retain(|batch| !batch.is_empty());
    (batches, left_out)
}

/// The bytes of each data point of a metric, with its tag and length.
fn lengths(metric: &Metric) -> Vec<usize> {
    fn of<P: Message>(points: &[P]) -> Vec<usize> {
        points.iter().map(|point| prost::encoding::message::encoded_len(1, point)).collect()
    }
    match &metric.data {
        Some(Data::Gauge(data)) => of(&data.data_points),
        Some(Data::Sum(data)) => of(&data.data_points),
        Some(Data::Histogram(data)) => of(&data.data_points),
        Some(Data::ExponentialHistogram(data)) => of(&data.data_points),
        Some(Data::Summary(data)) => of(&data.data_points),
        None => Vec::new(),
    }
}

/// Takes the first `count` points out of a metric, as a metric with the same name.
fn take(metric: &mut Metric, count: usize) -> Metric {
    fn first<P>(points: &mut Vec<P>, count: usize) -> Vec<P> {
        let rest = points.split_off(count);
        std::mem::replace(points, rest)
    }
    let data = metric.data.as_mut().map(|data| match data {
        Data::Gauge(data) => Data::Gauge(Gauge { data_points: first(&mut data.data_points, count) }),
        Data::Sum(data) => Data::Sum(Sum { data_points: first(&mut data.data_points, count), ..*data }),
        Data::Histogram(data) => {
            Data::Histogram(Histogram { data_points: first(&mut data.data_points, count), ..*data })
        }
        Data::ExponentialHistogram(data) => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: first(&mut data.data_points, count),
            ..*data
        }),
        Data::Summary(data) => Data::Summary(Summary { data_points: first(&mut data.data_points, count) }),
    });
    Metric {
        name: metric.name.clone(),
        description: metric.description.clone(),
        unit: metric.unit.clone(),
        metadata: metric.metadata.clone(),
        data,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::NumberDataPoint;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    use proptest::prelude::*;

    use super::super::attributes::text;
    use super::*;

    /// A sum with a point for each value, with an attribute of this length.
    fn sum(name: &str, values: std::ops::Range<i64>, length: usize) -> Metric {
        let point = |value| NumberDataPoint {
            attributes: vec![text("route", &"x".repeat(length))],
            value: Some(Value::AsInt(value)),
            ..NumberDataPoint::default()
        };
        let data_points = values.map(point).collect();
        let sum = Sum { data_points, aggregation_temporality: 2, is_monotonic: true };
        Metric { name: name.to_owned(), data: Some(Data::Sum(sum)), ..Metric::default() }
    }

    fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        let scope =
            ScopeMetrics { metrics, schema_url: "https://schema".to_owned(), ..ScopeMetrics::default() };
        let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![resource] }
    }

    /// All values by the name of their metric, in order.
    fn values(parts: &[Part]) -> Vec<(String, i64)> {
        let metrics =
            parts.iter().flat_map(|part| &part.request.resource_metrics[0].scope_metrics[0].metrics);
        let points = metrics.flat_map(|metric| {
            let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
            sum.data_points.iter().map(|point| match point.value {
                Some(Value::AsInt(value)) => (metric.name.clone(), value),
                other => panic!("{other:?}"),
            })
        });
        points.collect()
    }

    #[test]
    fn what_fits_is_one_message() {
        let whole = request(vec![sum("a", 0..3, 5), sum("b", 0..1, 5)]);
        let (parts, left_out) = split(whole.clone(), whole.encoded_len());
        assert_eq!((parts.len(), parts[0].points, left_out), (1, 4, 0));
        assert_eq!(parts[0].request, whole);
    }

    #[test]
    fn a_point_that_is_too_large_by_itself_is_left_out_and_counted() {
        let (parts, left_out) =
            split(request(vec![sum("a", 0..2, 5), sum("b", 2..4, 900), sum("c", 4..6, 5)]), 500);
        assert_eq!(left_out, 2);
        let left: Vec<_> = values(&parts).into_iter().map(|(_, value)| value).collect();
        assert_eq!(left, [0, 1, 4, 5]);
        assert_eq!(split(request(vec![sum("a", 0..2, 5)]), 0).1, 2);
    }

    proptest! {
        #[test]
        fn each_point_is_in_exactly_one_message_and_no_message_is_too_large(
            sizes in prop::collection::vec((0_i64..40, 0_usize..60), 1..12),
            limit in 300_usize..3_000,
        ) {
            let metrics = sizes.iter().enumerate();
            let metrics: Vec<_> =
                metrics.map(|(at, &(points, length))| sum(&format!("m{at}"), 0..points, length)).collect();
            let whole = request(metrics);
            let (expected, _) = split(whole.clone(), usize::MAX);
            let (parts, left_out) = split(whole, limit);
            prop_assert_eq!(left_out, 0);
            prop_assert_eq!(values(&parts), values(&expected));
            for part in &parts {
                prop_assert!(part.request.encoded_len() <= limit, "{} > {}", part.request.encoded_len(), limit);
                prop_assert_eq!(part.points as usize, values(std::slice::from_ref(part)).len());
            }
        }
    }
}
