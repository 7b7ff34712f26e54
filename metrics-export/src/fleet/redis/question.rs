//! The questions that a member answers, and the answers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointName, Point, Summary};

use crate::fleet::merge::Fleet;

/// A question that a member of a fleet can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// The figures since the epoch began.
    SinceReset,
    /// The figures of the current minute and of the minutes before it.
    Minutes {
        /// How many minutes before the current one.
        minutes: u8,
        /// Whether endpoints are counted separately.
        routes: bool,
    },
    /// The figures of each version of the service.
    Versions {
        /// How many minutes before the current one; `None` since the epoch began.
        minutes: Option<u8>,
    },
    /// The figures of each of some minutes.
    Trend {
        /// How many minutes before the current one is the last one; two hours are kept.
        ago: u8,
        /// How many minutes before the last one.
        minutes: u8,
        /// Only those of this instance.
        instance: Option<InstanceId>,
        /// Only those of this endpoint.
        route: Option<RouteId>,
    },
    /// Returns the figures since the epoch began, and starts the next epoch.
    Reset,
}

/// Identifies the instances of one name, before and after restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId(u64);

impl InstanceId {
    /// Returns the id of the instances of this name: a hash, which is the same within a process.
    pub fn of(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Identifies an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(u64);

impl RouteId {
    /// Returns the id of an endpoint: a hash, which is the same within a process.
    pub fn of(endpoint: &EndpointName) -> Self {
        let mut hasher = DefaultHasher::new();
        (&*endpoint.method, &*endpoint.route).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The figures of a fleet, read at one time.
#[derive(Debug)]
pub struct Answer {
    /// The reports, added up, and what was left out.
    pub fleet: Fleet,
    /// The figures of all reports; `None` if there are no reports, or their versions were asked for.
    pub summary: Option<Summary>,
    /// The figures of each minute with reports, the earliest first, if a [trend](Question::Trend) was asked for.
    pub trend: Vec<Point>,
    /// The epoch that was read.
    pub epoch: u64,
    /// When the reports were read.
    pub read: SystemTime,
    /// How many bytes were read.
    pub bytes: usize,
    /// How long reading and adding up took.
    pub took: Duration,
}

/// Why there is no current answer. After a [reset](Question::Reset) the reason says whether it was done.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Stale {
    /// When the failures began.
    pub since: SystemTime,
    /// What went wrong.
    pub reason: String,
}

metrics_core::debug_as_display!(Stale);

/// Too many callers are already waiting; the question was not asked.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} callers are already waiting for the fleet; try again later")]
pub struct Busy {
    /// How many callers may wait at one time.
    pub limit: usize,
}

metrics_core::debug_as_display!(Busy);

/// Why a question was not answered.
#[derive(Debug)]
pub(super) struct ReadFailed {
    pub(super) reason: String,
    /// Whether a reset was sent and its answer was lost, so that Redis may have done it.
    pub(super) may_be_reset: bool,
}

impl From<String> for ReadFailed {
    fn from(reason: String) -> Self {
        Self { reason, may_be_reset: false }
    }
}
