//! `measured`, whose label sets know every label in advance: the routes at the start, the others at compile time.

use std::sync::Arc;

use indexmap::IndexSet;
use measured::metric::histogram::Thresholds;
use measured::{CounterVec, FixedCardinalityLabel, HistogramVec, LabelGroup};

use crate::Event;
use crate::worker::{Worker, each};
use crate::workload::Routes;

#[derive(Clone, Copy, FixedCardinalityLabel)]
enum Method {
    Get,
}

#[derive(Clone, Copy, FixedCardinalityLabel)]
enum Status {
    Ok = 200,
    NotFound = 404,
    InternalServerError = 500,
}

#[derive(LabelGroup)]
#[label(set = CallSet)]
struct CallLabels {
    method: Method,
    #[label(fixed_with = IndexSet<&'static str>)]
    route: &'static str,
    status: Status,
}

#[derive(LabelGroup)]
#[label(set = LatencySet)]
struct LatencyLabels {
    method: Method,
    #[label(fixed_with = IndexSet<&'static str>)]
    route: &'static str,
}

/// Uses the default buckets of `prometheus`, since it has none of its own.
struct Shared {
    calls: CounterVec<CallSet>,
    latencies: HistogramVec<LatencySet, { prometheus::DEFAULT_BUCKETS.len() }>,
}

/// Looks metrics up by their labels each time.
struct Labels {
    routes: Routes,
    shared: Arc<Shared>,
}

pub(crate) fn measured(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let names = || routes.iter().copied().collect();
    let shared = Arc::new(Shared {
        calls: CounterVec::with_label_set(CallSet::new(names())),
        latencies: HistogramVec::with_label_set_and_metadata(
            LatencySet::new(names()),
            Thresholds::with_buckets(*prometheus::DEFAULT_BUCKETS),
        ),
    });
    each(threads, || Labels { routes, shared: Arc::clone(&shared) })
}

impl Worker for Labels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = self.routes[event.route()];
        let status = match event.status {
            200 => Status::Ok,
            404 => Status::NotFound,
            _ => Status::InternalServerError,
        };
        self.shared.calls.inc(CallLabels { method: Method::Get, route, status });
        self.shared.latencies.observe(LatencyLabels { method: Method::Get, route }, event.seconds());
    }
}
