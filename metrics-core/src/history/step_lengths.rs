//! The steps that trends can have.

use std::time::Duration;

use super::tiers::Tier;
use super::timeline::{BY_ENDPOINT, TOTAL};
use super::trend::StepError;
use super::window::Window;
use super::{consumers, metrics};
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

/// What a trend is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    All,
    Endpoint,
    Metric,
    Consumer,
}

impl Subject {
    fn tiers(self) -> &'static [Tier] {
        match self {
            Self::All => &TOTAL,
            Self::Endpoint => &BY_ENDPOINT,
            Self::Metric => &metrics::TIERS,
            Self::Consumer => &consumers::TIERS,
        }
    }
}

/// The steps that are no shorter than the frames that reach that far back, and no longer than the period.
fn allowed_steps(
    reach: Duration,
    length: Duration,
    subject: Subject,
) -> impl Iterator<Item = (&'static str, Duration)> {
    let reaching = subject.tiers().iter().find(|tier| tier.keep >= reach);
    let finest = reaching.map_or(Duration::ZERO, |tier| tier.step);
    let longest = length.max(finest);
    STEPS.into_iter().filter(move |(_, step)| (finest..=longest).contains(step))
}

/// The step with this name, or the shortest one with at most 400 points, of a period that began `reach` ago.
pub(super) fn step_of(
    window: Option<Window>,
    (reach, length): (Duration, Duration),
    step: Option<&str>,
    subject: Subject,
) -> Result<(&'static str, Duration), StepError> {
    // A window since a reset can be longer than what is kept of it.
    let keep = subject.tiers().last().map_or(Duration::ZERO, |tier| tier.keep);
    let (reach, length) = (reach.min(keep), length.min(keep));
    let mut allowed = allowed_steps(reach, length, subject);
    let found = match step {
        Some(step) => allowed.find(|(name, _)| *name == step),
        // As many as a chart across a screen can show.
        None => allowed.find(|(_, step)| length.as_secs() / step.as_secs() <= 400),
    };
    found.ok_or_else(|| {
        let step: String = step.unwrap_or_default().chars().take(32).collect();
        let allowed =
            allowed_steps(reach, length, subject).map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        let of = window.map_or_else(|| "this period".to_owned(), |window| format!("window {window}"));
        InvalidSetting::new("step", format!("{step:?}"), format!("{allowed} ({of})")).into()
    })
}

/// The name of a step of this length.
pub(super) fn name_of(step: Duration) -> &'static str {
    STEPS.iter().find(|(_, length)| *length == step).map_or("", |(name, _)| name)
}
