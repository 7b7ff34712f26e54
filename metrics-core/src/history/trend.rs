//! Trends: the figures of a window, step by step.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::window::Window;
use crate::histogram::Histogram;
use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::Outcome;
use crate::read::summary::figures::Figures;
use crate::read::summary::metrics::MetricFigures;
use crate::setting::InvalidSetting;

/// Which requests a trend covers: all, unless a field selects some.
#[derive(Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Those of this endpoint.
    pub endpoint: Option<&'a EndpointName>,
    /// Those that ended like this.
    pub outcomes: Option<&'a dyn Fn(Outcome) -> bool>,
}

impl Selection<'_> {
    pub(super) fn have(self, outcome: Outcome) -> bool {
        self.outcomes.is_none_or(|have| have(outcome))
    }
}

impl fmt::Debug for Selection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes = self.outcomes.map_or("all", |_| "some");
        f.debug_struct("Selection").field("endpoint", &self.endpoint).field("outcomes", &outcomes).finish()
    }
}

/// The figures of a period, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The window; `None` if it is another period.
    pub window: Option<Window>,
    /// The step: `1s`, `10s`, `1m`, `5m`, `30m`, `1h` or `2h`.
    pub step: &'static str,
    /// The steps, the oldest first. The last one is still running, and ends with the last tick. Steps without a tick
    /// are missing.
    pub points: Vec<Point>,
    /// All steps as one, which ends with the last one: percentiles are computed from merged histograms.
    pub total: Point,
    /// Whether the durations are known. They are not if some of the requests share a histogram with others, such as 5xx
    /// with 4xx under [`Granularity::Outcome`](crate::Granularity::Outcome). Figures of durations are then meaningless.
    pub timed: bool,
}

/// Counts of a period, step by step, where the history keeps no more.
#[derive(Debug, Clone, PartialEq)]
pub struct CountTrend {
    /// The window; `None` if it is another period.
    pub window: Option<Window>,
    /// The length of a step.
    pub step: &'static str,
    /// The steps, the oldest first. Steps for which nothing is kept are missing.
    pub points: Vec<CountPoint>,
}

/// One step of a [`CountTrend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountPoint {
    /// When it ended, by the wall clock.
    pub time: SystemTime,
    /// How long it was; compute rates from this.
    pub span: Duration,
    /// The requests.
    pub calls: u64,
    /// The calls that ended with a 4xx, a 5xx or a panic.
    pub errors: u64,
    /// The sum of their durations, if it is kept.
    pub sum: Option<Duration>,
}

/// One step of a trend.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When it ended, by the wall clock.
    pub time: SystemTime,
    /// How long it was, by the monotonic clock; compute rates from this. Shorter than a step if ticks are missing, and
    /// longer if a tick was late.
    pub span: Duration,
    /// The figures of the requests.
    pub figures: Figures,
    /// Their response times.
    pub histogram: Histogram,
    /// The requests with any status: as many as in the figures, unless those are of [some
    /// outcomes](Selection::outcomes).
    pub all_calls: u64,
}

/// One of the application's own metrics over a window, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricTrend {
    /// The name of the metric.
    pub name: Arc<str>,
    /// The window.
    pub window: Window,
    /// The step, as in a [`Trend`].
    pub step: &'static str,
    /// The steps, the oldest first. The newest one ended up to ten seconds ago. Steps without a tick are missing. So
    /// are, for a gauge or a unique count, the steps before its first value.
    pub points: Vec<MetricPoint>,
}

/// One step of a metric's trend.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    /// When it ended, by the wall clock.
    pub time: SystemTime,
    /// How long it was, by the monotonic clock; compute rates from this.
    pub span: Duration,
    /// What was counted in the step. For a gauge or a unique count, the value at its end.
    pub figures: MetricFigures,
}

/// A step that a window does not have.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct StepError(#[from] InvalidSetting);

crate::text::debug_as_display!(StepError);
