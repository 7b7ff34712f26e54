//! One writer's counters and distinct values.
//!
//! # Synchronization
//!
//! The shard's one writer writes; any thread reads. A counter orders nothing else, so all its accesses are Relaxed. See
//! `distinct` for distinct values.

use super::distinct::Distinct;
use crate::hyperloglog::Registers;
use crate::labels::metric_room::{MAX_COUNTER_ROWS, MAX_UNIQUE_ROWS};
use crate::record::published::Published;
use crate::sync::{AtomicU64, Ordering, add};

/// Counters and distinct values, which are allocated when the writer first uses them.
#[derive(Debug)]
pub(crate) struct MetricCells {
    counters: Published<[AtomicU64; MAX_COUNTER_ROWS]>,
    uniques: [Published<Distinct>; MAX_UNIQUE_ROWS],
}

impl MetricCells {
    pub(crate) fn new() -> Self {
        Self { counters: Published::empty(), uniques: std::array::from_fn(|_| Published::empty()) }
    }

    /// Adds to a counter. Called by the shard's one writer.
    #[inline]
    pub(crate) fn add(&self, row: usize, amount: u64) {
        let counters = match self.counters.get() {
            Some(counters) => counters,
            None => self.counters.publish(Box::new(std::array::from_fn(|_| AtomicU64::new(0)))),
        };
        if let Some(counter) = counters.get(row) {
            add(counter, amount);
        }
    }

    /// Counts a value of a day by its hash. Called by the shard's one writer.
    pub(crate) fn insert(&self, row: usize, hash: u64, day: u64) {
        let Some(slot) = self.uniques.get(row) else { return };
        let distinct = slot.get().unwrap_or_else(|| slot.publish(Box::new(Distinct::new())));
        distinct.insert(hash, day);
    }

    /// The memory of counters and distinct values, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let counters =
            if self.counters.get().is_some() { size_of::<[AtomicU64; MAX_COUNTER_ROWS]>() } else { 0 };
        let uniques = self.uniques.iter().filter(|distinct| distinct.get().is_some()).count();
        counters + uniques * size_of::<Distinct>()
    }

    pub(crate) fn counter(&self, row: usize) -> u64 {
        let counter = self.counters.get().and_then(|counters| counters.get(row));
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Whether a value was ever inserted.
    pub(crate) fn has_distinct(&self, row: usize) -> bool {
        self.uniques.get(row).is_some_and(|distinct| distinct.get().is_some())
    }

    /// Adds the distinct values of a day to `sum`.
    pub(crate) fn add_registers(&self, row: usize, day: u64, sum: &mut Registers) {
        if let Some(distinct) = self.uniques.get(row).and_then(Published::get) {
            distinct.add_to(day, sum);
        }
    }
}
