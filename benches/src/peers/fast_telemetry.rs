//! `fast-telemetry`: sharded by thread, with handles resolved in advance, as its docs advise for hot paths.

use std::thread::available_parallelism;

use fast_telemetry::{DynamicCounter, DynamicCounterSeries, DynamicHistogram, DynamicHistogramSeries};

use crate::Event;
use crate::peers::{by_route, by_series, series};
use crate::worker::{Worker, each};
use crate::workload::{METHOD, Routes};

/// A clone of a handle is the same series.
#[derive(Clone)]
struct Cached {
    calls: Vec<DynamicCounterSeries>,
    latencies: Vec<DynamicHistogramSeries>,
}

/// Uses its buckets for latencies, which are in microseconds.
pub(crate) fn fast_telemetry(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let shards = available_parallelism().map_or(1, Into::into);
    let calls = DynamicCounter::new(shards);
    let latencies = DynamicHistogram::with_latency_buckets(shards);
    let shared = Cached {
        calls: by_series(routes, |route, status| {
            calls.series(&[("method", METHOD), ("route", route), ("status", status)])
        }),
        latencies: by_route(routes, |route| latencies.series(&[("method", METHOD), ("route", route)])),
    };
    each(threads, || shared.clone())
}

impl Worker for Cached {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.calls[series(event)].inc();
        self.latencies[event.route()].record(event.nanos / 1_000);
    }
}
