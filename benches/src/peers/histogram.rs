//! `histogram`'s atomic histogram, with our range, and with our precision by default.

use std::sync::Arc;

use histogram::AtomicHistogram;

use crate::Event;
use crate::peers::{by_series, series};
use crate::worker::{Worker, each};
use crate::workload::Routes;

/// Values below 2^36 ns.
const MAX_VALUE_POWER: u8 = 36;

/// A histogram for each (route, status), whose sum is the count.
struct Shared(Arc<[AtomicHistogram]>);

pub(crate) fn histogram(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    histogram_of_digits(routes, threads, 2)
}

/// 16, 128 or 1,024 buckets per octave, like ours.
pub(crate) fn histogram_of_digits(routes: Routes, threads: usize, digits: u8) -> Vec<Box<dyn Worker>> {
    let grouping_power = 3 * digits + 1;
    let empty = || AtomicHistogram::new(grouping_power, MAX_VALUE_POWER).expect("powers in range");
    let histograms: Arc<[_]> = by_series(routes, |_, _| empty()).into();
    each(threads, || Shared(Arc::clone(&histograms)))
}

impl Worker for Shared {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        // Every event is in range, and an unwrap would be slower.
        let _ = self.0[series(event)].increment(event.nanos);
    }
}
