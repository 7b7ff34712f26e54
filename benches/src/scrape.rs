//! Scrapes: each arm exposes the same requests, as its docs advise.
//!
//! Each route has three statuses, each with a counter and a histogram with the same 18 bounds. Between two scrapes,
//! each series gets a record, or one in twenty does. Ours writes five more families per route and merges a shard first;
//! the peers write from what they keep. Each arm reuses its last buffer, if it can.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use metrics_core::{EndpointId, Recorder, Registry};
use metrics_export::prometheus::{DEFAULT_DURATION_BOUNDS, Exposition, Format, Resources, Scraper};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, TextEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::figures::{Comparison, OURS, Quantity, Reference, Required, Requirement};
use crate::measure::{Measured, Setting, turns};
use crate::unit::Unit;
use crate::workload::{METHOD, STATUSES};

/// The routes of a small, a middle-sized and a large service, and of one with 10,000 series.
const ROUTES: [usize; 4] = [10, MIDDLE, 1_000, LARGEST];
const MIDDLE: usize = 200;
const LARGEST: usize = 3_334;

/// One in so many series changes between two scrapes.
const CHANGED: [usize; 2] = [1, 20];

/// Scrapes before the measured ones, until buffers are large enough.
const WARM_UP: usize = 4;

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
    /// Bytes of what it keeps for the next scrape; 0 if it does not tell.
    fn kept(&self) -> usize {
        0
    }
}

/// An exposition to measure.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// Its name.
    pub name: &'static str,
    make: fn(usize) -> Box<dyn Exposed>,
}

impl Arm {
    /// Makes it, with requests of every series of this number of routes, and scrapes it a few times. Between two scrapes
    /// one in `changed` series changes.
    pub fn make(&self, routes: usize, changed: usize) -> Scraped {
        let mut scraped = Scraped { exposed: (self.make)(routes), routes, changed };
        (0..REQUESTS).for_each(|turn| touch(&*scraped.exposed, routes, 1, turn));
        for turn in 0..WARM_UP {
            scraped.time(turn);
        }
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
    changed: usize,
}

impl Scraped {
    /// Records one request of each series that changes, and times a scrape. Also returns its bytes.
    pub fn time(&mut self, turn: usize) -> (Duration, usize) {
        touch(&*self.exposed, self.routes, self.changed, turn);
        let begun = Instant::now();
        let bytes = black_box(self.scrape());
        (begun.elapsed(), bytes)
    }

    /// Scrapes. In a function of its own, in which valgrind counts.
    #[inline(never)]
    fn scrape(&mut self) -> usize {
        self.exposed.scrape()
    }
}

/// What scrapes took.
#[derive(Debug, Default)]
pub struct Scrapes {
    /// Their times.
    pub times: Vec<Measured>,
    /// The bytes of what they wrote.
    pub bytes: Vec<Measured>,
    /// The bytes of what ours keeps for the next scrape.
    pub kept: Vec<Measured>,
}

/// Measures each arm with services of each size.
pub fn measure(rounds: usize) -> Scrapes {
    measure_sizes(&ROUTES, rounds)
}

fn measure_sizes(sizes: &[usize], rounds: usize) -> Scrapes {
    let mut all = Scrapes::default();
    for &routes in sizes {
        let lanes_of = || CHANGED.into_iter().flat_map(|changed| ARMS.iter().map(move |arm| (arm, changed)));
        let mut scraped: Vec<_> = lanes_of().map(|(arm, changed)| arm.make(routes, changed)).collect();
        let lanes =
            || lanes_of().map(|(arm, changed)| Measured::new(arm.name, Setting::Scrapes { routes, changed }));
        let (mut times, mut bytes, mut kept) =
            (Vec::from_iter(lanes()), Vec::from_iter(lanes()), Vec::from_iter(lanes()));
        let arms = scraped.len();
        for (turn, lane) in turns(arms, rounds).enumerate() {
            let (time, length) = scraped[lane].time(WARM_UP + turn / arms);
            times[lane].rounds.push(Some(time.as_nanos() as f64));
            bytes[lane].rounds.push(Some(length as f64));
            kept[lane].rounds.push(Some(scraped[lane].exposed.kept() as f64));
        }
        all.times.extend(times);
        all.bytes.extend(bytes.into_iter().take(ARMS.len()));
        all.kept.extend(kept.into_iter().filter(|lane| lane.arm.starts_with(OURS)));
    }
    all
}

const fn setting(routes: usize, changed: usize) -> Setting {
    Setting::Scrapes { routes, changed }
}

/// Compares each arm's time with ours, which must be the fastest by far.
pub fn comparison() -> Comparison {
    let all = setting(MIDDLE, 1);
    let peer = |peer: &'static str| Requirement {
        what: format!("a scrape of {peer}, of 200 routes by three statuses"),
        of: Quantity::Ratio { over: (peer, all), under: (OURS, all) },
        required: Required::AtLeast(5.0),
    };
    let few = Requirement {
        what: "a scrape of 200 routes by three statuses, all changed, against one in twenty".to_owned(),
        of: Quantity::Ratio { over: (OURS, all), under: (OURS, setting(MIDDLE, 20)) },
        required: Required::AtLeast(3.0),
    };
    let largest = Requirement {
        what: "a scrape of 10,000 series by route and status".to_owned(),
        of: Quantity::Absolute((OURS, setting(LARGEST, 1)), Unit::MILLIS),
        required: Required::AtMost(25.0),
    };
    Comparison {
        kind: "scrapes",
        unit: Unit::MICROS,
        per: "a scrape",
        over_bare: false,
        reference: Some(Reference::Ours),
        requirements: PEERS.map(peer).into_iter().chain([few, largest]).collect(),
    }
}

/// Compares what is kept for the next scrape.
pub fn kept_comparison() -> Comparison {
    let kept = |routes: usize| Requirement {
        what: format!("kept for the next scrape of {routes} routes by three statuses"),
        of: Quantity::Absolute((OURS, setting(routes, 1)), Unit::MIB),
        required: Required::AtMost(4.0),
    };
    Comparison {
        kind: "kept by scrapes",
        unit: Unit::KIB,
        per: "between scrapes",
        over_bare: false,
        reference: None,
        requirements: ROUTES.map(kept).into(),
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

/// Records one request of one in `changed` series, which are others in each turn.
fn touch(exposed: &dyn Exposed, routes: usize, changed: usize, turn: usize) {
    for route in 0..routes {
        for status in 0..STATUSES.len() {
            if !(route * STATUSES.len() + status + turn).is_multiple_of(changed) {
                continue;
            }
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
    scraper: Scraper,
    spare: Vec<u8>,
}

impl Ours {
    fn boxed(routes: usize, format: Format) -> Box<dyn Exposed> {
        let registry = Registry::builder().max_series(LARGEST).build().expect("the number is in range");
        Box::new(Self {
            recorder: registry.recorder(),
            endpoints: (0..routes).map(|number| registry.endpoint(METHOD, &route(number))).collect(),
            registry,
            scraper: Scraper::new(Exposition::new(), format),
            spare: Vec::new(),
        })
    }
}

impl Exposed for Ours {
    fn record(&self, route: usize, status: usize, nanos: u64) {
        self.recorder.record_nanos(self.endpoints[route], STATUSES[status].0, nanos);
    }

    fn scrape(&mut self) -> usize {
        let snapshot = self.registry.snapshot();
        let kept = self.scraper.render(&snapshot, &Resources::default(), &[], &mut self.spare);
        kept.map_or(self.spare.len(), <[u8]>::len)
    }

    fn kept(&self) -> usize {
        self.scraper.kept_bytes()
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
            for changed in CHANGED {
                let mut scraped = arm.make(routes, changed);
                // A counter and a histogram with 18 bounds take more than 100 bytes, in any format.
                let enough = routes * STATUSES.len() * 100;
                assert!(scraped.exposed.scrape() > enough, "{}", arm.name);
                assert!(scraped.time(0).1 > enough, "{}", arm.name);
            }
        }
    }

    #[test]
    fn every_size_is_measured_and_every_figure_finds_its_arms() {
        // Of fewer routes, since these are slow without optimisation.
        let Scrapes { times, bytes, kept } = measure_sizes(&[2], 1);
        assert_eq!((times.len(), bytes.len()), (CHANGED.len() * ARMS.len(), ARMS.len()));
        assert!(times.iter().chain(&bytes).chain(&kept).all(|lane| lane.median() > 0.0));
        let as_if_of = |lanes: &[Measured], routes: usize| -> Vec<Measured> {
            let with = |lane: &Measured| match lane.setting {
                Setting::Scrapes { changed, .. } => {
                    Measured { setting: setting(routes, changed), ..lane.clone() }
                }
                _ => lane.clone(),
            };
            lanes.iter().map(with).collect()
        };
        let of_all =
            |lanes: &[Measured]| Vec::from_iter(ROUTES.iter().flat_map(|&routes| as_if_of(lanes, routes)));
        assert_eq!(comparison().figures(&of_all(&times)).len(), PEERS.len() + 2);
        assert_eq!(kept_comparison().figures(&of_all(&kept)).len(), ROUTES.len());
    }
}
