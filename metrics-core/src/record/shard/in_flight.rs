//! Counts of what is under way: requests, requests at an endpoint, open streams.
//!
//! # Synchronization
//!
//! Its shard's one writer writes a count; any thread reads it. Both halves only grow. `ended` is stored with Release
//! and loaded with Acquire, so a reader that sees the end of something also sees its beginning.

use crate::sync::{AtomicU64, Ordering, add, end};

/// How often a count that writers disturbed is repeated before the last result is used.
const ATTEMPTS: usize = if cfg!(metrics_loom) { 1 } else { 16 };

/// The number under way: those that began less those that ended, each counted on the shard of the thread where it
/// happened.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl InFlight {
    /// Counts a beginning. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn begin(&self) {
        add(&self.begun, 1);
    }

    /// Counts the end of one that began on this or another shard. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn end(&self) {
        // ORDERING: the Release in it pairs with the Acquire in `ended`. Seeing this one ended implies seeing it begun.
        end(&self.ended);
    }

    /// The number that ended so far.
    pub(crate) fn ended(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `sync::end`.
        self.ended.load(Ordering::Acquire)
    }

    /// The number that began so far.
    pub(crate) fn begun(&self) -> u64 {
        // ORDERING: Acquire, so that `under_way` loads `ended` after it. Pairs with no store.
        self.begun.load(Ordering::Acquire)
    }

    /// Returns how many are under way by all of these counts together, and the sum of all that began and all that
    /// ended.
    ///
    /// Exact for some moment of the call if none ended during one of its attempts. Otherwise at most the number at the
    /// moment when the beginnings were counted.
    pub(crate) fn under_way<'a, I>(gauges: impl Fn() -> I) -> (u64, u64)
    where
        I: Iterator<Item = &'a Self>,
    {
        let sum = |count: fn(&Self) -> u64| gauges().map(count).fold(0, u64::wrapping_add);
        let mut ended = sum(Self::ended);
        let mut under_way = (0, 0);
        for _ in 0..ATTEMPTS {
            let begun = sum(Self::begun);
            let ended_before = std::mem::replace(&mut ended, sum(Self::ended));
            under_way = (begun.saturating_sub(ended), begun.wrapping_add(ended));
            if ended_before == ended {
                break;
            }
        }
        under_way
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_begins_before_another_ends_is_never_missing() {
        let (gauge, sums) = (InFlight::default(), Cell::new(0));
        gauge.begin();
        // The second one begins, and the first one ends, between the first sum of the beginnings and that of the ends.
        let gauges = || {
            if sums.replace(sums.get() + 1) == 2 {
                gauge.begin();
                gauge.end();
            }
            std::iter::once(&gauge)
        };
        assert_eq!(InFlight::under_way(gauges), (1, 3));
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use crate::sync::model;
    use loom::sync::Arc;
    use loom::thread;

    /// A request that begins on one shard and ends on another, in another thread, is never seen ended but not begun.
    ///
    /// Fails when the store in `sync::end` is Relaxed, when the load in `ended` is, and when `begun` is summed first
    /// (each tried).
    #[test]
    fn a_request_that_is_seen_ended_is_seen_begun() {
        model(|| {
            let gauges = Arc::new([InFlight::default(), InFlight::default()]);
            let first = thread::spawn({
                let gauges = Arc::clone(&gauges);
                move || {
                    gauges[0].begin();
                    thread::spawn(move || gauges[1].end())
                }
            });
            let ended: u64 = gauges.iter().map(InFlight::ended).sum();
            let begun: u64 = gauges.iter().map(InFlight::begun).sum();
            assert!(ended <= begun);
            first.join().unwrap().join().unwrap();
        });
    }
}
