//! A window as OpenTelemetry's metrics.

use metrics_core::{EndpointSnapshot, GroupSnapshot, MetricKind, MetricReading, MetricSnapshot, Snapshot};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::attributes::{self, nanos, text};
use super::exemplars::Exemplars;
use super::histogram::{Histograms, explicit, exponential};
use super::temporality::Temporality;
use crate::push::{Process, Window};

/// The schema of the conventions for names and attributes.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";

/// How windows are encoded.
#[derive(Debug, Clone)]
pub(super) struct Encoding {
    pub(super) resource: Vec<KeyValue>,
    pub(super) scheme: String,
    pub(super) temporality: Temporality,
    pub(super) histograms: Histograms,
}

impl Encoding {
    /// Encodes all metrics of a window.
    pub(super) fn request(&self, window: &Window) -> ExportMetricsServiceRequest {
        let figures = if self.temporality.is_delta() { &window.figures } else { &window.total };
        let writer = WindowEncoder { encoding: self, span: TimeSpan::of(figures) };
        let total = TimeSpan::of(&window.total);
        let mut metrics = vec![
            writer.durations(figures, &Exemplars::of(&window.figures)),
            writer.active_requests(total, &window.total),
            writer.sizes(figures, &REQUEST_SIZE, GroupSnapshot::request_bytes),
            writer.sizes(figures, &RESPONSE_SIZE, GroupSnapshot::response_bytes),
        ];
        let own =
            figures.metrics().chunk_by(|one, other| (one.name(), one.kind()) == (other.name(), other.kind()));
        metrics.extend(own.map(|series| writer.own(series)));
        metrics.extend(process(&window.process, total));
        metrics.retain(has_points);
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let resource = Resource { attributes: self.resource.clone(), ..Resource::default() };
        let scope_metrics =
            vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: SCHEMA_URL.to_owned() }];
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource),
                scope_metrics,
                schema_url: SCHEMA_URL.to_owned(),
            }],
        }
    }
}

/// Beginning and end, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct TimeSpan {
    start: u64,
    end: u64,
}

impl TimeSpan {
    fn of(figures: &Snapshot) -> Self {
        let end = nanos(figures.taken());
        // The wall clock may have been set back.
        Self { start: nanos(figures.since()).min(end), end }
    }
}

/// A metric without its points.
struct Descriptor {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
}

const DURATION: Descriptor = Descriptor {
    name: "http.server.request.duration",
    unit: "s",
    description: "Duration of HTTP server requests.",
};
const ACTIVE: Descriptor = Descriptor {
    name: "http.server.active_requests",
    unit: "{request}",
    description: "Number of active HTTP server requests.",
};
const REQUEST_SIZE: Descriptor = Descriptor {
    name: "http.server.request.body.size",
    unit: "By",
    description: "Size of HTTP server request bodies.",
};
const RESPONSE_SIZE: Descriptor = Descriptor {
    name: "http.server.response.body.size",
    unit: "By",
    description: "Size of HTTP server response bodies.",
};

impl Descriptor {
    fn with(&self, data: Data) -> Metric {
        Metric {
            name: self.name.to_owned(),
            unit: self.unit.to_owned(),
            description: self.description.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }
}

/// The data of one point of a histogram.
#[derive(Default)]
struct Series<'a> {
    attributes: Vec<KeyValue>,
    groups: Vec<&'a GroupSnapshot>,
    exemplars: Vec<Exemplar>,
}

struct WindowEncoder<'a> {
    encoding: &'a Encoding,
    span: TimeSpan,
}

impl WindowEncoder<'_> {
    fn temporality(&self) -> i32 {
        let temporality = if self.encoding.temporality.is_delta() {
            AggregationTemporality::Delta
        } else {
            AggregationTemporality::Cumulative
        };
        temporality.into()
    }

    fn durations(&self, figures: &Snapshot, exemplars: &Exemplars<'_>) -> Metric {
        let series = figures.endpoints().flat_map(|endpoint| {
            endpoint.groups().map(move |group| Series {
                attributes: self.request_attributes(endpoint, group),
                groups: vec![group],
                exemplars: exemplars.of_series(endpoint, group),
            })
        });
        DURATION.with(self.histogram(series))
    }

    fn request_attributes(&self, endpoint: &EndpointSnapshot, group: &GroupSnapshot) -> Vec<KeyValue> {
        attributes::request(&self.encoding.scheme, endpoint.name(), group.group())
    }

    /// A histogram of durations, with one point per series.
    fn histogram<'s>(&self, series: impl Iterator<Item = Series<'s>>) -> Data {
        let (start_time_unix_nano, time_unix_nano) = (self.span.start, self.span.end);
        let aggregation_temporality = self.temporality();
        match &self.encoding.histograms {
            Histograms::Exponential { max_buckets } => {
                let point = |Series { attributes, groups, exemplars }| ExponentialHistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    exemplars,
                    ..exponential(&groups, *max_buckets)
                };
                let data_points = series.map(point).collect();
                Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
            }
            Histograms::Explicit { bounds } => {
                let point = |Series { attributes, groups, exemplars }| HistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    exemplars,
                    ..explicit(&groups, bounds)
                };
                let data_points = series.map(point).collect();
                Data::Histogram(Histogram { data_points, aggregation_temporality })
            }
        }
    }

    /// Requests in flight by method; cumulative with any temporality.
    fn active_requests(&self, span: TimeSpan, figures: &Snapshot) -> Metric {
        let points = figures.in_flight_by_method().map(|(method, count)| {
            let method = method.map(|method| text("http.request.method", method));
            let attributes = method.into_iter().chain([text("url.scheme", &self.encoding.scheme)]).collect();
            number(span, attributes, int(count))
        });
        ACTIVE.with(up_down(points.collect()))
    }

    /// Sizes of bodies: count and sum, in a histogram of one bucket.
    fn sizes(&self, figures: &Snapshot, name: &Descriptor, bytes: fn(&GroupSnapshot) -> u64) -> Metric {
        let points = figures.endpoints().flat_map(|endpoint| {
            endpoint.groups().map(move |group| HistogramDataPoint {
                attributes: self.request_attributes(endpoint, group),
                start_time_unix_nano: self.span.start,
                time_unix_nano: self.span.end,
                count: group.calls(),
                sum: Some(bytes(group) as f64),
                bucket_counts: vec![group.calls()],
                ..HistogramDataPoint::default()
            })
        });
        let data_points = points.collect();
        name.with(Data::Histogram(Histogram { data_points, aggregation_temporality: self.temporality() }))
    }

    /// One of the application's own metrics, with points for each of its series.
    fn own(&self, series: &[MetricSnapshot]) -> Metric {
        let sum = |data_points| {
            let aggregation_temporality = self.temporality();
            Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
        };
        // An attribute of ours that tells points apart, if there is one, comes last.
        let point = |series: &MetricSnapshot, more: Option<(&str, &str)>, value| {
            number(self.span, attributes::of_labels(series.labels(), more), value)
        };
        let (mut points, mut times, mut gauges) = (Vec::new(), Vec::new(), Vec::new());
        for series in series {
            match series.reading() {
                MetricReading::Counter(count) => points.push(point(series, None, int(count))),
                MetricReading::Gauge(value) => gauges.push(point(series, None, Value::AsDouble(value))),
                MetricReading::Timer(group) => times.extend(group.map(|group| Series {
                    attributes: attributes::of_labels(series.labels(), None),
                    groups: vec![group],
                    ..Series::default()
                })),
                MetricReading::HitRatio { hits, misses } => {
                    points.push(point(series, Some(("result", "hit")), int(hits)));
                    points.push(point(series, Some(("result", "miss")), int(misses)));
                }
                MetricReading::UniqueCount { today, yesterday } => {
                    gauges.push(point(series, Some(("day", "today")), int(today)));
                    gauges.push(point(series, Some(("day", "yesterday")), int(yesterday)));
                }
            }
        }
        // Annotations: with `1`, Prometheus would take a gauge for a ratio, and append `_ratio` to its name.
        let (unit, data) = match series[0].kind() {
            MetricKind::Counter => ("{count}", sum(points)),
            // Its unit is not known.
            MetricKind::Gauge => ("", Data::Gauge(Gauge { data_points: gauges })),
            MetricKind::Timer => ("s", self.histogram(times.into_iter())),
            MetricKind::HitRatio => ("{call}", sum(points)),
            MetricKind::UniqueCount => ("{value}", Data::Gauge(Gauge { data_points: gauges })),
        };
        Metric {
            name: series[0].name().to_owned(),
            unit: unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }
}

/// What the process uses; cumulative with any temporality.
fn process(process: &Process, total: TimeSpan) -> Vec<Metric> {
    let span = TimeSpan { start: process.started.map_or(total.start, nanos).min(total.end), ..total };
    let metric = |name, unit, description, data| Descriptor { name, unit, description }.with(data);
    let level = |value| up_down(vec![number(span, Vec::new(), int(value))]);
    let cpu_time = process.cpu_time.map(|time| {
        let data = Data::Sum(Sum {
            data_points: vec![number(span, Vec::new(), Value::AsDouble(time.as_secs_f64()))],
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        });
        metric("process.cpu.time", "s", "Total CPU seconds.", data)
    });
    let memory = process.resident_bytes.map(|bytes| {
        metric("process.memory.usage", "By", "The amount of physical memory in use.", level(bytes))
    });
    let threads = process
        .threads
        .map(|threads| metric("process.thread.count", "{thread}", "Process threads count.", level(threads)));
    let files = process.open_files.map(|files| {
        let description = "Number of unix file descriptors in use by the process.";
        metric("process.unix.file_descriptor.count", "{file_descriptor}", description, level(files))
    });
    let uptime = process.started.map(|_| {
        let seconds = (span.end - span.start) as f64 / 1e9;
        let data_points = vec![number(span, Vec::new(), Value::AsDouble(seconds))];
        metric(
            "process.uptime",
            "s",
            "The time the process has been running.",
            Data::Gauge(Gauge { data_points }),
        )
    });
    [cpu_time, memory, threads, files, uptime].into_iter().flatten().collect()
}

/// Whether a metric has points. Some receivers refuse metrics without any.
fn has_points(metric: &Metric) -> bool {
    match &metric.data {
        Some(Data::Histogram(histogram)) => !histogram.data_points.is_empty(),
        Some(Data::ExponentialHistogram(histogram)) => !histogram.data_points.is_empty(),
        Some(Data::Sum(sum)) => !sum.data_points.is_empty(),
        Some(Data::Gauge(gauge)) => !gauge.data_points.is_empty(),
        // Summaries are not sent.
        Some(Data::Summary(_)) | None => false,
    }
}

fn up_down(data_points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum {
        data_points,
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
        is_monotonic: false,
    })
}

fn number(span: TimeSpan, attributes: Vec<KeyValue>, value: Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: span.start,
        time_unix_nano: span.end,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn int(count: u64) -> Value {
    Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
