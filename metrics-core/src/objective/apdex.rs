//! Apdex: one number for how satisfied users are with response times, <https://en.wikipedia.org/wiki/Apdex>.

use std::time::Duration;

use super::count::ObjectiveCounts;
use super::settings::Objective;
use crate::read::snapshot::Snapshot;
use crate::setting::InvalidSetting;

/// The longest target: users tolerate four times of it, and histograms end at 68.7 s.
const MAX_TARGET: Duration = Duration::from_secs(15);

/// The requests of a snapshot by how satisfied their users are. Requests count as for an [`Objective`] of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApdexCounts {
    /// Answered within the target.
    pub satisfied: u64,
    /// Answered within four times the target.
    pub tolerating: u64,
    /// Answered later, or failed.
    pub frustrated: u64,
}

/// The score of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApdexScore {
    /// The window.
    pub window: Duration,
    /// The time that the counts cover: a bit longer than the window, or shorter after a start.
    pub covered: Duration,
    /// Requests that count.
    pub calls: u64,
    /// From 0 (all are frustrated) to 1 (all are satisfied); `None` without requests.
    pub score: Option<f64>,
}

/// How satisfied users are.
#[derive(Debug, Clone, PartialEq)]
pub struct ApdexState {
    /// The target: up to it, users are satisfied.
    pub target: Duration,
    /// Up to which duration a request is within the target: the end of the histogram's bucket.
    pub within: Duration,
    /// The last 5 and 30 minutes, 1, 2, 6 and 24 hours.
    pub scores: Vec<ApdexScore>,
}

/// The target of Apdex, of all routes.
#[derive(Debug, Clone, PartialEq)]
pub struct Apdex {
    target: Duration,
    satisfied: Objective,
    tolerated: Objective,
}

impl Apdex {
    /// Creates the target: users are satisfied up to this time, and tolerate up to four times as long.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not from 1 ns to 15 s.
    pub fn new(target: Duration) -> Result<Self, InvalidSetting> {
        if !(Duration::from_nanos(1)..=MAX_TARGET).contains(&target) {
            return Err(InvalidSetting::new("apdex", format!("{target:?}"), "1 ns to 15 s"));
        }
        let within = |time| Objective::latency(50.0, time);
        Ok(Self { target, satisfied: within(target), tolerated: within(target * 4) })
    }

    /// Returns the target.
    pub fn target(&self) -> Duration {
        self.target
    }

    /// Counts the requests of a snapshot, since its start.
    pub fn count(&self, snapshot: &Snapshot) -> ApdexCounts {
        let ObjectiveCounts { valid, good: satisfied } = self.satisfied.count(snapshot);
        let within = self.tolerated.count(snapshot).good;
        ApdexCounts {
            satisfied,
            tolerating: within.saturating_sub(satisfied),
            frustrated: valid.saturating_sub(within),
        }
    }
}

impl ApdexCounts {
    /// As samples keep them: a satisfied request is two good ones of two, a tolerating one is one of two.
    pub(super) fn halves(self) -> ObjectiveCounts {
        let Self { satisfied, tolerating, frustrated } = self;
        ObjectiveCounts { valid: 2 * (satisfied + tolerating + frustrated), good: 2 * satisfied + tolerating }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::labels::outcome::Outcome;
    use crate::registry::Registry;

    #[test]
    fn users_are_satisfied_up_to_the_target_and_tolerate_four_times_of_it() {
        let registry = Registry::new();
        let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
        let apdex = Apdex::new(Duration::from_millis(100)).unwrap();
        for (status, millis) in [(200, 1), (200, 2), (404, 100), (200, 120), (200, 400), (200, 500), (500, 1)]
        {
            recorder.record(endpoint, status, Duration::from_millis(millis));
        }
        recorder.record_outcome(endpoint, Outcome::Aborted, Duration::from_secs(9));
        recorder.record(registry.endpoint("GET", "_unmatched"), 404, Duration::from_millis(1));
        let counts = apdex.count(&registry.snapshot());
        assert_eq!(counts, ApdexCounts { satisfied: 3, tolerating: 2, frustrated: 2 });
        assert_eq!(counts.halves(), ObjectiveCounts { valid: 14, good: 8 });
    }

    #[test]
    fn a_target_whose_fourfold_is_beyond_the_histogram_is_refused() {
        let refused = |target| Apdex::new(target).unwrap_err().to_string();
        assert_eq!(refused(Duration::ZERO), "apdex is 0ns; allowed: 1 ns to 15 s");
        assert_eq!(refused(Duration::from_secs(16)), "apdex is 16s; allowed: 1 ns to 15 s");
    }
}
