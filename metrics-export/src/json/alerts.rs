//! The body of `GET alerts`.

use std::sync::Arc;
use std::time::SystemTime;

use metrics_core::alert::{Alert, Change, Notice, Rule};
use metrics_core::objective::ObjectiveState;
use serde::Serialize;

use super::objectives::ObjectiveBody;
use super::time::Time;
use crate::alert::DeliveryCounts;

/// The body of `GET alerts`: all alerts, firing ones first; all rules; and counts of the notices of each destination.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertsBody {
    alerts: Vec<AlertBody>,
    rules: Vec<RuleBody>,
    delivery: DeliveryBody,
    mistakes: Vec<MistakeBody>,
    /// The newest first.
    changes: Vec<ChangeBody>,
    /// `null` without rules of a fleet.
    fleet: Option<FleetAlertsBody>,
}

/// The alerts of a fleet in the body of `GET alerts`, and who evaluates them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetAlertsBody {
    /// The instance that evaluates the rules and sends the notices; `null` if none is known.
    evaluated_by: Option<String>,
    /// Whether it is the answering one.
    is_here: bool,
    /// The number of its lease, if it is the answering one.
    fencing_token: Option<u64>,
    /// When a rule was last evaluated.
    evaluated: Option<Time>,
    alerts: Vec<AlertBody>,
    /// Notices that not all destinations have yet.
    notices_waiting: usize,
    /// Notices that were dropped at the answering instance, since too many were waiting.
    notices_dropped: u64,
    /// The newest first; the last 100 at most.
    changes: Vec<ChangeBody>,
    /// What is left of the budgets of the fleet's objectives, as far as it was counted.
    objectives: Vec<ObjectiveBody>,
    /// Alerts that the answering instance dropped since they had no room in the state.
    alerts_left_out: usize,
    /// What went wrong when the answering instance last asked Redis.
    last_error: Option<String>,
}

impl FleetAlertsBody {
    /// Creates the body from the alerts, the instance that evaluates them, the token if that is the answering one, and
    /// the time of the evaluation.
    pub fn new(
        alerts: &[Alert],
        evaluated_by: Option<String>,
        fencing_token: Option<u64>,
        evaluated: Option<SystemTime>,
    ) -> Self {
        Self {
            evaluated_by,
            is_here: fencing_token.is_some(),
            fencing_token,
            evaluated: evaluated.map(Time),
            alerts: alerts.iter().map(AlertBody::from).collect(),
            notices_waiting: 0,
            notices_dropped: 0,
            changes: Vec::new(),
            objectives: Vec::new(),
            alerts_left_out: 0,
            last_error: None,
        }
    }

    /// Sets how many notices wait, and how many were dropped.
    pub fn notices(self, waiting: usize, dropped: u64) -> Self {
        Self { notices_waiting: waiting, notices_dropped: dropped, ..self }
    }

    /// Adds the latest changes, the newest first.
    pub fn changes<'a>(self, changes: impl IntoIterator<Item = &'a Notice>) -> Self {
        Self { changes: changes.into_iter().map(ChangeBody::from).collect(), ..self }
    }

    /// Adds the states of the fleet's objectives.
    pub fn objectives(self, states: &[ObjectiveState]) -> Self {
        Self { objectives: states.iter().map(ObjectiveBody::from).collect(), ..self }
    }

    /// Sets how many alerts had no room.
    pub fn left_out(self, alerts_left_out: usize) -> Self {
        Self { alerts_left_out, ..self }
    }

    /// Sets what went wrong.
    pub fn error(self, last_error: Option<String>) -> Self {
        Self { last_error, ..self }
    }
}

/// A change of an alert, and the alert as it was then.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ChangeBody {
    change: &'static str,
    /// The same if a notice of a fleet is sent twice; `null` for notices of one instance.
    event_id: Option<String>,
    #[serde(flatten)]
    alert: AlertBody,
}

impl From<&Notice> for ChangeBody {
    fn from(Notice { change, alert, event_id }: &Notice) -> Self {
        let change = match change {
            Change::Firing => "firing",
            Change::Reminder => "reminder",
            Change::Resolved => "resolved",
        };
        let event_id = event_id.map(|id| id.to_string());
        Self { change, event_id, alert: AlertBody::from(alert) }
    }
}

impl AlertsBody {
    /// Creates the body from [`Alerts::alerts`](metrics_core::alert::Alerts::alerts),
    /// [`Alerts::rules`](metrics_core::alert::Alerts::rules), and the counts of each destination.
    pub fn new<'a>(
        alerts: &[Alert],
        rules: impl IntoIterator<Item = &'a Arc<Rule>>,
        destinations: Vec<DeliveryCounts>,
    ) -> Self {
        let sum = |count: fn(&DeliveryCounts) -> u64| destinations.iter().map(count).sum();
        Self {
            alerts: alerts.iter().map(AlertBody::from).collect(),
            rules: rules.into_iter().map(|rule| RuleBody::new(rule, alerts)).collect(),
            delivery: DeliveryBody {
                sent: sum(|counts| counts.sent),
                dropped: sum(|counts| counts.dropped),
                failed: sum(|counts| counts.failed),
                destinations: destinations.into_iter().map(DestinationBody::from).collect(),
            },
            mistakes: Vec::new(),
            changes: Vec::new(),
            fleet: None,
        }
    }

    /// Adds the latest changes, the newest first: see [`Alerts::changes`](metrics_core::alert::Alerts::changes).
    pub fn changes<'a>(self, changes: impl IntoIterator<Item = &'a Notice>) -> Self {
        Self { changes: changes.into_iter().map(ChangeBody::from).collect(), ..self }
    }

    /// Adds the alerts of the fleet.
    pub fn fleet(self, fleet: FleetAlertsBody) -> Self {
        Self { fleet: Some(fleet), ..self }
    }

    /// Leaves out the ids of traces, which come from callers.
    pub fn without_traces(mut self) -> Self {
        let changed = self.changes.iter_mut().map(|change| &mut change.alert);
        self.alerts.iter_mut().chain(changed).for_each(|alert| alert.trace_id = None);
        self
    }

    /// Adds mistakes in how the application uses its monitor.
    pub fn mistakes(self, mistakes: impl IntoIterator<Item = MistakeBody>) -> Self {
        Self { mistakes: mistakes.into_iter().collect(), ..self }
    }
}

/// A mistake in how an application uses its monitor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MistakeBody {
    mistake: &'static str,
    subject: String,
    message: String,
}

impl MistakeBody {
    /// Creates it from a short name of the mistake, what it is about (a path, or nothing), and what to change.
    pub fn new(mistake: &'static str, subject: &str, message: String) -> Self {
        Self { mistake, subject: subject.to_owned(), message }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct AlertBody {
    rule: String,
    severity: String,
    state: String,
    metric: &'static str,
    window: String,
    /// `null` for the whole service, for one of its own metrics, and for a route that was never called.
    method: Option<String>,
    route: Option<String>,
    /// The name of one of the application's own metrics.
    own_metric: Option<String>,
    /// In per cent, seconds or calls, like the threshold; `null` if there were no calls.
    value: Option<f64>,
    threshold: f64,
    /// When the state began; `null` before the first evaluation.
    since: Option<Time>,
    /// The trace of a request that shows what the alert is about; `null` if none is known.
    trace_id: Option<String>,
    /// Whether the rule names a route or a metric that was not seen for an hour.
    not_seen: bool,
    /// Whether it is about all instances.
    fleet: bool,
    /// The newest version, for a rule that compares it with the rest.
    version: Option<String>,
    summary: String,
}

impl From<&Alert> for AlertBody {
    fn from(alert: &Alert) -> Self {
        let name = alert.endpoint.as_deref();
        Self {
            rule: alert.rule.name.clone(),
            severity: alert.rule.severity.to_string(),
            state: alert.state.to_string(),
            metric: alert.rule.metric.name(),
            window: alert.rule.window.to_string(),
            method: name.map(|name| name.method.to_string()),
            route: name.map(|name| &*name.route).or(alert.rule.scope.route()).map(str::to_owned),
            own_metric: alert.rule.scope.own_metric().map(str::to_owned),
            value: alert.value,
            threshold: alert.rule.threshold,
            since: alert.since.map(Time),
            trace_id: alert.trace.map(|trace| trace.to_string()),
            not_seen: alert.not_seen,
            fleet: alert.of_fleet,
            version: alert.version.as_deref().map(str::to_owned),
            summary: alert.to_string(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RuleBody {
    rule: String,
    severity: String,
    /// The worst state of its alerts.
    state: String,
    metric: String,
    comparison: String,
    threshold: f64,
    clear: f64,
    window: String,
    for_seconds: f64,
    min_calls: u64,
    scope: &'static str,
    route: Option<String>,
    own_metric: Option<String>,
    not_seen: bool,
    remind_every_seconds: f64,
}

impl RuleBody {
    fn new(rule: &Arc<Rule>, alerts: &[Alert]) -> Self {
        let of_rule = || alerts.iter().filter(|alert| alert.rule.name == rule.name);
        let state = of_rule().map(|alert| alert.state).max();
        Self {
            rule: rule.name.clone(),
            severity: rule.severity.to_string(),
            state: state.map(|state| state.to_string()).unwrap_or_default(),
            metric: rule.metric.to_string(),
            comparison: rule.comparison.to_string(),
            threshold: rule.threshold,
            clear: rule.clear,
            window: rule.window.to_string(),
            for_seconds: rule.for_duration.as_secs_f64(),
            min_calls: rule.min_calls,
            scope: rule.scope.name(),
            route: rule.scope.route().map(str::to_owned),
            own_metric: rule.scope.own_metric().map(str::to_owned),
            not_seen: of_rule().any(|alert| alert.not_seen),
            remind_every_seconds: rule.remind_every.as_secs_f64(),
        }
    }
}

/// Counts of notices: the sums over all destinations, and each destination.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct DeliveryBody {
    sent: u64,
    dropped: u64,
    failed: u64,
    destinations: Vec<DestinationBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct DestinationBody {
    destination: &'static str,
    sent: u64,
    dropped: u64,
    failed: u64,
    retried: u64,
    queued: u64,
    last_error: Option<String>,
}

impl From<DeliveryCounts> for DestinationBody {
    fn from(counts: DeliveryCounts) -> Self {
        let DeliveryCounts { destination, sent, dropped, failed, retried, queued, last_error } = counts;
        Self { destination, sent, dropped, failed, retried, queued, last_error }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::alert::{Alerts, Comparison, Metric, Moment, Scope};
    use metrics_core::{History, Outcome, Registry};

    use super::*;

    #[test]
    fn firing_alerts_come_first_and_every_rule_is_listed() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        let endpoint = registry.endpoint("GET", "/");
        for _ in 0..10 {
            registry.record_error(endpoint, Outcome::Status(500), Duration::from_millis(1), "");
        }
        let each = Rule::new("errors", Metric::Errors, Comparison::AtLeast, 10.0).scope(Scope::EachRoute);
        let mut alerts = Alerts::new(Rule::defaults().into_iter().take(3).chain([each])).unwrap();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_769_592_600_123);
        history.tick();
        alerts.evaluate(Moment { wall, ..Moment::now() }, &history);
        let body = AlertsBody::new(&alerts.alerts(), alerts.rules(), Vec::new()).changes(alerts.changes());
        let body = serde_json::to_value(body).unwrap();
        assert_eq!(
            body["alerts"][0],
            serde_json::json!({
                "rule": "errors", "severity": "warning", "state": "firing", "metric": "errors", "window": "5m",
                "method": "GET", "route": "/",
                "own_metric": null, "value": 10.0, "threshold": 10.0, "since": "2026-01-28T09:30:00.123Z",
                "trace_id": null, "not_seen": false, "fleet": false, "version": null,
                "summary": "GET /: 10 errors in 5 min (limit 10)"
            })
        );
        assert_eq!(body["alerts"].as_array().unwrap().len(), 4);
        assert_eq!(body["alerts"][1]["state"], "inactive");
        assert_eq!(body["changes"].as_array().unwrap().len(), 1);
        let first = &body["changes"][0];
        assert_eq!((&first["change"], &first["rule"]), (&"firing".into(), &"errors".into()));
        let states: Vec<_> = body["rules"].as_array().unwrap().iter().map(|rule| &rule["state"]).collect();
        assert_eq!(states, ["inactive", "inactive", "inactive", "firing"]);
        assert_eq!(
            body["delivery"],
            serde_json::json!({"sent": 0, "dropped": 0, "failed": 0, "destinations": []})
        );
    }
}
