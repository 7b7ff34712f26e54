//! `metriken`, with our precision and range: 2^7 buckets an octave, up to 2^36 ns.

use metriken::{AtomicCounterHistogram, Counter, ShardedCounterGroup, ShardedCounterHistogramGroup};

use crate::Event;
use crate::peers::{by_route, by_series, series, series_count};
use crate::worker::{Worker, each};
use crate::workload::Routes;

/// Plain metrics. Its docs put them into statics; these also live until the end, one set per route. `#[metric]` would
/// register them for readers, which changes nothing for a writer.
#[derive(Clone, Copy)]
struct Plain {
    calls: &'static [Counter],
    latencies: &'static [AtomicCounterHistogram],
}

pub(crate) fn metriken(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let shared = Plain {
        calls: by_series(routes, |_, _| Counter::new()).leak(),
        latencies: by_route(routes, |_| AtomicCounterHistogram::new(7, 36)).leak(),
    };
    each(threads, || shared)
}

impl Worker for Plain {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.calls[series(event)].increment();
        let _ = self.latencies[event.route()].increment(event.nanos);
    }
}

/// Its groups for high throughput, sharded by thread.
#[derive(Clone, Copy)]
struct Sharded {
    calls: &'static ShardedCounterGroup,
    latencies: &'static ShardedCounterHistogramGroup,
}

pub(crate) fn metriken_sharded(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let shared = Sharded {
        calls: Box::leak(Box::new(ShardedCounterGroup::new(series_count(routes)))),
        latencies: Box::leak(Box::new(ShardedCounterHistogramGroup::new(routes.len(), 7, 36))),
    };
    each(threads, || shared)
}

impl Worker for Sharded {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.calls.increment(series(event));
        let _ = self.latencies.increment(event.route(), event.nanos);
    }
}
