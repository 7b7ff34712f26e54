//! The states of alerts as another process takes them over.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::engine::{Alerts, Watch};
use super::notice::{Moment, Notice};
use super::rule::Scope;
use super::series::{Phase, Series};
use crate::labels::endpoint::EndpointName;

/// The states of all alerts that are not inactive, by the wall clock.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedAlerts {
    /// When each rule was last evaluated, by its name.
    pub evaluated: Vec<(String, SystemTime)>,
    /// The alerts.
    pub alerts: Vec<SavedAlert>,
    /// The latest changes, the oldest first: see [`Alerts::changes`].
    pub changes: Vec<Notice>,
}

/// The state of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedAlert {
    /// The name of its rule.
    pub rule: String,
    /// See [`Alert::endpoint`](super::Alert::endpoint).
    pub endpoint: Option<Arc<EndpointName>>,
    /// See [`Alert::value`](super::Alert::value).
    pub value: Option<f64>,
    /// When it entered its state.
    pub since: SystemTime,
    /// Its state.
    pub phase: SavedPhase,
}

/// The state of an alert, and what another process needs to continue it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedPhase {
    /// The threshold has been breached for this long.
    Pending(Duration),
    /// It fires, and this was its last notice.
    Firing(SystemTime),
    /// It stopped firing.
    Resolved {
        /// When it started firing.
        started: SystemTime,
        /// When it stopped.
        at: SystemTime,
    },
}

impl Alerts {
    /// Returns the states, for [`Alerts::resume`].
    pub fn save(&self, now: Moment) -> SavedAlerts {
        let wall = |at: Instant| now.wall.checked_sub(now.since(at)).unwrap_or(now.wall);
        let changes = self.changes.iter().cloned().collect();
        let mut saved = SavedAlerts { changes, ..SavedAlerts::default() };
        for watch in &self.watches {
            let name = || watch.rule.name.clone();
            saved.evaluated.extend(watch.evaluated.map(|at| (name(), wall(at))));
            for (endpoint, series) in &watch.series {
                let phase = match series.phase {
                    Phase::Inactive => continue,
                    Phase::Pending(held) => SavedPhase::Pending(held),
                    Phase::Firing { noticed } => SavedPhase::Firing(wall(noticed)),
                    Phase::Resolved { started, at } => SavedPhase::Resolved { started, at: wall(at) },
                };
                let (endpoint, value, since) = (endpoint.clone(), series.value, series.since);
                saved.alerts.push(SavedAlert { rule: name(), endpoint, value, since, phase });
            }
        }
        saved
    }

    /// Replaces its own states by these. States of rules that it does not have are left out. The clocks of both
    /// processes should agree; a time ahead of this clock counts as now. Alerts for which there is no room are dropped,
    /// and the next evaluation returns the notices of their ends: see [`Alerts::limited_to`].
    pub fn resume(&mut self, now: Moment, saved: &SavedAlerts) {
        let monotonic = |wall: SystemTime| {
            let ago = now.wall.duration_since(wall).unwrap_or_default();
            // An instant before the start of the machine may not exist.
            now.monotonic.checked_sub(ago).unwrap_or(now.monotonic)
        };
        for watch in &mut self.watches {
            let name = &watch.rule.name;
            let evaluated = saved.evaluated.iter().find(|(rule, _)| rule == name);
            watch.evaluated = evaluated.map(|(_, at)| monotonic(*at));
            watch.series.clear();
            watch.left_out = 0;
            for alert in saved.alerts.iter().filter(|alert| alert.rule == *name) {
                if watch.has(alert) {
                    let phase = match alert.phase {
                        SavedPhase::Pending(held) => Phase::Pending(held),
                        SavedPhase::Firing(noticed) => Phase::Firing { noticed: monotonic(noticed) },
                        SavedPhase::Resolved { started, at } => {
                            Phase::Resolved { started, at: monotonic(at) }
                        }
                    };
                    let series = Series { value: alert.value, since: alert.since, trace: None, phase };
                    watch.series.insert(alert.endpoint.clone(), series);
                }
            }
            if !watch.rule.comparison.is_upwards() {
                watch.known.extend(watch.series.keys().flatten().cloned());
            }
        }
        self.changes = saved.changes.iter().cloned().collect();
        let mut ended = Vec::new();
        self.fit(&mut ended, now);
        self.ended = ended;
    }
}

impl Watch {
    /// Whether a rule can have such an alert: its scope may be another one by now.
    fn has(&self, alert: &SavedAlert) -> bool {
        match (&self.rule.scope, &alert.endpoint) {
            (scope @ (Scope::EachRoute | Scope::Route(_)), Some(endpoint)) => scope.has(endpoint),
            (Scope::Route(_), None) => true,
            (Scope::EachRoute, None) => false,
            (_, endpoint) => endpoint.is_none(),
        }
    }
}
