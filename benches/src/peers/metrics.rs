//! The `metrics` facade with its Prometheus exporter.

use std::sync::OnceLock;

use metrics::{Counter, Histogram, counter, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::Event;
use crate::peers::{by_route, by_series, series};
use crate::worker::{Worker, each};
use crate::workload::{METHOD, Routes};

/// One exporter for the whole process, as its docs advise.
pub(crate) fn exporter() -> &'static PrometheusHandle {
    static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();
    EXPORTER
        .get_or_init(|| PrometheusBuilder::new().install_recorder().expect("no other recorder is installed"))
}

fn calls(route: &'static str, status: &'static str) -> Counter {
    counter!("http_requests_total", "method" => METHOD, "route" => route, "status" => status)
}

fn latencies(route: &'static str) -> Histogram {
    histogram!("http_request_duration_seconds", "method" => METHOD, "route" => route)
}

/// Handles made in advance. A clone of a handle is the same metric.
#[derive(Clone)]
struct Cached {
    exporter: &'static PrometheusHandle,
    calls: Vec<Counter>,
    latencies: Vec<Histogram>,
}

pub(crate) fn metrics_cached(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    // Before the handles, which do nothing without a recorder.
    let exporter = exporter();
    let shared = Cached { exporter, calls: by_series(routes, calls), latencies: by_route(routes, latencies) };
    each(threads, || shared.clone())
}

impl Worker for Cached {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.calls[series(event)].increment(1);
        self.latencies[event.route()].record(event.seconds());
    }

    /// The exporter keeps every recorded value until this folds it into a summary.
    fn maintain(&mut self) {
        self.exporter.run_upkeep();
    }
}

/// Looks metrics up by their labels each time.
struct Labels {
    exporter: &'static PrometheusHandle,
    routes: Routes,
}

pub(crate) fn metrics_labels(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let exporter = exporter();
    each(threads, || Labels { exporter, routes })
}

impl Worker for Labels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = self.routes[event.route()];
        calls(route, event.status_text()).increment(1);
        latencies(route).record(event.seconds());
    }

    /// Like the cached handles.
    fn maintain(&mut self) {
        self.exporter.run_upkeep();
    }
}
