//! How long to wait before a failed attempt is repeated.

use std::time::Duration;

use crate::random;

/// Pauses that double after each attempt, up to a longest one, and vary at random.
///
/// Not a crate, since [`crate::alert`] needs this in each build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The longest pause after the first failure.
    pub(crate) first: Duration,
    /// The longest pause.
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The pause after the given number of failures: at random from half to all of the whole pause, so that the
    /// instances of a fleet do not retry at once.
    pub(crate) fn pause_after(self, attempt: u32) -> Duration {
        self.whole(attempt).mul_f64(0.5 + random::share() / 2.0)
    }

    fn whole(self, attempt: u32) -> Duration {
        self.first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_vary_within_bounds() {
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
