//! The number of the current window, so that minimum and maximum can start anew at a reset.
//!
//! # Synchronization
//!
//! Written by a reset, read by every record: a read-mostly word on a cache line of its own. Which records of other
//! threads fall before or after the step is not promised; the reader of the extremes clamps them to the buckets.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Epoch(CachePadded<AtomicU64>);

impl Epoch {
    pub(crate) fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    #[inline(always)]
    pub(crate) fn current(&self) -> u64 {
        // ORDERING: Relaxed; the number orders nothing.
        self.0.load(Ordering::Relaxed)
    }

    /// Begins the next epoch. Called under the reader's lock, hence by one thread at a time.
    pub(crate) fn advance(&self) {
        // ORDERING: Relaxed; the number orders nothing.
        self.0.store(self.current() + 1, Ordering::Relaxed);
    }
}
