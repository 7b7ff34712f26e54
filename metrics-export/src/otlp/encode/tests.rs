//! What an encoded window has, and what it leaves out.

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
    registry
        .with_recorder(|recorder| recorder.finish(recorder.start_method(0), endpoint, Outcome::Status(200)));
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
    let [get, post] = ["GET", "POST"].map(|name| METHODS.iter().position(|known| *known == name).unwrap());
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
