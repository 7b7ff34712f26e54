//! What one instance tells the others: who it is, its figures and its last errors.

use std::time::{Duration, SystemTime};

use metrics_core::{RecentError, Snapshot};

use super::bytes::Writer;
use super::decoded::Decoded;
use super::error::DecodeError;
use super::format;

/// The longest report, in bytes.
pub const MAX_REPORT_BYTES: usize = 4 << 20;

/// The most consumers that a report names; the others are added up as `_other`.
pub(super) const MAX_REPORT_CONSUMERS: usize = 50;

/// The most errors in a report.
pub(super) const MAX_REPORT_ERRORS: usize = 32;

/// One instance's figures, as they are written for others to read.
///
/// `docs/fleet-format.md` says what the bytes are.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use metrics_export::fleet::{Instance, Report};
/// let registry = metrics_core::Registry::new();
/// registry.record_nanos(registry.endpoint("GET", "/"), 200, 350_000);
/// let instance = Instance {
///     service: "orders".to_owned(),
///     name: "a".to_owned(),
///     version: "1.0".to_owned(),
///     started: SystemTime::UNIX_EPOCH,
///     written: SystemTime::UNIX_EPOCH + Duration::from_secs(10),
///     interval: Duration::from_secs(10),
///     epoch: 0,
///     stopped: false,
/// };
/// let report = Report { instance, snapshot: registry.snapshot(), errors: Vec::new() };
/// let read = Report::decode(&report.encode()).unwrap();
/// assert_eq!(read.snapshot.summary().total.calls, 1);
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    /// Who writes it, and when.
    pub instance: Instance,
    /// Its figures: since the epoch began, or of a window.
    pub snapshot: Snapshot,
    /// Its last errors, newest first.
    pub errors: Vec<RecentError>,
}

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

impl Report {
    /// The bytes. Consumers past the 50 with the most calls are added up as `_other`, and errors past the newest 32 are
    /// left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        format::write(&mut writer, &self.instance, &self.snapshot.to_parts(), &self.errors);
        writer.0
    }

    /// Reads bytes that may be of anybody's making. Takes memory in proportion to their number, and at most 40 MiB for
    /// histograms.
    ///
    /// # Errors
    ///
    /// When they are not a whole report of this version, or something in it is out of range.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Decoded::read(bytes)?.spread_out()?)
    }

    /// As [`Report::decode`], but with what holds at the moment `now` only: distinct values of the day are those of `now`'s
    /// day, and what an instance keeps that is not [up](Presence::Up) any more (gauges, requests under way, open streams) is
    /// left out.
    pub fn decode_at(bytes: &[u8], now: SystemTime) -> Result<Self, DecodeError> {
        Ok(Decoded::read_at(bytes, now)?.spread_out()?)
    }
}
