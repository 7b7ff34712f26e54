//! One instance of a fleet: who it is, whether it still writes, and its figures in short.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use metrics_core::Granularity;

/// The longest interval of a report. A longer one is refused, since it would keep an instance up for as long as it
/// claims.
pub(super) const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

/// The longest time that the figures of a report cover: ten years, longer than any process runs. A longer one is
/// refused, since the rates of the whole fleet are over the longest.
pub(super) const MAX_SPAN: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// The instance that writes a report, and when it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The name of the service.
    pub service: String,
    /// The name of the instance. Together with `started`, it identifies an instance.
    pub name: String,
    /// The version of the service.
    pub version: String,
    /// When the instance started, by its own clock.
    pub started: SystemTime,
    /// When it wrote this report, by its own clock.
    pub written: SystemTime,
    /// How often it writes, at most an hour apart.
    pub interval: Duration,
    /// The epoch of the figures.
    pub epoch: u64,
    /// Whether this is the last report, because the instance shuts down.
    pub stopped: bool,
    /// Which of its settings must be the same at all instances.
    pub fingerprints: Fingerprints,
}

/// Fingerprints of settings that should be the same at all instances of a fleet; `None` if the instance has none. They
/// only say whether two settings differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprints {
    /// Of the rules and objectives.
    pub rules: Option<NonZeroU64>,
    /// Of the key under which the names of consumers are hashed.
    pub consumer_key: Option<NonZeroU64>,
}

/// Whether an instance still writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It wrote within the last three of its intervals.
    Up,
    /// It has not written for three to thirty intervals.
    Stale,
    /// It shut down, or has not written for over thirty intervals.
    Gone,
}

impl Presence {
    /// Returns `up`, `stale` or `gone`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stale => "stale",
            Self::Gone => "gone",
        }
    }
}

impl Instance {
    /// Returns whether the instance still writes at `now`. A `now` before its last write counts as the time of that
    /// write.
    pub fn presence(&self, now: SystemTime) -> Presence {
        let silent = now.duration_since(self.written).unwrap_or_default();
        match silent {
            _ if self.stopped => Presence::Gone,
            silent if silent <= self.interval.saturating_mul(3) => Presence::Up,
            silent if silent <= self.interval.saturating_mul(30) => Presence::Stale,
            _ => Presence::Gone,
        }
    }
}

/// One instance's figures, in short.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceFigures {
    /// The instance, and when it last wrote.
    pub instance: Instance,
    /// Whether it still writes.
    pub presence: Presence,
    /// Requests that have ended.
    pub calls: u64,
    /// Requests that ended with 4xx, 5xx or a panic.
    pub errors: u64,
    /// 95 % of the requests took no longer.
    pub p95: Duration,
    /// The size of its report, in bytes.
    pub bytes: usize,
    /// How its report is written.
    pub form: Form,
}

/// How a report is written, as far as instances can differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The version of the format.
    pub version: u8,
    /// The significant digits of its histograms.
    pub digits: u8,
    /// Which statuses share a histogram.
    pub granularity: Granularity,
    /// Parts that only a later version of this library knows, and that were skipped.
    pub unknown: u64,
}
