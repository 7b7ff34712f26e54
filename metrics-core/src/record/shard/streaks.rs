//! Errors in a row on one recorder.
//!
//! # Synchronization
//!
//! The shard's one writer writes; any thread reads. The numbers order nothing else, so all accesses are Relaxed.

use crate::sync::{AtomicU64, Ordering, add, own};

/// The longest streak whose end is seen with its whole length. A longer one that begins and ends between two readings
/// counts as one of this length.
const MAX_LENGTH: usize = 64;

/// The errors since the last success, and how often streaks of errors reached each length.
///
/// Aborted requests, and 4xx of endpoints that [catch all](crate::EndpointName::catches_all) paths, neither lengthen a
/// streak nor end it.
#[derive(Debug)]
pub(crate) struct Streaks {
    current: AtomicU64,
    /// By length, from 1 on, without those of length 1. They only grow, so each reader can compare them with those it saw
    /// last.
    reached: [AtomicU64; MAX_LENGTH],
}

/// The streaks of all recorders at one reading.
#[derive(Debug, Clone)]
pub(crate) struct StreaksNow {
    /// The current ones, in the order of the shards.
    current: Vec<Current>,
    reached: [u64; MAX_LENGTH],
}

/// The current streak of one recorder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Current {
    length: u64,
    /// How often streaks of this recorder grew to lengths from 2 to [`MAX_LENGTH`].
    grown: u64,
}

impl Streaks {
    /// Counts an error. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn extend(&self) {
        let before = own(&self.current);
        self.current.store(before.wrapping_add(1), Ordering::Relaxed);
        // Most errors are alone, so they cost nothing more.
        if before > 0
            && let Some(reached) = usize::try_from(before).ok().and_then(|index| self.reached.get(index))
        {
            add(reached, 1);
        }
    }

    /// Notes a success. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn end(&self) {
        self.current.store(0, Ordering::Relaxed);
    }

    /// Errors since the last success.
    pub(crate) fn current(&self) -> u64 {
        self.current.load(Ordering::Relaxed)
    }
}

impl Default for Streaks {
    fn default() -> Self {
        Self { current: AtomicU64::new(0), reached: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl StreaksNow {
    /// Reads those of all recorders, which are always in the same order.
    pub(crate) fn of<'a>(recorders: impl Iterator<Item = &'a Streaks>) -> Self {
        let mut now = Self { current: Vec::new(), reached: [0; MAX_LENGTH] };
        for streaks in recorders {
            let mut current = Current { length: streaks.current(), grown: 0 };
            for (sum, reached) in now.reached.iter_mut().zip(&streaks.reached) {
                let reached = reached.load(Ordering::Relaxed);
                *sum = sum.wrapping_add(reached);
                current.grown = current.grown.wrapping_add(reached);
            }
            now.current.push(current);
        }
        now
    }

    /// The longest of the current ones that have an error since an earlier reading. Those of recorders that recorded
    /// nothing are as old as their last error; of them, one of length 1 may be among these.
    pub(crate) fn longest_current_since(&self, earlier: &Self) -> u64 {
        let is_recent = |(now, before): &(&Current, Current)| **now != *before || now.length == 1;
        let recent = self.with(earlier).filter(is_recent);
        recent.map(|(now, _)| now.length).max().unwrap_or(0)
    }

    /// The current ones, each with that of an earlier reading.
    fn with(&self, earlier: &Self) -> impl Iterator<Item = (&Current, Current)> {
        let before = earlier.current.iter().copied().chain(std::iter::repeat(Current::default()));
        self.current.iter().zip(before)
    }

    /// The length that the longest streak reached between an earlier reading and this one; 0 if none grew. One that was
    /// alone and ended may be missed.
    pub(crate) fn longest_since(&self, earlier: &Self) -> u64 {
        let reached = self.reached.iter().zip(&earlier.reached).rposition(|(now, earlier)| now != earlier);
        let grew = self.with(earlier).filter(|(now, before)| now.length > before.length);
        let grew = grew.map(|(now, _)| now.length).max().unwrap_or(0);
        grew.max(reached.map_or(0, |index| index as u64 + 1))
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    fn now(recorders: &[Streaks]) -> StreaksNow {
        StreaksNow::of(recorders.iter())
    }

    #[test]
    fn the_longest_streak_between_two_readings_is_found_though_it_ended_and_others_followed() {
        let recorders = [Streaks::default(), Streaks::default()];
        let errors = |recorder: usize, count| (0..count).for_each(|_| recorders[recorder].extend());
        errors(0, 3);
        let first = now(&recorders);
        errors(0, 7);
        recorders[0].end();
        errors(0, 4);
        errors(1, 6);
        let second = now(&recorders);
        assert_eq!((second.longest_since(&first), second.longest_current_since(&first)), (10, 6));
        assert_eq!(now(&recorders).longest_since(&second), 0);
        errors(0, 1);
        assert_eq!(now(&recorders).longest_since(&second), 5);
        errors(1, 1);
        recorders[0].end();
        recorders[0].end();
        assert_eq!(now(&recorders).longest_since(&second), 7);
    }

    #[test]
    fn a_streak_that_goes_on_has_its_whole_length_and_one_that_ended_at_most_64() {
        let recorders = [Streaks::default()];
        let before = now(&recorders);
        (0..1_000).for_each(|_| recorders[0].extend());
        let after = now(&recorders);
        assert_eq!(after.longest_since(&before), 1_000);
        assert_eq!(now(&recorders).longest_since(&after), 0);
        recorders[0].end();
        assert_eq!(now(&recorders).longest_since(&before), 64);
    }
}
