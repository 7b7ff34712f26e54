//! How much room the application's own metrics have, and how much of it is taken.
//!
//! # Synchronization
//!
//! What is taken is counted under a lock, only for new series. `refused` orders nothing else; the first metric that it
//! is about is written once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::labels::metric_kind::MetricKind;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The most metrics of a kind in a registry, except for [`MAX_UNIQUES`].
pub(crate) const MAX_METRICS: usize = 128;

/// The most unique counts in a registry: each takes 16 KiB in every shard that inserts.
pub(crate) const MAX_UNIQUES: usize = 16;

/// The most sets of labels of all unique counts of a registry, without `_other`.
const MAX_LABELLED_UNIQUES: usize = 32;

/// The most sets of labels of a metric, without `_other`.
pub(crate) const MAX_LABEL_SETS: usize = 128;

/// The most rows that labelled counters and hit ratios of a registry take, without `_other`; and the most labelled
/// gauges.
const MAX_LABELLED: usize = 1_024;

/// The most labelled timers of a registry, without `_other`. Each takes some kilobytes in every shard that times.
const MAX_LABELLED_TIMERS: usize = 512;

/// Rows of counters in a shard: one for each counter, two for each hit ratio; for metrics, for what they count under
/// `_other`, and for sets of labels.
pub(crate) const MAX_COUNTER_ROWS: usize = 2 * 3 * MAX_METRICS + MAX_LABELLED;

/// Timers of a registry: metrics, what they time under `_other`, and sets of labels.
pub(crate) const MAX_TIMERS: usize = 2 * MAX_METRICS + MAX_LABELLED_TIMERS;

/// Rows of distinct values in a shard: unique counts, what they count under `_other`, and sets of labels. A shard that
/// inserts into all of them takes 1 MiB, and so does a snapshot.
pub(crate) const MAX_UNIQUE_ROWS: usize = 2 * MAX_UNIQUES + MAX_LABELLED_UNIQUES;

/// What all metrics of a registry share.
#[derive(Debug, Default)]
pub(crate) struct MetricRoom {
    taken: Mutex<Taken>,
    /// Look-ups whose labels did not fit.
    refused: AtomicU64,
    /// The metric of the first one.
    first_refused: OnceLock<Arc<str>>,
}

#[derive(Debug, Default)]
struct Taken {
    counter_rows: usize,
    timers: usize,
    uniques: usize,
    /// Of sets of labels, without `_other`.
    labelled: HashMap<Shared, usize>,
}

/// What sets of labels take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shared {
    CounterRows,
    Gauges,
    Timers,
    Uniques,
}

impl MetricRoom {
    /// Takes room for another set of labels of a metric. Returns whether there was any.
    pub(crate) fn take_label_set(&self, kind: MetricKind) -> bool {
        let (shared, takes, most) = match kind {
            MetricKind::Counter => (Shared::CounterRows, 1, MAX_LABELLED),
            MetricKind::HitRatio => (Shared::CounterRows, 2, MAX_LABELLED),
            MetricKind::Gauge => (Shared::Gauges, 1, MAX_LABELLED),
            MetricKind::Timer => (Shared::Timers, 1, MAX_LABELLED_TIMERS),
            MetricKind::UniqueCount => (Shared::Uniques, 1, MAX_LABELLED_UNIQUES),
        };
        let mut taken = lock(&self.taken);
        let labelled = taken.labelled.entry(shared).or_default();
        let fits = *labelled + takes <= most;
        *labelled += if fits { takes } else { 0 };
        fits
    }

    /// Takes the next free rows of counters.
    pub(crate) fn take_counter_rows(&self, rows: usize) -> usize {
        let mut taken = lock(&self.taken);
        let row = taken.counter_rows;
        taken.counter_rows += rows;
        row
    }

    /// Takes the next number of a timer.
    pub(crate) fn take_timer(&self) -> usize {
        let mut taken = lock(&self.taken);
        taken.timers += 1;
        taken.timers - 1
    }

    /// Takes the next row of distinct values.
    pub(crate) fn take_unique(&self) -> usize {
        let mut taken = lock(&self.taken);
        taken.uniques += 1;
        taken.uniques - 1
    }

    /// Counts a look-up of a metric whose labels did not fit.
    pub(crate) fn refuse(&self, metric: &Arc<str>) {
        self.first_refused.get_or_init(|| Arc::clone(metric));
        // ORDERING: Relaxed, here and below; the figure orders nothing else.
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The first metric whose labels did not fit.
    pub(crate) fn first_refused(&self) -> Option<&Arc<str>> {
        self.first_refused.get()
    }

    /// Look-ups whose labels did not fit.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
