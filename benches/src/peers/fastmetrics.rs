//! `fastmetrics`, with its default buckets. To register the families for readers would change nothing for a writer.

use fastmetrics::metrics::counter::Counter;
use fastmetrics::metrics::family::Family;
use fastmetrics::metrics::histogram::Histogram;

use crate::Event;
use crate::arms::each;
use crate::worker::Worker;
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

/// Metrics looked up by their labels, each time. A clone of a family is the same family.
#[derive(Clone)]
struct Labels {
    routes: Routes,
    calls: Family<CallLabels, Counter>,
    latencies: Family<LatencyLabels, Histogram>,
}

pub(crate) fn fastmetrics(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let shared = Labels { routes, calls: Family::default(), latencies: Family::default() };
    each(threads, || shared.clone())
}

impl Worker for Labels {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let route = self.routes[event.route()];
        let labels = CallLabels { method: METHOD, route, status: event.status };
        self.calls.with_or_new(&labels, |calls| calls.inc());
        let labels = LatencyLabels { method: METHOD, route };
        self.latencies.with_or_new(&labels, |latencies| latencies.observe(event.seconds()));
    }
}
