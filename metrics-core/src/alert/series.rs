//! The state of one alert: of one rule for one endpoint, or for the whole service.

use std::time::{Duration, Instant, SystemTime};

use super::notice::{Change, Moment, State};
use super::rule::Rule;
use crate::labels::trace::TraceId;

/// How long an alert that stopped firing is shown as resolved.
const SHOW_RESOLVED: Duration = Duration::from_secs(900);

/// The input of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Observation {
    /// The figure; `None` if there was nothing to compute it from.
    pub(super) value: Option<f64>,
    /// Calls in the window.
    pub(super) calls: u64,
    /// Whether the figures cover the whole window.
    pub(super) is_whole: bool,
}

/// The state of one alert.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) value: Option<f64>,
    /// When it entered its phase, by the wall clock.
    pub(super) since: SystemTime,
    /// See [`Alert::trace`](super::Alert::trace).
    pub(super) trace: Option<TraceId>,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    Inactive,
    /// For how long the threshold has been breached at every evaluation.
    Pending(Duration),
    Firing {
        /// The last notice.
        noticed: Instant,
    },
    Resolved {
        started: SystemTime,
        at: Instant,
    },
}

impl Observation {
    fn breaches(self, rule: &Rule) -> bool {
        let breaches = self.value.is_some_and(|value| rule.comparison.holds(value, rule.threshold));
        breaches && self.calls >= rule.min_calls && (self.is_whole || rule.comparison.is_upwards())
    }

    fn clears(self, rule: &Rule) -> bool {
        !self.value.is_some_and(|value| rule.comparison.holds(value, rule.clear))
    }
}

impl Series {
    pub(super) fn new(now: Moment) -> Self {
        Self { value: None, since: now.wall, trace: None, phase: Phase::Inactive }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Inactive => State::Inactive,
            Phase::Pending(_) => State::Pending,
            Phase::Firing { .. } => State::Firing,
            Phase::Resolved { .. } => State::Resolved,
        }
    }

    /// When it began to fire, if it is firing or resolved.
    pub(super) fn started(&self) -> Option<SystemTime> {
        match self.phase {
            Phase::Firing { .. } => Some(self.since),
            Phase::Resolved { started, .. } => Some(started),
            Phase::Inactive | Phase::Pending(_) => None,
        }
    }

    /// Takes the observation of `now`, and returns what changed. `watched` is the time since the last one, or `None` if
    /// that was so long ago that nothing is known about the time in between.
    pub(super) fn step(
        &mut self,
        rule: &Rule,
        observation: Observation,
        now: Moment,
        watched: Option<Duration>,
    ) -> Option<Change> {
        self.value = observation.value;
        match self.phase {
            Phase::Inactive | Phase::Resolved { .. } if observation.breaches(rule) => {
                self.pend(rule, Duration::ZERO, now)
            }
            Phase::Resolved { at, .. } if now.since(at) >= SHOW_RESOLVED => {
                self.enter(Phase::Inactive, now);
                None
            }
            Phase::Pending(held) if observation.breaches(rule) => {
                self.pend(rule, watched.map_or(Duration::ZERO, |watched| held + watched), now)
            }
            Phase::Pending(_) => {
                self.enter(Phase::Inactive, now);
                None
            }
            Phase::Firing { .. } if observation.clears(rule) => {
                self.enter(Phase::Resolved { started: self.since, at: now.monotonic }, now);
                Some(Change::Resolved)
            }
            Phase::Firing { ref mut noticed }
                if !rule.remind_every.is_zero() && now.since(*noticed) >= rule.remind_every =>
            {
                *noticed = now.monotonic;
                Some(Change::Reminder)
            }
            Phase::Inactive | Phase::Resolved { .. } | Phase::Firing { .. } => None,
        }
    }

    /// The threshold has been breached for `held`.
    fn pend(&mut self, rule: &Rule, held: Duration, now: Moment) -> Option<Change> {
        if held >= rule.for_duration {
            self.enter(Phase::Firing { noticed: now.monotonic }, now);
            return Some(Change::Firing);
        }
        match &mut self.phase {
            Phase::Pending(before) if !held.is_zero() => *before = held,
            _ => self.enter(Phase::Pending(held), now),
        }
        None
    }

    fn enter(&mut self, phase: Phase, now: Moment) {
        self.phase = phase;
        self.since = now.wall;
    }
}
