//! The time that a reading may wait for writers.

use std::time::{Duration, Instant};

/// The total time that a reading waits for writers that the scheduler stopped in the middle of a record.
#[derive(Debug, Default)]
pub(crate) struct WaitBudget {
    /// Set by the first wait.
    ends: Option<Instant>,
}

impl WaitBudget {
    const WAIT: Duration = Duration::from_micros(100);

    /// More than a time slice of most schedulers.
    const ALL: Duration = Duration::from_millis(if cfg!(metrics_loom) { 0 } else { 5 });

    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sleeps for [`WaitBudget::WAIT`], unless the budget is spent. Returns whether it slept.
    pub(super) fn wait(&mut self) -> bool {
        let now = Instant::now();
        let left = *self.ends.get_or_insert(now + Self::ALL) > now;
        if left {
            std::thread::sleep(Self::WAIT);
        }
        left
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_reading_waits_until_its_budget_is_spent() {
        let mut budget = WaitBudget::new();
        assert!(budget.wait());
        std::thread::sleep(WaitBudget::ALL * 2);
        assert!(!budget.wait());
        assert!(WaitBudget::new().wait());
    }
}
