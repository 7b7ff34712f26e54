//! `prometheus`, with its default buckets. The first one takes nearly every event, which makes the search as short as
//! can be.

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::Event;
use crate::peers::{by_route, by_series, series};
use crate::worker::{Worker, each};
use crate::workload::{METHOD, Routes};

fn calls() -> IntCounterVec {
    let opts = Opts::new("http_requests_total", "Requests.");
    IntCounterVec::new(opts, &["method", "route", "status"]).expect("valid names")
}

fn latencies() -> HistogramVec {
    let opts = HistogramOpts::new("http_request_duration_seconds", "Latency.");
    HistogramVec::new(opts, &["method", "route"]).expect("valid names")
}

/// A registry with all series, each counted once.
pub(crate) fn prometheus_registry(routes: Routes) -> Registry {
    let registry = Registry::new();
    let (calls, latencies) = (calls(), latencies());
    by_series(routes, |route, status| calls.with_label_values(&[METHOD, route, status]).inc());
    by_route(routes, |route| latencies.with_label_values(&[METHOD, route]).observe(0.001));
    registry.register(Box::new(calls)).expect("the registry is new");
    registry.register(Box::new(latencies)).expect("the registry is new");
    registry
}

/// Children resolved in advance. A clone of a child is the same child.
#[derive(Clone)]
struct Cached {
    calls: Vec<IntCounter>,
    latencies: Vec<Histogram>,
}

pub(crate) fn prometheus_cached(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let (calls, latencies) = (calls(), latencies());
    let shared = Cached {
        calls: by_series(routes, |route, status| calls.with_label_values(&[METHOD, route, status])),
        latencies: by_route(routes, |route| latencies.with_label_values(&[METHOD, route])),
    };
    each(threads, || shared.clone())
}

impl Worker for Cached {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.calls[series(event)].inc();
        self.latencies[event.route()].observe(event.seconds());
    }
}

/// Looks children up by their labels each time.
#[derive(Clone)]
struct Labels {
    routes: Routes,
    calls: IntCounterVec,
    latencies: HistogramVec,
}

pub(crate) fn prometheus_labels(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let shared = Labels { routes, calls: calls(), latencies: latencies() };
    each(threads, || shared.clone())
}

impl Worker for Labels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = self.routes[event.route()];
        self.calls.with_label_values(&[METHOD, route, event.status_text()]).inc();
        self.latencies.with_label_values(&[METHOD, route]).observe(event.seconds());
    }
}
