//! The peers, each used as its docs advise.

use std::array::from_fn;
use std::sync::OnceLock;

use ::hdrhistogram::Histogram;
use ::metriken::{AtomicCounterHistogram, Counter, ShardedCounterGroup, ShardedCounterHistogramGroup};
use ::prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::Event;
use crate::arms::each;
use crate::worker::Worker;
use crate::workload::{METHOD, ROUTES, STATUSES};

const ROUTE_COUNT: usize = ROUTES.len();
const SERIES: usize = ROUTE_COUNT * STATUSES.len();

/// Where the count of an event's (route, status) stands.
#[inline(always)]
fn series(event: Event) -> usize {
    event.route() * STATUSES.len() + event.status_index()
}

/// A histogram a route that nobody else can read, with our precision and range, and no counts by status.
struct Plain([Histogram<u64>; ROUTE_COUNT]);

pub(crate) fn hdrhistogram(threads: usize) -> Vec<Box<dyn Worker>> {
    let histogram = || Histogram::new_with_bounds(1, metrics_core::MAX_NANOS, 2).expect("bounds in range");
    each(threads, || Plain(from_fn(|_| histogram())))
}

impl Worker for Plain {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        // Every event is in range; to unwrap would only make it slower.
        let _ = self.0[event.route()].record(event.nanos);
    }
}

/// metriken's plain metrics: statics, as its docs have them. `#[metric]` would register them for readers, which changes
/// nothing for a writer. Our precision and range: 2^7 buckets an octave, up to 2^36 ns.
struct Metriken;

static LATENCIES: [AtomicCounterHistogram; ROUTE_COUNT] =
    [const { AtomicCounterHistogram::new(7, 36) }; ROUTE_COUNT];
static CALLS: [Counter; SERIES] = [const { Counter::new() }; SERIES];

pub(crate) fn metriken(threads: usize) -> Vec<Box<dyn Worker>> {
    each(threads, || Metriken)
}

impl Worker for Metriken {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        CALLS[series(event)].increment();
        let _ = LATENCIES[event.route()].increment(event.nanos);
    }
}

/// metriken's groups for high throughput, sharded by thread.
struct MetrikenSharded;

static SHARDED_LATENCIES: ShardedCounterHistogramGroup =
    ShardedCounterHistogramGroup::new(ROUTE_COUNT, 7, 36);
static SHARDED_CALLS: ShardedCounterGroup = ShardedCounterGroup::new(SERIES);

pub(crate) fn metriken_sharded(threads: usize) -> Vec<Box<dyn Worker>> {
    each(threads, || MetrikenSharded)
}

impl Worker for MetrikenSharded {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        SHARDED_CALLS.increment(series(event));
        let _ = SHARDED_LATENCIES.increment(event.route(), event.nanos);
    }
}

fn prometheus_calls() -> IntCounterVec {
    let opts = Opts::new("http_requests_total", "Requests.");
    IntCounterVec::new(opts, &["method", "route", "status"]).expect("valid names")
}

/// With the default buckets, of which the first takes nearly every event: the shortest search there is.
fn prometheus_latencies() -> HistogramVec {
    let opts = HistogramOpts::new("http_request_duration_seconds", "Latency.");
    HistogramVec::new(opts, &["method", "route"]).expect("valid names")
}

/// Children resolved beforehand. A clone of a child is the same child.
#[derive(Clone)]
struct PrometheusCached {
    calls: [IntCounter; SERIES],
    latencies: [::prometheus::Histogram; ROUTE_COUNT],
}

pub(crate) fn prometheus_cached(threads: usize) -> Vec<Box<dyn Worker>> {
    let (calls, latencies) = (prometheus_calls(), prometheus_latencies());
    let shared = PrometheusCached {
        calls: from_fn(|series| {
            let (route, status) = (series / STATUSES.len(), series % STATUSES.len());
            calls.with_label_values(&[METHOD, ROUTES[route], STATUSES[status].1])
        }),
        latencies: from_fn(|route| latencies.with_label_values(&[METHOD, ROUTES[route]])),
    };
    each(threads, || shared.clone())
}

impl Worker for PrometheusCached {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.calls[series(event)].inc();
        self.latencies[event.route()].observe(event.seconds());
    }
}

/// Children looked up by their labels, each time.
#[derive(Clone)]
struct PrometheusLabels {
    calls: IntCounterVec,
    latencies: HistogramVec,
}

pub(crate) fn prometheus_labels(threads: usize) -> Vec<Box<dyn Worker>> {
    let shared = PrometheusLabels { calls: prometheus_calls(), latencies: prometheus_latencies() };
    each(threads, || shared.clone())
}

impl Worker for PrometheusLabels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = ROUTES[event.route()];
        self.calls.with_label_values(&[METHOD, route, event.status_text()]).inc();
        self.latencies.with_label_values(&[METHOD, route]).observe(event.seconds());
    }
}

/// The `metrics` facade, with its Prometheus exporter behind it.
struct MetricsLabels(&'static PrometheusHandle);

pub(crate) fn metrics_labels(threads: usize) -> Vec<Box<dyn Worker>> {
    static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();
    let exporter = EXPORTER.get_or_init(|| {
        PrometheusBuilder::new().install_recorder().expect("nobody else installs a recorder")
    });
    each(threads, || MetricsLabels(exporter))
}

impl Worker for MetricsLabels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = ROUTES[event.route()];
        let status = event.status_text();
        metrics::counter!("http_requests_total", "method" => METHOD, "route" => route, "status" => status)
            .increment(1);
        metrics::histogram!("http_request_duration_seconds", "method" => METHOD, "route" => route)
            .record(event.seconds());
    }

    /// The exporter keeps every recorded value until this folds it into a summary.
    fn maintain(&mut self) {
        self.0.run_upkeep();
    }
}
