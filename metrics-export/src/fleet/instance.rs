//! One instance of a fleet: who it is, whether it still writes, and its figures in short.

use std::time::{Duration, SystemTime};

/// Who writes a report, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The service that it is an instance of.
    pub service: String,
    /// What it is called. With the time of its start it tells instances apart.
    pub name: String,
    /// The version of the service.
    pub version: String,
    /// When it started, by its wall clock.
    pub started: SystemTime,
    /// When it wrote this.
    pub written: SystemTime,
    /// How often it writes.
    pub interval: Duration,
    /// The epoch that the figures are of.
    pub epoch: u64,
    /// Whether this is the last report, because the instance stops.
    pub stopped: bool,
}

/// Whether an instance still writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It wrote within three of its intervals.
    Up,
    /// It has not written for longer than that.
    Stale,
    /// It said that it stops, or has not written for thirty of its intervals.
    Gone,
}

impl Presence {
    /// `up`, `stale` or `gone`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stale => "stale",
            Self::Gone => "gone",
        }
    }
}

impl Instance {
    /// Whether the instance still writes at a moment. A clock that is behind the instance's counts as the same.
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

/// One instance's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceFigures {
    /// Who it is, and when it wrote last.
    pub instance: Instance,
    /// Whether it still writes.
    pub presence: Presence,
    /// Requests that ended.
    pub calls: u64,
    /// 4xx, 5xx and panics among them.
    pub errors: u64,
    /// 95 % of its requests took no longer.
    pub p95: Duration,
    /// Bytes of its report.
    pub bytes: usize,
}
