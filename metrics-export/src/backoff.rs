//! How long to wait before something that failed is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses that are twice as long after each attempt, up to a longest one, and vary.
///
/// Ten lines in place of a crate: [`crate::alert`] needs them in every build, where each crate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The longest pause after the first attempt.
    pub(crate) first: Duration,
    /// The longest pause at all.
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The pause after this many attempts, 1 for the first: half of the whole pause or more of it, at random, so that the
    /// instances of a fleet do not come at one time.
    pub(crate) fn pause_after(self, attempt: u32) -> Duration {
        // A hasher with a random key of its own is the standard library's way to a random number.
        let random = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
        self.whole(attempt).mul_f64(0.5 + random / 2.0)
    }

    fn whole(self, attempt: u32) -> Duration {
        self.first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_vary_and_stay_in_bounds() {
        let backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
        assert_eq!(backoff.whole(3), Duration::from_secs(2));
        for attempt in 0..40 {
            let whole = backoff.whole(attempt);
            let pauses: Vec<_> = (0..20).map(|_| backoff.pause_after(attempt)).collect();
            assert!(pauses.iter().all(|pause| (whole / 2..=whole).contains(pause)), "{pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
        assert_eq!(backoff.whole(40), backoff.longest);
    }
}
