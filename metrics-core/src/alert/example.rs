//! The request that shows what an alert is about.

use super::condition::Metric;
use super::notice::Alert;
use super::rule::Scope;
use crate::history::History;
use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceId;

/// The trace of the slowest request for an alert of a time, of the latest one for an alert of errors.
pub(super) fn trace(history: &History, alert: &Alert) -> Option<TraceId> {
    let rule = &alert.rule;
    let is_of_alert = |endpoint: &EndpointName, outcome: Outcome| match (&alert.endpoint, &rule.scope) {
        (Some(name), _) => **name == *endpoint,
        (None, Scope::Matched) => !(endpoint.catches_all() && outcome.is_client_error()),
        (None, scope) => scope.has(endpoint),
    };
    let error = |is_meant: fn(Outcome) -> bool| {
        history.trace_of_error(rule.window, |endpoint, outcome| {
            is_meant(outcome) && is_of_alert(endpoint, outcome)
        })
    };
    match rule.metric {
        _ if matches!(rule.scope, Scope::OwnMetric(_)) => None,
        Metric::Average | Metric::P50 | Metric::P95 | Metric::P99 | Metric::P999 => {
            history.trace_of_slow(rule.window, alert.endpoint.as_deref(), is_of_alert)
        }
        Metric::ErrorRate | Metric::Errors | Metric::ConsecutiveErrors => error(|_| true),
        Metric::ClientErrorRate | Metric::ClientErrors => error(Outcome::is_client_error),
        Metric::ServerErrorRate | Metric::ServerErrors => error(Outcome::is_server_error),
        Metric::Panicked => error(|outcome| outcome == Outcome::Panicked),
        _ => None,
    }
}
