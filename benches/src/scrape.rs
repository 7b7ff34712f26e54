//! Scrapes: the same requests, exposed by each arm as its docs advise.
//!
//! 100 routes by three statuses, each a counter and a histogram with the same 18 bounds; between two scrapes every one of
//! them is recorded to. Ours has five families more by route, and reads the shards before it writes; the peers keep what they
//! write from.

use std::fmt;

use metrics_core::{EndpointId, Recorder, Registry};
use metrics_export::prometheus::{DEFAULT_DURATION_BOUNDS, Exposition, Format};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, TextEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::workload::{METHOD, STATUSES};

/// As many as a middle-sized service has.
const ROUTES: usize = 100;

/// Requests of each series before the first scrape.
const REQUESTS: usize = 100;

const CALLS: &str = "http_requests_total";
const DURATIONS: &str = "http_request_duration_seconds";
const HELP: &str = "Requests, by method, route and status.";
const LABELS: [&str; 3] = ["method", "route", "status"];

/// Something that can be scraped.
pub trait Exposed: fmt::Debug {
    /// Records a request.
    fn record(&self, route: usize, status: usize, nanos: u64);
    /// Writes the exposition, and gives its length in bytes.
    fn scrape(&mut self) -> usize;
}

/// An exposition to measure.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// What it is called.
    pub name: &'static str,
    make: fn() -> Box<dyn Exposed>,
}

impl Arm {
    /// With requests of every series.
    pub fn make(&self) -> Box<dyn Exposed> {
        let exposed = (self.make)();
        (0..REQUESTS).for_each(|turn| touch(&*exposed, turn));
        exposed
    }
}

/// All arms.
pub const ARMS: &[Arm] = &[
    Arm { name: "ours, text", make: || Ours::boxed(Format::Text) },
    Arm { name: "ours, OpenMetrics", make: || Ours::boxed(Format::OpenMetrics) },
    Arm { name: "ours, protobuf with native histograms", make: || Ours::boxed(Format::Protobuf) },
    Arm { name: "prometheus", make: || Box::new(TikvPrometheus::new()) },
    Arm { name: "prometheus-client", make: || Box::new(PrometheusClient::new()) },
    Arm { name: "metrics-exporter-prometheus", make: || Box::new(MetricsExporter::new()) },
];

/// Records one request of every series.
pub fn touch(exposed: &dyn Exposed, turn: usize) {
    for route in 0..ROUTES {
        for status in 0..STATUSES.len() {
            // Over ten octaves from 10 us on, so that most bounds have something below them.
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
    fn boxed(format: Format) -> Box<dyn Exposed> {
        let registry = Registry::new();
        Box::new(Self {
            recorder: registry.recorder(),
            endpoints: (0..ROUTES).map(|number| registry.endpoint(METHOD, &route(number))).collect(),
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
    fn new() -> Self {
        let registry = prometheus::Registry::new();
        let calls = IntCounterVec::new(Opts::new(CALLS, HELP), &LABELS).expect("valid names");
        let opts = HistogramOpts::new(DURATIONS, HELP).buckets(DEFAULT_DURATION_BOUNDS.to_vec());
        let durations = HistogramVec::new(opts, &LABELS).expect("valid names");
        registry.register(Box::new(calls.clone())).expect("registered once");
        registry.register(Box::new(durations.clone())).expect("registered once");
        Self { registry, calls, durations, routes: (0..ROUTES).map(route).collect(), buffer: String::new() }
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
            .expect("a text takes all");
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
        for arm in ARMS {
            let mut exposed = arm.make();
            // A counter and a histogram with 18 bounds take more than 100 bytes by themselves, in any format.
            let enough = ROUTES * STATUSES.len() * 100;
            assert!(exposed.scrape() > enough, "{}", arm.name);
            touch(&*exposed, 0);
            assert!(exposed.scrape() > enough, "{}", arm.name);
        }
    }
}
