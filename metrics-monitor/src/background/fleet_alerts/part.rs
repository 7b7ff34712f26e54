//! The parts of the state of a fleet's alerts as JSON: an alert, and a notice or change.

use std::sync::Arc;
use std::time::Duration;

use metrics_core::alert::{Alert, Change, EventId, Notice, Rule, SavedAlert, SavedPhase, State};
use metrics_core::{EndpointName, MAX_NAME_BYTES};
use serde::{Deserialize, Serialize};

use super::outbox::Entry;
use super::times::{MAX_MILLIS, millis, time};

/// The most destinations of a notice.
const MAX_DONE: usize = 64;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AlertRecord {
    pub(super) rule: String,
    pub(super) method: Option<String>,
    pub(super) route: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) since: u64,
    #[serde(flatten)]
    pub(super) phase: PhaseRecord,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum PhaseRecord {
    Pending { held: u64 },
    Firing { noticed: u64 },
    Resolved { started: u64, at: u64 },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NoticeRecord {
    pub(super) id: String,
    pub(super) change: ChangeRecord,
    pub(super) rule: String,
    pub(super) method: Option<String>,
    pub(super) route: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) since: Option<u64>,
    pub(super) started: Option<u64>,
    pub(super) version: Option<String>,
    pub(super) done: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) gave_way: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChangeRecord {
    Firing,
    Reminder,
    Resolved,
}

impl AlertRecord {
    pub(super) fn new(alert: &SavedAlert) -> Self {
        let name = alert.endpoint.as_deref();
        Self {
            rule: alert.rule.clone(),
            method: name.map(|name| name.method.to_string()),
            route: name.map(|name| name.route.to_string()),
            value: alert.value.filter(|value| value.is_finite()),
            since: millis(alert.since),
            phase: match alert.phase {
                SavedPhase::Pending(held) => PhaseRecord::Pending { held: held.as_millis() as u64 },
                SavedPhase::Firing(noticed) => PhaseRecord::Firing { noticed: millis(noticed) },
                SavedPhase::Resolved { started, at } => {
                    PhaseRecord::Resolved { started: millis(started), at: millis(at) }
                }
            },
        }
    }

    pub(super) fn saved(self) -> Option<SavedAlert> {
        Some(SavedAlert {
            endpoint: endpoint(self.method, self.route)?,
            rule: self.rule,
            value: self.value,
            since: time(self.since),
            phase: match self.phase {
                PhaseRecord::Pending { held } => {
                    SavedPhase::Pending(Duration::from_millis(held.min(MAX_MILLIS)))
                }
                PhaseRecord::Firing { noticed } => SavedPhase::Firing(time(noticed)),
                PhaseRecord::Resolved { started, at } => {
                    SavedPhase::Resolved { started: time(started), at: time(at) }
                }
            },
        })
    }
}

impl NoticeRecord {
    pub(super) fn new(Entry { notice: Notice { change, alert, .. }, id, done, .. }: &Entry) -> Self {
        let name = alert.endpoint.as_deref();
        Self {
            id: id.to_string(),
            change: match change {
                Change::Firing => ChangeRecord::Firing,
                Change::Reminder => ChangeRecord::Reminder,
                Change::Resolved => ChangeRecord::Resolved,
            },
            rule: alert.rule.name.clone(),
            method: name.map(|name| name.method.to_string()),
            route: name.map(|name| name.route.to_string()),
            value: alert.value.filter(|value| value.is_finite()),
            since: alert.since.map(millis),
            started: alert.started.map(millis),
            version: alert.version.as_deref().map(str::to_owned),
            done: done.clone(),
            gave_way: alert.gave_way(),
        }
    }

    pub(super) fn entry(self, rule: &Arc<Rule>) -> Option<Entry> {
        let (change, state) = match self.change {
            ChangeRecord::Firing => (Change::Firing, State::Firing),
            ChangeRecord::Reminder => (Change::Reminder, State::Firing),
            ChangeRecord::Resolved if self.gave_way => (Change::Resolved, State::Inactive),
            ChangeRecord::Resolved => (Change::Resolved, State::Resolved),
        };
        let id = EventId::parse(&self.id)?;
        let alert = Alert {
            rule: Arc::clone(rule),
            endpoint: endpoint(self.method, self.route)?,
            state,
            value: self.value,
            since: self.since.map(time),
            started: self.started.map(time),
            trace: None,
            not_seen: false,
            of_fleet: true,
            version: self.version.filter(|version| version.len() <= MAX_NAME_BYTES).map(Arc::from),
        };
        let is_name = |name: &String| name.len() <= MAX_NAME_BYTES;
        let done = self.done.into_iter().filter(is_name).take(MAX_DONE).collect();
        Some(Entry::new(Notice { change, alert, event_id: None }, id, done))
    }
}

/// The name of an endpoint, if there is one; `None` if it is none.
fn endpoint(method: Option<String>, route: Option<String>) -> Option<Option<Arc<EndpointName>>> {
    let is_valid = |text: &str| text.len() <= MAX_NAME_BYTES && !text.chars().any(metrics_core::is_hidden);
    match (method, route) {
        (None, None) => Some(None),
        (Some(method), Some(route)) if is_valid(&method) && is_valid(&route) => {
            Some(Some(Arc::new(EndpointName { method: method.into(), route: route.into() })))
        }
        _ => None,
    }
}
