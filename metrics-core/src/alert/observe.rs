//! The figure that a rule watches, computed from the figures of a window.

use std::time::Duration;

use super::condition::Metric;
use super::rule::{BurnRate, Rule};
use super::series::Observation;
use super::source::NewestVersion;
use crate::history::{Business, Window};
use crate::labels::metric_kind::MetricValue;
use crate::read::summary::figures::Figures;
use crate::read::summary::metrics::MetricFigures;
use crate::read::summary::{EndpointSummary, Summary};

/// The share of a window, in per cent, that figures must cover for it to count as whole. It is below 100 because frames
/// do not begin exactly with the window.
const WHOLE: u32 = 90;

/// A count that is not part of a window's figures.
pub(super) fn of_count(count: u64) -> Observation {
    Observation { value: Some(count as f64), calls: count, is_whole: true }
}

/// How fast a budget is spent.
pub(super) fn of_burn(rate: Option<BurnRate>) -> Observation {
    Observation {
        value: rate.map(|rate| rate.rate),
        calls: rate.map_or(0, |rate| rate.calls),
        is_whole: true,
    }
}

/// How many times larger the figure of the newest version is than that of the rest. Both need the calls of a rule. A
/// rest without errors counts as if it had one, since nothing is a multiple of zero.
pub(super) fn of_newest_version(rule: &Rule, found: Option<&NewestVersion>) -> Observation {
    let none = Observation { value: None, calls: 0, is_whole: true };
    let Some(NewestVersion { newest, rest, .. }) = found else { return none };
    let figure = |figures| of_figures(rule, figures, 0, Duration::ZERO).value;
    let least = if rule.metric.is_time() { 1e-9 } else { 100.0 / rest.calls.max(1) as f64 };
    let value = figure(newest).zip(figure(rest)).map(|(newest, rest)| newest / rest.max(least));
    Observation { value, calls: newest.calls.min(rest.calls), ..none }
}

/// The figure of all calls together.
pub(super) fn of_all(rule: &Rule, summary: &Summary) -> Observation {
    of_figures(rule, &summary.total, summary.in_flight, summary.window)
}

/// The figure of one endpoint.
pub(super) fn of_endpoint(rule: &Rule, endpoint: &EndpointSummary, window: Duration) -> Observation {
    of_figures(rule, &endpoint.figures, endpoint.in_flight, window)
}

pub(super) fn of_figures(rule: &Rule, figures: &Figures, in_flight: u64, window: Duration) -> Observation {
    let rate = |rate: f64| (figures.calls > 0).then_some(rate);
    let time = |time: Duration| (figures.calls > 0).then_some(time.as_secs_f64());
    let count = |count: u64| Some(count as f64);
    let value = match rule.metric {
        Metric::ErrorRate => rate(figures.error_rate()),
        Metric::ClientErrorRate => rate(figures.client_error_rate()),
        Metric::ServerErrorRate => rate(figures.server_error_rate()),
        Metric::Average => time(figures.average()),
        Metric::P50 => time(figures.p50),
        Metric::P95 => time(figures.p95),
        Metric::P99 => time(figures.p99),
        Metric::P999 => time(figures.p999),
        Metric::Errors => count(figures.errors),
        Metric::ClientErrors => count(figures.client_errors),
        Metric::ServerErrors => count(figures.server_errors),
        Metric::Calls => count(figures.calls),
        Metric::RequestsPerSecond => (!window.is_zero()).then(|| figures.calls as f64 / window.as_secs_f64()),
        Metric::InFlight => count(in_flight),
        Metric::Aborted => count(figures.aborted),
        Metric::Panicked => count(figures.panicked),
        // Not computed from figures of requests; such rules do not get here.
        Metric::ConsecutiveErrors | Metric::Value | Metric::WrongTokens | Metric::BurnRate => None,
    };
    Observation { value, calls: figures.calls, is_whole: covers(window, rule.window) }
}

/// The figure of one of the application's own metrics, all its series together, or of one series; 0 if there is no
/// such metric.
pub(super) fn of_own_metric(rule: &Rule, name: &str, own: &Business) -> Observation {
    let metric = own.get(name).map(|metric| &metric.figures);
    if let Some(MetricFigures::Timer(times)) = metric {
        let calls = Observation { value: Some(times.calls as f64), ..of_figures(rule, times, 0, own.window) };
        return if rule.metric == Metric::Value { calls } else { of_figures(rule, times, 0, own.window) };
    }
    let value = match metric {
        None => 0.0,
        Some(MetricValue::Gauge(value)) => *value,
        Some(MetricValue::UniqueCount { today, .. }) => *today as f64,
        Some(other) => other.hit_rate().or(other.count().map(|count| count as f64)).unwrap_or(0.0),
    };
    let count = metric.and_then(MetricFigures::count);
    let calls = count.unwrap_or(0);
    let value = match rule.metric {
        Metric::Value => Some(value),
        Metric::Calls => Some(calls as f64),
        Metric::RequestsPerSecond if !own.window.is_zero() => Some(calls as f64 / own.window.as_secs_f64()),
        _ => None,
    };
    // The value of a metric without calls has enough of them.
    let has_no_calls = rule.metric == Metric::Value && metric.is_some() && count.is_none();
    let calls = if has_no_calls { u64::MAX } else { calls };
    Observation { value, calls, is_whole: covers(own.window, rule.window) }
}

/// Whether figures over this time cover a whole window.
pub(super) fn covers(figures: Duration, window: Window) -> bool {
    window.length().is_some_and(|length| figures * 100 >= length * WHOLE)
}
