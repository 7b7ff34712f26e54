//! `prometheus-client`. Its families are not registered for readers, which makes no difference to a writer.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::Event;
use crate::worker::{Worker, each};
use crate::workload::{METHOD, Routes};

#[derive(Clone, PartialEq, Eq, Hash)]
struct CallLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct LatencyLabels {
    method: &'static str,
    route: &'static str,
}

/// Looks metrics up by their labels each time. A clone of a family is the same family.
#[derive(Clone)]
struct Labels {
    routes: Routes,
    calls: Family<CallLabels, Counter>,
    latencies: Family<LatencyLabels, Histogram>,
}

/// The default buckets of `prometheus`, since it has none of its own.
fn latency() -> Histogram {
    Histogram::new(prometheus::DEFAULT_BUCKETS.iter().copied())
}

pub(crate) fn prometheus_client(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let latencies = Family::new_with_constructor(latency as fn() -> Histogram);
    let shared = Labels { routes, calls: Family::default(), latencies };
    each(threads, || shared.clone())
}

impl Worker for Labels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = self.routes[event.route()];
        self.calls.get_or_create(&CallLabels { method: METHOD, route, status: event.status }).inc();
        self.latencies.get_or_create(&LatencyLabels { method: METHOD, route }).observe(event.seconds());
    }
}
