//! Scrapes: each arm exposes the same requests, as its docs advise.
//!
//! Each route has three statuses, each with a counter and a histogram with the same 18 bounds; each series gets a
//! record between two scrapes. Ours writes five more families per route and merges a shard first; the peers write from
//! what they keep. Each arm reuses its last buffer, if it can.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use metrics_core::{EndpointId, Recorder, Registry};
use metrics_export::prometheus::{DEFAULT_DURATION_BOUNDS, Exposition, Format};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, TextEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::figures::{Comparison, OURS, Quantity, Reference, Required, Requirement};
use crate::measure::{Measured, Setting, turns};
use crate::size::Size;
use crate::unit::Unit;
use crate::workload::{METHOD, STATUSES};

/// A small, a middle-sized and a large service.
const SIZES: [Size; 3] = [Size::of(10, 1), MIDDLE, Size::of(1_000, 1)];
const MIDDLE: Size = Size::of(200, 1);

/// Requests per series before the first scrape.
const REQUESTS: usize = 20;

const CALLS: &str = "http_requests_total";
const DURATIONS: &str = "http_request_duration_seconds";
const HELP: &str = "Requests, by method, route and status.";
const LABELS: [&str; 3] = ["method", "route", "status"];

/// Something that can be scraped.
pub trait Exposed: fmt::Debug {
    /// Records a request. `route` is below the number of routes.
    fn record(&self, route: usize, status: usize, nanos: u64);
    /// Writes the exposition and returns its length in bytes.
    fn scrape(&mut self) -> usize;
}

/// An exposition to measure.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// Its name.
    pub name: &'static str,
    make: fn(usize) -> Box<dyn Exposed>,
}

impl Arm {
    /// Makes it, with requests of every series of this number of routes.
    pub fn make(&self, routes: usize) -> Scraped {
        let scraped = Scraped { exposed: (self.make)(routes), routes };
        (0..REQUESTS).for_each(|turn| scraped.touch(turn));
        scraped
    }
}

/// All arms.
pub const ARMS: &[Arm] = &[
    Arm { name: OURS, make: |routes| Ours::boxed(routes, Format::Text) },
    Arm { name: "ours, OpenMetrics", make: |routes| Ours::boxed(routes, Format::OpenMetrics) },
    Arm {
        name: "ours, protobuf with native histograms",
        make: |routes| Ours::boxed(routes, Format::Protobuf),
    },
    Arm { name: PEERS[0], make: |routes| Box::new(TikvPrometheus::new(routes)) },
    Arm { name: PEERS[1], make: |_| Box::new(PrometheusClient::new()) },
    Arm { name: PEERS[2], make: |_| Box::new(MetricsExporter::new()) },
];

const PEERS: [&str; 3] = ["prometheus", "prometheus-client", "metrics-exporter-prometheus"];

/// An exposition that has requests.
#[derive(Debug)]
pub struct Scraped {
    exposed: Box<dyn Exposed>,
    routes: usize,
}

impl Scraped {
    /// Records one request of every series, so that all have changed, and times a scrape. Also returns its bytes.
    pub fn time(&mut self, turn: usize) -> (Duration, usize) {
        self.touch(turn);
        let begun = Instant::now();
        let bytes = black_box(self.exposed.scrape());
        (begun.elapsed(), bytes)
    }

    fn touch(&self, turn: usize) {
        touch(&*self.exposed, self.routes, turn);
    }
}

/// Measures each arm with services of each size: the times of scrapes and their bytes.
pub fn measure(rounds: usize) -> (Vec<Measured>, Vec<Measured>) {
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for size in SIZES {
        let mut scraped: Vec<_> = ARMS.iter().map(|arm| arm.make(size.endpoints)).collect();
        let lanes = || ARMS.iter().map(|arm| Measured::new(arm.name, Setting::Service(size)));
        let first = times.len();
        times.extend(lanes());
        bytes.extend(lanes());
        for (turn, lane) in turns(ARMS.len(), rounds).enumerate() {
            let (time, length) = scraped[lane].time(turn / ARMS.len());
            times[first + lane].rounds.push(Some(time.as_nanos() as f64));
            bytes[first + lane].rounds.push(Some(length as f64));
        }
    }
    (times, bytes)
}

/// Compares each arm's time with ours, which must be the fastest by far.
pub fn comparison() -> Comparison {
    let requirement = |peer: &'static str| Requirement {
        what: format!("a scrape of {peer}, of 200 routes by three statuses"),
        of: Quantity::Ratio {
            over: (peer, Setting::Service(MIDDLE)),
            under: (OURS, Setting::Service(MIDDLE)),
        },
        required: Required::AtLeast(5.0),
    };
    Comparison {
        kind: "scrapes",
        unit: Unit::MICROS,
        per: "a scrape",
        over_bare: false,
        reference: Some(Reference::Ours),
        requirements: PEERS.map(requirement).into(),
    }
}

/// Compares the bytes of scrapes.
pub fn bytes_comparison() -> Comparison {
    Comparison {
        kind: "bytes of scrapes",
        unit: Unit::KIB,
        per: "a scrape",
        over_bare: false,
        reference: Some(Reference::Ours),
        requirements: Vec::new(),
    }
}

/// Records one request of every series.
fn touch(exposed: &dyn Exposed, routes: usize, turn: usize) {
    for route in 0..routes {
        for status in 0..STATUSES.len() {
            // Ten octaves from 10 µs up, so that most bounds have values below them.
            let nanos = 10_000 << ((turn + route + status) % 10);
            exposed.record(route, status, nanos + (turn as u64 % 7) * 1_000);
        }
    }
}

fn route(number: usize) -> String {
    format!("/api/v1/resources/{number}/items/{{id}}")
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[derive(Debug)]
struct Ours {
    registry: Registry,
    recorder: Recorder,
    endpoints: Vec<EndpointId>,
    exposition: Exposition,
    format: Format,
    buffer: Vec<u8>,
}

impl Ours {
    fn boxed(routes: usize, format: Format) -> Box<dyn Exposed> {
        let registry = Registry::new();
        Box::new(Self {
            recorder: registry.recorder(),
            endpoints: (0..routes).map(|number| registry.endpoint(METHOD, &route(number))).collect(),
            registry,
            exposition: Exposition::new(),
            format,
            buffer: Vec::new(),
        })
    }
}

impl Exposed for Ours {
    fn record(&self, route: usize, status: usize, nanos: u64) {
        self.recorder.record_nanos(self.endpoints[route], STATUSES[status].0, nanos);
    }

    fn scrape(&mut self) -> usize {
        self.exposition.render(&self.registry.snapshot(), self.format, &mut self.buffer);
        self.buffer.len()
    }
}

/// The `prometheus` crate: gathers, then encodes.
#[derive(Debug)]
struct TikvPrometheus {
    registry: prometheus::Registry,
    calls: IntCounterVec,
    durations: HistogramVec,
    routes: Vec<String>,
    buffer: String,
}

impl TikvPrometheus {
    fn new(routes: usize) -> Self {
        let registry = prometheus::Registry::new();
        let calls = IntCounterVec::new(Opts::new(CALLS, HELP), &LABELS).expect("valid names");
        let opts = HistogramOpts::new(DURATIONS, HELP).buckets(DEFAULT_DURATION_BOUNDS.to_vec());
        let durations = HistogramVec::new(opts, &LABELS).expect("valid names");
        registry.register(Box::new(calls.clone())).expect("registered once");
        registry.register(Box::new(durations.clone())).expect("registered once");
        Self { registry, calls, durations, routes: (0..routes).map(route).collect(), buffer: String::new() }
    }
}

impl Exposed for TikvPrometheus {
    fn record(&self, route: usize, status: usize, nanos: u64) {
        let labels = [METHOD, &self.routes[route], STATUSES[status].1];
        self.calls.with_label_values(&labels).inc();
        self.durations.with_label_values(&labels).observe(seconds(nanos));
    }

    fn scrape(&mut self) -> usize {
        self.buffer.clear();
        let families = self.registry.gather();
        TextEncoder::new().encode_utf8(&families, &mut self.buffer).expect("the families are whole");
        self.buffer.len()
    }
}

type Labels = Vec<(&'static str, String)>;

/// The `prometheus-client` crate: OpenMetrics.
#[derive(Debug)]
struct PrometheusClient {
    registry: prometheus_client::registry::Registry,
    calls: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    buffer: String,
}

impl PrometheusClient {
    fn new() -> Self {
        let mut registry = prometheus_client::registry::Registry::default();
        let calls = Family::default();
        let histogram: fn() -> Histogram = || Histogram::new(DEFAULT_DURATION_BOUNDS);
        let durations = Family::new_with_constructor(histogram);
        registry.register("http_requests", HELP, Family::clone(&calls));
        registry.register(DURATIONS, HELP, durations.clone());
        Self { registry, calls, durations, buffer: String::new() }
    }
}

impl Exposed for PrometheusClient {
    fn record(&self, number: usize, status: usize, nanos: u64) {
        let values = [METHOD.to_owned(), route(number), STATUSES[status].1.to_owned()];
        let labels: Labels = LABELS.into_iter().zip(values).collect();
        self.calls.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(seconds(nanos));
    }

    fn scrape(&mut self) -> usize {
        self.buffer.clear();
        prometheus_client::encoding::text::encode(&mut self.buffer, &self.registry)
            .expect("a String takes any text");
        self.buffer.len()
    }
}

/// The `metrics` facade's exporter.
struct MetricsExporter {
    recorder: PrometheusRecorder,
}

impl fmt::Debug for MetricsExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsExporter").finish_non_exhaustive()
    }
}

impl MetricsExporter {
    fn new() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&DEFAULT_DURATION_BOUNDS);
        Self { recorder: builder.expect("there are bounds").build_recorder() }
    }
}

impl Exposed for MetricsExporter {
    fn record(&self, number: usize, status: usize, nanos: u64) {
        let (route, status) = (route(number), STATUSES[status].1);
        metrics::with_local_recorder(&self.recorder, || {
            metrics::counter!(CALLS, "method" => METHOD, "route" => route.clone(), "status" => status)
                .increment(1);
            metrics::histogram!(DURATIONS, "method" => METHOD, "route" => route, "status" => status)
                .record(seconds(nanos));
        });
    }

    fn scrape(&mut self) -> usize {
        self.recorder.handle().render().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_exposes_every_series() {
        let routes = 10;
        for arm in ARMS {
            let mut scraped = arm.make(routes);
            // A counter and a histogram with 18 bounds take more than 100 bytes, in any format.
            let enough = routes * STATUSES.len() * 100;
            assert!(scraped.exposed.scrape() > enough, "{}", arm.name);
            assert!(scraped.time(0).1 > enough, "{}", arm.name);
        }
    }

    #[test]
    fn every_size_is_measured_and_every_figure_finds_its_arms() {
        let (times, bytes) = measure(1);
        assert_eq!((times.len(), bytes.len()), (SIZES.len() * ARMS.len(), SIZES.len() * ARMS.len()));
        assert!(times.iter().chain(&bytes).all(|lane| lane.median() > 0.0));
        assert_eq!(comparison().figures(&times).len(), PEERS.len());
    }
}
