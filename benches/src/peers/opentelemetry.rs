//! `opentelemetry_sdk`, with the names and buckets of its HTTP semantic conventions.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};

use crate::Event;
use crate::peers::{by_route, by_series, series};
use crate::worker::{Worker, each};
use crate::workload::{METHOD, Routes};

/// <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration>
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Uses a reader that collects on request and is never asked, which is the cheapest setup.
fn provider() -> SdkMeterProvider {
    SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build()
}

fn calls(meter: &Meter) -> Counter<u64> {
    meter.u64_counter("http.server.requests").build()
}

fn latencies(meter: &Meter) -> Histogram<f64> {
    let histogram = meter.f64_histogram("http.server.request.duration").with_unit("s");
    histogram.with_boundaries(BUCKETS.to_vec()).build()
}

fn latency_labels(route: &'static str) -> [KeyValue; 2] {
    [KeyValue::new("http.request.method", METHOD), KeyValue::new("http.route", route)]
}

fn call_labels(route: &'static str, status: &'static str) -> [KeyValue; 3] {
    let [method, route] = latency_labels(route);
    [method, route, KeyValue::new("http.response.status_code", status)]
}

/// Passes the attributes to the instruments each time.
#[derive(Clone)]
struct Labels {
    routes: Routes,
    calls: Counter<u64>,
    latencies: Histogram<f64>,
    /// Kept alive, since instruments do nothing without it.
    _provider: SdkMeterProvider,
}

pub(crate) fn opentelemetry_labels(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let provider = provider();
    let meter = provider.meter("benches");
    let shared = Labels { routes, calls: calls(&meter), latencies: latencies(&meter), _provider: provider };
    each(threads, || shared.clone())
}

impl Worker for Labels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = self.routes[event.route()];
        self.calls.add(1, &call_labels(route, event.status_text()));
        self.latencies.record(event.seconds(), &latency_labels(route));
    }
}

/// Instruments bound to the attributes in advance. A clone of one is the same series.
#[derive(Clone)]
struct Bound {
    calls: Vec<BoundCounter<u64>>,
    latencies: Vec<BoundHistogram<f64>>,
    /// Kept alive, since instruments do nothing without it.
    _provider: SdkMeterProvider,
}

pub(crate) fn opentelemetry_bound(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let provider = provider();
    let meter = provider.meter("benches");
    let (calls, latencies) = (calls(&meter), latencies(&meter));
    let shared = Bound {
        calls: by_series(routes, |route, status| calls.bind(&call_labels(route, status))),
        latencies: by_route(routes, |route| latencies.bind(&latency_labels(route))),
        _provider: provider,
    };
    each(threads, || shared.clone())
}

impl Worker for Bound {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.calls[series(event)].add(1);
        self.latencies[event.route()].record(event.seconds());
    }
}
