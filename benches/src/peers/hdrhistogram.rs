//! `hdrhistogram`, with our range, and with our precision by default.

use hdrhistogram::Histogram;
use hdrhistogram::sync::{Recorder, SyncHistogram};

use crate::Event;
use crate::peers::{by_series, series};
use crate::worker::{Worker, each};
use crate::workload::Routes;

/// A histogram for each route, readable only by its thread, without counts by status.
struct Plain(Vec<Histogram<u64>>);

fn empty(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, metrics_core::MAX_NANOS, digits).expect("bounds in range")
}

pub(crate) fn hdrhistogram(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    hdrhistogram_of_digits(routes, threads, 2)
}

pub(crate) fn hdrhistogram_of_digits(routes: Routes, threads: usize, digits: u8) -> Vec<Box<dyn Worker>> {
    each(threads, || Plain(routes.iter().map(|_| empty(digits)).collect()))
}

impl Worker for Plain {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        // Every event is in range, and an unwrap would be slower.
        let _ = self.0[event.route()].record(event.nanos);
    }
}

/// A recorder per thread for the histogram of each (route, status), whose length is the count. The bench never reads,
/// so the recorders never hand over what they recorded.
struct Synced(Vec<Recorder<u64>>);

pub(crate) fn hdrhistogram_synced(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let histograms: Vec<SyncHistogram<u64>> = by_series(routes, |_, _| empty(2).into_sync());
    each(threads, || Synced(histograms.iter().map(SyncHistogram::recorder).collect()))
}

impl Worker for Synced {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let _ = self.0[series(event)].record(event.nanos);
    }
}
