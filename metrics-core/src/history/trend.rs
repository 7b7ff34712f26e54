//! What was counted in a window, step by step.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::metrics;
use super::tiers::Tier;
use super::timeline::{BY_ENDPOINT, Span, TOTAL};
use super::window::Window;
use crate::histogram::{Histogram, Layout};
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::snapshot::group::merged;
use crate::read::summary::figures::Figures;
use crate::read::summary::metrics::MetricFigures;

/// The steps that trends come in, from the shortest. Of a window, those that are as long as its frames.
const STEPS: [(&str, Duration); 7] = [
    ("1s", Duration::from_secs(1)),
    ("10s", Duration::from_secs(10)),
    ("1m", Duration::from_secs(60)),
    ("5m", Duration::from_secs(300)),
    ("30m", Duration::from_secs(1_800)),
    ("1h", Duration::from_secs(3_600)),
    ("2h", Duration::from_secs(7_200)),
];

/// The most points of a trend.
const MAX_POINTS: u64 = 1_500;

/// What was counted in a window, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The window.
    pub window: Window,
    /// The step: `1s`, `10s`, `1m`, `5m`, `30m`, `1h` or `2h`.
    pub step: &'static str,
    /// What was counted in each step, the oldest first. The last step is not over yet, and ends with the last tick. Steps in
    /// which nobody looked are missing.
    pub points: Vec<Point>,
}

/// What was counted in one step of a trend.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When it ended, by the wall clock.
    pub time: SystemTime,
    /// How long it was, by the monotonic clock. Rates are per second of this. Shorter than a step where nobody looked for a
    /// while, and longer where a tick came late.
    pub span: Duration,
    /// The figures of its requests.
    pub figures: Figures,
    /// Their durations.
    pub histogram: Histogram,
}

/// What one of the application's own metrics was in a window, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricTrend {
    /// What the metric is called.
    pub name: Arc<str>,
    /// The window.
    pub window: Window,
    /// The step, as in a [`Trend`].
    pub step: &'static str,
    /// The steps, the oldest first. The newest ends up to ten seconds ago. Steps in which nobody looked are missing, and of a
    /// gauge and of distinct values those before there were any.
    pub points: Vec<MetricPoint>,
}

/// One step of a metric's trend.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    /// When it ended, by the wall clock.
    pub time: SystemTime,
    /// How long it was, by the monotonic clock. Rates are per second of this.
    pub span: Duration,
    /// What was counted in it; of a gauge and of distinct values, what they were at its end.
    pub figures: MetricFigures,
}

/// A step that a window does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step is {step:?}; allowed for {window}: {allowed}")]
pub struct StepError {
    step: String,
    window: Window,
    allowed: String,
}

/// What a trend is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    All,
    Endpoint,
    Metric,
}

impl Of {
    fn tiers(self) -> &'static [Tier] {
        match self {
            Self::All => &TOTAL,
            Self::Endpoint => &BY_ENDPOINT,
            Self::Metric => &metrics::TIERS,
        }
    }
}

impl Point {
    /// What was counted in a span.
    pub(super) fn of(span: Span, groups: &[GroupSnapshot], layout: Layout) -> Self {
        let histogram = merged(layout, groups.iter());
        Self { time: span.until, span: span.length(), figures: Figures::of(groups.iter()), histogram }
    }
}

/// Those that are not shorter than the frames that reach as far back, not longer than the window, and not too many.
fn allowed_steps(length: Duration, of: Of) -> impl Iterator<Item = (&'static str, Duration)> {
    let tiers = of.tiers();
    let reaching = tiers.iter().find(|tier| tier.keep >= length).or(tiers.last());
    let finest = reaching.map_or(Duration::ZERO, |tier| tier.step);
    let points = move |step: Duration| length.as_secs() / step.as_secs();
    STEPS.into_iter().filter(move |&(_, step)| {
        step == finest || (step > finest && step <= length && points(step) <= MAX_POINTS)
    })
}

/// The step that is asked for, or the shortest that a chart has room for.
pub(super) fn step_of(
    window: Window,
    length: Duration,
    step: Option<&str>,
    of: Of,
) -> Result<(&'static str, Duration), StepError> {
    let mut allowed = allowed_steps(length, of);
    let found = match step {
        Some(step) => allowed.find(|(name, _)| *name == step),
        // Enough for a chart as wide as a screen.
        None => allowed.find(|(_, step)| length.as_secs() / step.as_secs() <= 400),
    };
    found.ok_or_else(|| StepError {
        step: step.unwrap_or_default().chars().take(32).collect(),
        window,
        allowed: allowed_steps(length, of).map(|(name, _)| name).collect::<Vec<_>>().join(", "),
    })
}
