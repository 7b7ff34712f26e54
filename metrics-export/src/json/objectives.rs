//! The body of `GET objectives`.

use metrics_core::objective::{ApdexScore, ApdexState, Budget, Kind, ObjectiveState};
use serde::Serialize;

/// The body of `GET objectives`: each objective with its budgets and burn rates, and Apdex.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectivesBody {
    objectives: Vec<ObjectiveBody>,
    /// `null` unless it is tracked.
    apdex: Option<ApdexBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ApdexBody {
    /// Up to this time, in seconds, users are satisfied; they tolerate up to four times as long.
    target: f64,
    /// Up to which time a request counts as within the target: the end of a bucket of the histogram.
    counted_to: f64,
    scores: Vec<ScoreBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ScoreBody {
    window_seconds: f64,
    /// How long the counts are of.
    covered_seconds: f64,
    calls: u64,
    /// From 0 to 1; `null` without calls.
    score: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ObjectiveBody {
    name: String,
    /// `availability` or `latency`.
    kind: &'static str,
    /// The percentage of valid requests that must be good.
    target: f64,
    /// The time within which a request must be answered, in seconds; `null` for availability.
    threshold: Option<f64>,
    /// Up to which time a request counts as in time: the end of a bucket of the histogram.
    counted_to: Option<f64>,
    /// All routes, if it is empty.
    routes: Vec<String>,
    /// Since the start; in a fleet, in the last hour.
    valid: u64,
    good: u64,
    budgets: Vec<BudgetBody>,
    /// The seconds until the budget of 24 hours is spent at the rate of the last hour; `null` if it lasts.
    exhausted_in: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct BudgetBody {
    window_seconds: f64,
    /// How long the counts are of.
    covered_seconds: f64,
    valid: u64,
    good: u64,
    burn_rate: f64,
    /// How much of the budget is left, in per cent; below 0 if more was spent.
    left: f64,
}

impl ObjectivesBody {
    /// Creates the body from the states of all objectives, and of Apdex if it is tracked.
    pub fn new(states: &[ObjectiveState], apdex: Option<&ApdexState>) -> Self {
        Self {
            objectives: states.iter().map(ObjectiveBody::from).collect(),
            apdex: apdex.map(ApdexBody::from),
        }
    }
}

impl From<&ApdexState> for ApdexBody {
    fn from(ApdexState { target, within, scores }: &ApdexState) -> Self {
        let score = |score: &ApdexScore| ScoreBody {
            window_seconds: score.window.as_secs_f64(),
            covered_seconds: score.covered.as_secs_f64(),
            calls: score.calls,
            score: score.score,
        };
        Self {
            target: target.as_secs_f64(),
            counted_to: within.as_secs_f64(),
            scores: scores.iter().map(score).collect(),
        }
    }
}

impl From<&ObjectiveState> for ObjectiveBody {
    fn from(state: &ObjectiveState) -> Self {
        let ObjectiveState { objective, within, valid, good, budgets, exhausted_in } = state;
        let (kind, threshold) = match objective.kind {
            Kind::Availability => ("availability", None),
            Kind::Latency(within) => ("latency", Some(within.as_secs_f64())),
        };
        Self {
            name: objective.name.clone(),
            kind,
            target: objective.target,
            threshold,
            counted_to: within.map(|within| within.as_secs_f64()),
            routes: objective.routes.clone(),
            valid: *valid,
            good: *good,
            budgets: budgets.iter().map(BudgetBody::from).collect(),
            exhausted_in: exhausted_in.map(|time| time.as_secs_f64()),
        }
    }
}

impl From<&Budget> for BudgetBody {
    fn from(budget: &Budget) -> Self {
        Self {
            window_seconds: budget.window.as_secs_f64(),
            covered_seconds: budget.covered.as_secs_f64(),
            valid: budget.valid,
            good: budget.good,
            burn_rate: budget.burn_rate,
            left: budget.left,
        }
    }
}
