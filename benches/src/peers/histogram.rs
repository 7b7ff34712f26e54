//! `histogram`'s atomic histogram, with our precision and range.

use std::sync::Arc;

use histogram::AtomicHistogram;

use crate::Event;
use crate::arms::each;
use crate::peers::{by_series, series};
use crate::worker::Worker;
use crate::workload::Routes;

/// 2^7 buckets an octave, and values below 2^36 ns.
const GROUPING_POWER: u8 = 7;
const MAX_VALUE_POWER: u8 = 36;

/// A histogram of each (route, status), whose sum is the count.
struct Shared(Arc<[AtomicHistogram]>);

pub(crate) fn histogram(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let empty = || AtomicHistogram::new(GROUPING_POWER, MAX_VALUE_POWER).expect("powers in range");
    let histograms: Arc<[_]> = by_series(routes, |_, _| empty()).into();
    each(threads, || Shared(Arc::clone(&histograms)))
}

impl Worker for Shared {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        // Every event is in range; to unwrap would only make it slower.
        let _ = self.0[series(event)].increment(event.nanos);
    }
}
