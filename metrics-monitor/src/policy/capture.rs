//! Which single requests somebody wants to know of: those that are slow, and a share of all.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use metrics_core::TraceContext;

/// What makes a request one to know of. Fixed when the monitor is built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Notable {
    /// From when on a request is slow, for exemplars; what never comes where there are none.
    pub(crate) exemplar_nanos: u64,
    pub(crate) exemplars: bool,
    /// From when on some exporter wants a request; what never comes where none does.
    pub(crate) slow_nanos: u64,
    /// The largest share of all requests that an exporter wants.
    pub(crate) share: f64,
    /// Whether an exporter wants errors or requests, and so their traces, by whatever headers.
    pub(crate) traces: bool,
}

impl Notable {
    /// From when on a request is looked at more closely: the one thing that a usual request is asked.
    pub(crate) fn nanos(&self) -> u64 {
        if self.share > 0.0 { 0 } else { self.exemplar_nanos.min(self.slow_nanos) }
    }

    /// Whether an exporter wants a request.
    pub(crate) fn is_wanted(&self, nanos: u64, randomness: f64) -> bool {
        nanos >= self.slow_nanos || randomness < self.share
    }
}

/// A duration in nanoseconds; what never comes for none.
pub(crate) fn nanos(duration: Option<Duration>) -> u64 {
    duration.and_then(|duration| duration.as_nanos().try_into().ok()).unwrap_or(u64::MAX)
}

/// What was found out about a request whose body is still under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    pub(crate) trace: Option<TraceContext>,
    pub(crate) randomness: f64,
}

/// Draws lots, with Marsaglia's xorshift: <https://doi.org/10.18637/jss.v008.i14>. Nobody gains by guessing them.
#[derive(Debug)]
pub(crate) struct Lots(Cell<u64>);

impl Lots {
    pub(crate) fn new() -> Self {
        // A hasher with a random key of its own is the standard library's way to a random number. Never 0, which would stay.
        Self(Cell::new(RandomState::new().hash_one(0) | 1))
    }

    /// A number from 0 to below 1.
    #[inline]
    pub(crate) fn draw(&self) -> f64 {
        let mut bits = self.0.get();
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        self.0.set(bits);
        // As many bits as a float holds.
        (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_lots_is_below_it() {
        let lots = Lots::new();
        let drawn: Vec<f64> = (0..100_000).map(|_| lots.draw()).collect();
        assert!(drawn.iter().all(|lot| (0.0..1.0).contains(lot)));
        for share in [0.01, 0.1, 0.5] {
            let below = drawn.iter().filter(|lot| **lot < share).count() as f64 / 100_000.0;
            // Ten standard deviations.
            let tolerance = 10.0 * (share * (1.0 - share) / 100_000.0_f64).sqrt();
            assert!((below - share).abs() < tolerance, "{below} for {share}");
        }
    }

    #[test]
    fn where_nobody_asks_no_request_is_looked_at() {
        let nobody = Notable {
            exemplar_nanos: u64::MAX,
            exemplars: false,
            slow_nanos: u64::MAX,
            share: 0.0,
            traces: false,
        };
        assert_eq!(nobody.nanos(), u64::MAX);
        assert!(!nobody.is_wanted(1 << 60, 0.0));
        let slow = Notable { slow_nanos: 5, ..nobody };
        assert_eq!((slow.nanos(), Notable { exemplar_nanos: 3, ..slow }.nanos()), (5, 3));
        assert!(slow.is_wanted(5, 1.0) && !slow.is_wanted(4, 0.0));
        let some = Notable { share: 0.1, ..slow };
        assert!(some.nanos() == 0 && some.is_wanted(0, 0.0999) && !some.is_wanted(0, 0.1));
    }
}
