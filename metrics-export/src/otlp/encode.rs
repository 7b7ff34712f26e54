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
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use metrics_core::{METHODS, Outcome, Registry};

    use super::*;

    fn encoding(temporality: Temporality) -> Encoding {
        Encoding {
            resource: Vec::new(),
            scheme: "http".to_owned(),
            temporality,
            histograms: Histograms::default(),
        }
    }

    fn names(temporality: Temporality, window: &Window) -> Vec<String> {
        let mut request = encoding(temporality).request(window);
        let metrics = request.resource_metrics.remove(0).scope_metrics.remove(0).metrics;
        metrics.into_iter().map(|metric| metric.name).collect()
    }

    #[test]
    fn metrics_without_points_and_unknown_metrics_of_the_process_are_left_out() {
        let registry = Registry::new();
        let recorder = registry.recorder();
        let start = recorder.start_method(0);
        recorder.finish(start, registry.endpoint("GET", "/"), Outcome::Status(200));
        registry.timer("db").unwrap();
        let before = registry.snapshot();
        let after = registry.snapshot();
        let process = Process { threads: Some(4), ..Process::default() };
        let figures = after.difference(&before);
        let window = Window {
            total: Arc::new(after),
            figures,
            errors: Vec::new(),
            errors_missed: 0,
            requests: Vec::new(),
            requests_missed: 0,
            process,
        };
        let common = ["http.server.active_requests", "process.thread.count"];
        assert_eq!(names(Temporality::Delta, &window), common);
        let mut cumulative = names(Temporality::Cumulative, &window);
        cumulative.sort_unstable();
        assert_eq!(
            cumulative,
            [
                "http.server.active_requests",
                "http.server.request.body.size",
                "http.server.request.duration",
                "http.server.response.body.size",
                "process.thread.count"
            ]
        );
    }

    /// All that a registry recorded.
    fn since_the_start(registry: &Registry, process: Process) -> Window {
        let total = Arc::new(registry.snapshot());
        Window {
            figures: total.difference(&Registry::new().snapshot()),
            total,
            errors: Vec::new(),
            errors_missed: 0,
            requests: Vec::new(),
            requests_missed: 0,
            process,
        }
    }

    #[test]
    fn before_the_first_request_nothing_is_sent_without_points() {
        let registry = Registry::new();
        registry.timer("db").unwrap();
        let window = since_the_start(&registry, Process::default());
        for temporality in [Temporality::Cumulative, Temporality::Delta] {
            assert_eq!(names(temporality, &window), [""; 0]);
        }
    }

    #[test]
    fn units_are_those_of_opentelemetry_and_counts_have_annotations() {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/");
        registry.with_recorder(|recorder| {
            recorder.finish(recorder.start_method(0), endpoint, Outcome::Status(200))
        });
        registry.counter("jobs").unwrap().add(1);
        registry.gauge("depth").unwrap().set(0.5);
        registry.timer("db").unwrap().record(Duration::from_millis(1));
        registry.hit_ratio("cache").unwrap().hit();
        registry.unique("users").unwrap().insert("a");
        let process = Process {
            started: Some(SystemTime::UNIX_EPOCH),
            cpu_time: Some(Duration::from_secs(1)),
            resident_bytes: Some(1),
            threads: Some(1),
            open_files: Some(1),
        };
        let window = since_the_start(&registry, process);
        let mut request = encoding(Temporality::Cumulative).request(&window);
        let metrics = request.resource_metrics.remove(0).scope_metrics.remove(0).metrics;
        let mut units: Vec<_> =
            metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
        units.sort_unstable();
        // Those of requests and of the process are OpenTelemetry's conventions. None is `1`: Prometheus would append
        // `_ratio` to the name of a gauge.
        assert_eq!(
            units,
            [
                ("cache", "{call}"),
                ("db", "s"),
                ("depth", ""),
                ("http.server.active_requests", "{request}"),
                ("http.server.request.body.size", "By"),
                ("http.server.request.duration", "s"),
                ("http.server.response.body.size", "By"),
                ("jobs", "{count}"),
                ("process.cpu.time", "s"),
                ("process.memory.usage", "By"),
                ("process.thread.count", "{thread}"),
                ("process.unix.file_descriptor.count", "{file_descriptor}"),
                ("process.uptime", "s"),
                ("users", "{value}"),
            ]
        );
    }

    #[test]
    fn a_metric_has_a_point_for_each_set_of_labels() {
        let registry = Registry::new();
        let jobs = registry.counter("jobs").unwrap();
        jobs.increment();
        jobs.with_labels([("queue", "mail"), ("to", "x \"y\"")]).add(2);
        registry.timer("db").unwrap().with("table", "users").record(Duration::from_millis(3));
        registry.hit_ratio("cache").unwrap().with("name", "users").hit();
        let (encoding, snapshot) = (encoding(Temporality::Delta), registry.snapshot());
        let writer = WindowEncoder { encoding: &encoding, span: TimeSpan::of(&snapshot) };
        let own = snapshot.metrics().chunk_by(|one, other| one.name() == other.name());
        let points = own.map(|series| {
            let metric = writer.own(series);
            let points: Vec<_> = match metric.data.unwrap() {
                Data::Sum(sum) => sum.data_points.into_iter().map(|point| point.attributes).collect(),
                Data::ExponentialHistogram(histogram) => {
                    histogram.data_points.into_iter().map(|point| point.attributes).collect()
                }
                other => panic!("{other:?}"),
            };
            (metric.name, points)
        });
        let expected = [
            (
                "cache".to_owned(),
                ["hit", "miss"].map(|result| vec![text("name", "users"), text("result", result)]).to_vec(),
            ),
            ("db".to_owned(), vec![vec![text("table", "users")]]),
            ("jobs".to_owned(), vec![Vec::new(), vec![text("queue", "mail"), text("to", "x \"y\"")]]),
        ];
        assert_eq!(points.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn active_requests_are_told_apart_by_method() {
        let registry = Registry::new();
        let recorder = registry.recorder();
        let [get, post] =
            ["GET", "POST"].map(|name| METHODS.iter().position(|known| *known == name).unwrap());
        let _under_way = [recorder.start_method(get), recorder.start_method(get)];
        recorder.discard(recorder.start_method(post));
        let encoding = encoding(Temporality::Cumulative);
        let snapshot = registry.snapshot();
        let writer = WindowEncoder { encoding: &encoding, span: TimeSpan::of(&snapshot) };
        let active = || writer.active_requests(TimeSpan::of(&registry.snapshot()), &registry.snapshot());
        let points = |metric: Metric| {
            let Some(Data::Sum(sum)) = metric.data else { panic!("{metric:?}") };
            let shown = sum.data_points.iter().map(|point| (point.attributes.clone(), point.value));
            shown.collect::<Vec<_>>()
        };
        let of = |method, count| {
            (vec![text("http.request.method", method), text("url.scheme", "http")], Some(int(count)))
        };
        assert_eq!(points(active()), [of("GET", 2), of("POST", 0)]);
        // Whoever does not tell the method is there, too.
        let _unknown = recorder.start();
        assert_eq!(points(active())[2], (vec![text("url.scheme", "http")], Some(int(1))));
    }

    #[test]
    fn no_span_ends_before_it_begins() {
        let registry = Registry::new();
        let (early, late) = (registry.snapshot(), registry.snapshot());
        let TimeSpan { start, end } = TimeSpan::of(&early.difference(&late));
        assert!(0 < start && start <= end);
    }
}
