//! The figures that the bodies of several endpoints share.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_core::Figures;
use serde::Serialize;

/// The figures before the recent errors in a summary. Existing clients read these names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct CoreFigures {
    total_calls: u64,
    total_errors: u64,
    error_rate: f64,
    avg_response_time: f64,
    min_response_time: f64,
    max_response_time: f64,
}

impl From<&Figures> for CoreFigures {
    fn from(figures: &Figures) -> Self {
        Self {
            total_calls: figures.calls,
            total_errors: figures.errors,
            error_rate: figures.error_rate(),
            avg_response_time: figures.average().as_secs_f64(),
            min_response_time: figures.min.as_secs_f64(),
            max_response_time: figures.max.as_secs_f64(),
        }
    }
}

/// The figures after the recent errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DetailedFigures {
    p50_response_time: f64,
    p95_response_time: f64,
    p99_response_time: f64,
    p999_response_time: f64,
    client_errors: u64,
    server_errors: u64,
    client_error_rate: f64,
    server_error_rate: f64,
    aborted: u64,
    panicked: u64,
}

impl From<&Figures> for DetailedFigures {
    fn from(figures: &Figures) -> Self {
        Self {
            p50_response_time: figures.p50.as_secs_f64(),
            p95_response_time: figures.p95.as_secs_f64(),
            p99_response_time: figures.p99.as_secs_f64(),
            p999_response_time: figures.p999.as_secs_f64(),
            client_errors: figures.client_errors,
            server_errors: figures.server_errors,
            client_error_rate: figures.client_error_rate(),
            server_error_rate: figures.server_error_rate(),
            aborted: figures.aborted,
            panicked: figures.panicked,
        }
    }
}

pub(super) fn per_second(calls: u64, window: Duration) -> f64 {
    if window.is_zero() { 0.0 } else { calls as f64 / window.as_secs_f64() }
}

pub(super) fn statuses(figures: &Figures) -> BTreeMap<String, u64> {
    figures.outcomes.iter().map(|(outcome, count)| (outcome.to_string(), *count)).collect()
}
