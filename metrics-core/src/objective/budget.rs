//! What is left of the budget of a window, and how fast it was spent.

use std::time::Duration;

use super::count::ObjectiveCounts;
use super::settings::Objective;

/// The budget of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// The window.
    pub window: Duration,
    /// The time that the counts cover: a bit longer than the window, or shorter after a start.
    pub covered: Duration,
    /// Valid requests.
    pub valid: u64,
    /// Good requests.
    pub good: u64,
    /// How fast the budget was spent, where 1 spends it evenly over the window; 0 without valid requests.
    pub burn_rate: f64,
    /// How much of the window's budget is left, in per cent; below 0 if more was spent.
    pub left: f64,
}

impl Budget {
    /// Computes the budget of an objective over a window, from counts that cover this time.
    pub fn new(
        objective: &Objective,
        window: Duration,
        covered: Duration,
        ObjectiveCounts { valid, good }: ObjectiveCounts,
    ) -> Self {
        let burn_rate = if valid == 0 {
            0.0
        } else {
            valid.saturating_sub(good) as f64 / valid as f64 / objective.budget_share()
        };
        Self { window, covered, valid, good, burn_rate, left: (1.0 - burn_rate) * 100.0 }
    }
}
