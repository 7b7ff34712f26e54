//! The states of alerts, and notices of their changes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::rule::Rule;
use crate::labels::endpoint::EndpointName;
use crate::labels::trace::TraceId;

/// A point in time by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For durations.
    pub monotonic: Instant,
    /// For display.
    pub wall: SystemTime,
}

/// The state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Does not breach its threshold.
    Inactive,
    /// Stopped firing less than 15 minutes ago.
    Resolved,
    /// Breaches its threshold, but not yet for long enough.
    Pending,
    /// Breaches its threshold.
    Firing,
}

/// The state of one rule for one endpoint, or for the whole service. Its `Display` is a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The endpoint. `None` for the whole service, for one of the application's own metrics, for a rule of routes that
    /// has no alert, and for a route that was never called.
    pub endpoint: Option<Arc<EndpointName>>,
    /// The state.
    pub state: State,
    /// The figure at the last evaluation, in the unit of the metric. `None` if there was nothing to compute it from.
    pub value: Option<f64>,
    /// When the alert entered its state, by the wall clock. `None` before the first evaluation.
    pub since: Option<SystemTime>,
    /// When the alert started firing, by the wall clock. `None` unless it is firing or resolved, or gave way.
    pub started: Option<SystemTime>,
    /// The trace of a request that shows what the alert is about, as of when it began to fire or was last reminded of:
    /// the slowest one for a time, the latest one for errors. `None` if none is known.
    pub trace: Option<TraceId>,
    /// Whether the rule names a route or a metric that was not seen for an hour; in a fleet, not since the reset, if
    /// that is an hour ago. Most likely its name is wrong.
    pub not_seen: bool,
    /// Whether it is about all instances of a service: see [`Alerts::of_fleet`](super::Alerts::of_fleet).
    pub of_fleet: bool,
    /// The newest version of the service, for a rule that compares it with the rest.
    pub version: Option<Arc<str>>,
}

/// A change of an alert that people should know about.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What happened.
    pub change: Change,
    /// The alert after the change.
    pub alert: Alert,
    /// The same for all copies of this notice. A fleet sends a notice twice if the sending instance died right after
    /// sending it. `None` for notices of one instance, which are sent once.
    pub event_id: Option<EventId>,
}

/// Identifies a notice. Its `Display` is 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The alert started firing.
    Firing,
    /// The alert is still firing; nothing has changed since the last notice.
    Reminder,
    /// The alert stopped firing, or is no longer tracked: see [`Alert::gave_way`].
    Resolved,
}

impl Alert {
    /// Whether this is the end of an alert that may still fire, but that had to give way to more severe ones: see
    /// [`Alerts::limited_to`](super::Alerts::limited_to). Its `Display` says so.
    pub fn gave_way(&self) -> bool {
        self.state == State::Inactive && self.started.is_some()
    }
}

impl EventId {
    /// Creates the id with these bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads what `Display` writes; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hexadecimal.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Moment {
    /// Reads the system's clocks.
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// The time since `earlier`; zero if that is later.
    pub(super) fn since(self, earlier: Instant) -> Duration {
        self.monotonic.saturating_duration_since(earlier)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "inactive",
            Self::Resolved => "resolved",
            Self::Pending => "pending",
            Self::Firing => "firing",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firing => "firing",
            Self::Reminder => "still firing",
            Self::Resolved => "resolved",
        })
    }
}
