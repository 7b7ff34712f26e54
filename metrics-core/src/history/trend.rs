//! Trends: the figures of a window, step by step.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::metrics;
use super::tiers::{Span, Tier};
use super::timeline::{BY_ENDPOINT, TOTAL};
use super::window::Window;
use crate::histogram::{Histogram, Layout};
use crate::read::snapshot::group::{GroupSnapshot, merged};
use crate::read::summary::figures::Figures;
use crate::read::summary::metrics::MetricFigures;
use crate::setting::InvalidSetting;

/// The steps of trends, the shortest first. A window has those that are no shorter than its frames.
const STEPS: [(&str, Duration); 7] = [
    ("1s", Duration::from_secs(1)),
    ("10s", Duration::from_secs(10)),
    ("1m", Duration::from_secs(60)),
    ("5m", Duration::from_secs(300)),
    ("30m", Duration::from_secs(1_800)),
    ("1h", Duration::from_secs(3_600)),
    ("2h", Duration::from_secs(7_200)),
];

/// The figures of a window, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The window.
    pub window: Window,
    /// The step: `1s`, `10s`, `1m`, `5m`, `30m`, `1h` or `2h`.
    pub step: &'static str,
    /// The steps, the oldest first. The last one is not over yet: it ends with the last tick. Steps without a tick are
    /// missing.
    pub points: Vec<Point>,
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

/// What a trend is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    All,
    Endpoint,
    Metric,
}

impl Subject {
    fn tiers(self) -> &'static [Tier; 3] {
        match self {
            Self::All => &TOTAL,
            Self::Endpoint => &BY_ENDPOINT,
            Self::Metric => &metrics::TIERS,
        }
    }
}

impl Point {
    /// The figures of a span.
    pub(super) fn of(span: Span, groups: &[GroupSnapshot], layout: Layout) -> Self {
        let histogram = merged(layout, groups.iter());
        Self { time: span.until, span: span.length(), figures: Figures::of(groups.iter()), histogram }
    }
}

/// The steps that are no shorter than the frames that reach that far back, and no longer than the window.
fn allowed_steps(length: Duration, subject: Subject) -> impl Iterator<Item = (&'static str, Duration)> {
    let reaching = subject.tiers().iter().find(|tier| tier.keep >= length);
    let finest = reaching.map_or(Duration::ZERO, |tier| tier.step);
    let longest = length.max(finest);
    STEPS.into_iter().filter(move |(_, step)| (finest..=longest).contains(step))
}

/// The step with this name, or the shortest one with at most 400 points.
pub(super) fn step_of(
    window: Window,
    length: Duration,
    step: Option<&str>,
    subject: Subject,
) -> Result<(&'static str, Duration), StepError> {
    // A window since a reset can be longer than what is kept of it.
    let [.., Tier { keep, .. }] = subject.tiers();
    let length = length.min(*keep);
    let mut allowed = allowed_steps(length, subject);
    let found = match step {
        Some(step) => allowed.find(|(name, _)| *name == step),
        // As many as a chart across a screen can show.
        None => allowed.find(|(_, step)| length.as_secs() / step.as_secs() <= 400),
    };
    found.ok_or_else(|| {
        let step: String = step.unwrap_or_default().chars().take(32).collect();
        let allowed = allowed_steps(length, subject).map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        InvalidSetting::new("step", format!("{step:?}"), format!("{allowed} (window {window})")).into()
    })
}
