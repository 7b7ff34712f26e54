//! The figures of some requests: counts, rates and percentiles.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::values_at_quantiles;
use crate::labels::outcome::Outcome;
use crate::read::snapshot::extremes::Extremes;
use crate::read::snapshot::group::GroupSnapshot;

/// The figures of some requests. All zero if there were none.
///
/// Counts and the sum are exact. Percentiles are rounded up by the histogram's relative error (below 0.8 % at two
/// digits), and clamped to minimum and maximum, so that `min <= p50 <= p95 <= p99 <= p999 <= max`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that ended, with any outcome.
    pub calls: u64,
    /// 4xx, 5xx and panics.
    pub errors: u64,
    /// Responses with a status 400 to 499.
    pub client_errors: u64,
    /// Responses with a status 500 to 599, and panics. With `client_errors`, they add up to `errors`.
    pub server_errors: u64,
    /// Requests whose client disconnected, or whose response was truncated. They are calls, but not errors for that
    /// reason.
    pub aborted: u64,
    /// The aborted requests whose response had begun. They are also counted by its status.
    pub truncated: u64,
    /// Requests that panicked before there was a response. They are also counted in `server_errors`.
    pub panicked: u64,
    /// How often each outcome occurred, by status; only outcomes that did.
    pub outcomes: Vec<(Outcome, u64)>,
    /// The sum of all durations.
    pub sum: Duration,
    /// The shortest duration. Exact since the last reset; a reset under load can move it within its bucket.
    pub min: Duration,
    /// The longest duration. Exact since the last reset; a reset under load can move it within its bucket.
    pub max: Duration,
    /// Half of the requests took no longer.
    pub p50: Duration,
    /// 95 % of the requests took no longer.
    pub p95: Duration,
    /// 99 % of the requests took no longer.
    pub p99: Duration,
    /// 99.9 % of the requests took no longer.
    pub p999: Duration,
    /// Durations over 68.7 s, which are exact in sum and maximum but share the last bucket of the percentiles.
    pub clamped: u64,
    /// Bytes of request bodies that the service read.
    pub request_bytes: u64,
    /// Bytes of the responses' bodies.
    pub response_bytes: u64,
}

impl Figures {
    /// Returns the mean duration, rounded down to a nanosecond; 0 if there were no calls.
    pub fn average(&self) -> Duration {
        let nanos = u64::try_from(self.sum.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos.checked_div(self.calls).unwrap_or(0))
    }

    /// Returns the errors per hundred calls; 0 if there were no calls.
    pub fn error_rate(&self) -> f64 {
        self.per_cent(self.errors)
    }

    /// Returns the 4xx per hundred calls; 0 if there were no calls.
    pub fn client_error_rate(&self) -> f64 {
        self.per_cent(self.client_errors)
    }

    /// Returns the 5xx and panics per hundred calls; 0 if there were no calls.
    pub fn server_error_rate(&self) -> f64 {
        self.per_cent(self.server_errors)
    }

    /// Adds how often outcomes occurred, without times or bytes. The sum of durations grows in proportion, so the
    /// average stays.
    pub(crate) fn add_counts(&mut self, counts: impl IntoIterator<Item = (Outcome, u64)>) {
        let average = self.average();
        let timed = self.calls;
        counts.into_iter().for_each(|(outcome, count)| self.count(outcome, count));
        let more = average.as_nanos() * u128::from(self.calls - timed);
        self.sum = self.sum.saturating_add(Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX)));
        self.outcomes.sort_unstable();
    }

    fn per_cent(&self, count: u64) -> f64 {
        if self.calls == 0 { 0.0 } else { count as f64 * 100.0 / self.calls as f64 }
    }

    /// The figures of groups of statuses whose histograms have the same precision.
    pub(crate) fn of<'a>(groups: impl Iterator<Item = &'a GroupSnapshot> + Clone) -> Self {
        let mut figures = Self::default();
        let mut extremes = Extremes::NONE;
        let mut sum_nanos = 0_u64;
        for group in groups.clone() {
            for &(outcome, count) in &group.counts {
                figures.count(outcome, count);
            }
            sum_nanos = sum_nanos.saturating_add(group.sum_nanos);
            figures.clamped = figures.clamped.saturating_add(group.clamped);
            let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
            add(&mut figures.truncated, group.truncated);
            add(&mut figures.aborted, group.truncated);
            add(&mut figures.request_bytes, group.bytes.request);
            add(&mut figures.response_bytes, group.bytes.response);
            extremes = extremes.widened(group.extremes);
        }
        figures.outcomes.sort_unstable();
        figures.sum = Duration::from_nanos(sum_nanos);
        let mut histograms =
            groups.map(|group| &group.histogram).filter(|histogram| histogram.total() > 0).peekable();
        if let Some(layout) = histograms.peek().map(|histogram| histogram.layout()) {
            let quantiles = values_at_quantiles(layout, histograms, [0.50, 0.95, 0.99, 0.999]);
            [figures.p50, figures.p95, figures.p99, figures.p999] =
                quantiles.map(|nanos| Duration::from_nanos(nanos.max(extremes.min).min(extremes.max)));
            figures.min = Duration::from_nanos(extremes.min);
            figures.max = Duration::from_nanos(extremes.max);
        }
        figures
    }

    fn count(&mut self, outcome: Outcome, count: u64) {
        let add = |sum: &mut u64| *sum = sum.saturating_add(count);
        add(&mut self.calls);
        if outcome.is_error() {
            add(&mut self.errors);
        }
        if outcome.is_client_error() {
            add(&mut self.client_errors);
        }
        if outcome.is_server_error() {
            add(&mut self.server_errors);
        }
        match outcome {
            Outcome::Aborted => add(&mut self.aborted),
            Outcome::Panicked => add(&mut self.panicked),
            _ => {}
        }
        match self.outcomes.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, sum)) => add(sum),
            None => self.outcomes.push((outcome, count)),
        }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_added_without_times_keep_the_average() {
        let mut timed =
            Figures { calls: 5, sum: Duration::from_secs(10), request_bytes: 7, ..Figures::default() };
        timed.add_counts([(Outcome::Status(500), 1), (Outcome::Panicked, 2)]);
        assert_eq!((timed.calls, timed.errors, timed.server_errors, timed.panicked), (8, 3, 3, 2));
        assert_eq!((timed.average(), timed.sum), (Duration::from_secs(2), Duration::from_secs(16)));
        assert_eq!((timed.client_errors, timed.request_bytes), (0, 7));
        let mut none = Figures::default();
        none.add_counts([(Outcome::Status(500), 1)]);
        assert_eq!((none.calls, none.sum), (1, Duration::ZERO));
    }
}
