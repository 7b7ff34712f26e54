//! What was not taken.
//!
//! # Synchronization
//!
//! The count is added to by any thread; a reader sees some state of it. What was first is written once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{CounterFn, GaugeFn, HistogramFn};
use metrics_core::{Counter, MetricError, Registry};

/// The registry's counter of what was refused.
const NAME: &str = "metrics_facade_refused";

/// What a [`Facade`](super::Facade) did not take since the start.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Refused {
    /// Calls that went nowhere: increments, numbers set, durations recorded.
    pub recordings: u64,
    /// What was refused first.
    pub first: Option<Refusal>,
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The registry does not have the metric.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A histogram was described in a unit that is none of time.
    #[error(
        "histogram {name:?} is not in a unit of time; allowed: seconds, milliseconds, microseconds, nanoseconds"
    )]
    Unit {
        /// The name of the metric.
        name: String,
    },
    /// A number is none that a gauge or a timer can hold.
    #[error("a value of {name:?} is {value}; allowed: finite numbers")]
    Value {
        /// The name of the metric.
        name: String,
        /// The number.
        value: f64,
    },
}

/// As a handle: one that takes nothing, and counts that.
#[derive(Debug)]
pub(super) struct Refusals {
    recordings: AtomicU64,
    first: OnceLock<Refusal>,
    /// Shows them among the registry's metrics, if it has room.
    shown: Option<Counter>,
}

impl Refusals {
    pub(super) fn new(registry: &Registry) -> Self {
        let shown = registry.counter(NAME).ok();
        Self { recordings: AtomicU64::new(0), first: OnceLock::new(), shown }
    }

    pub(super) fn so_far(&self) -> Refused {
        // ORDERING: Relaxed, here and below; a figure by itself.
        Refused { recordings: self.recordings.load(Ordering::Relaxed), first: self.first.get().cloned() }
    }

    pub(super) fn refuse_metric(&self, error: MetricError) {
        self.first.get_or_init(|| error.into());
    }

    #[cold]
    pub(super) fn refuse_value(&self, refusal: impl FnOnce() -> Refusal) {
        self.first.get_or_init(refusal);
        self.count();
    }

    fn count(&self) {
        self.recordings.fetch_add(1, Ordering::Relaxed);
        if let Some(shown) = &self.shown {
            shown.increment();
        }
    }
}

impl CounterFn for Refusals {
    fn increment(&self, _: u64) {
        self.count();
    }

    fn absolute(&self, _: u64) {
        self.count();
    }
}

impl GaugeFn for Refusals {
    fn increment(&self, _: f64) {
        self.count();
    }

    fn decrement(&self, _: f64) {
        self.count();
    }

    fn set(&self, _: f64) {
        self.count();
    }
}

impl HistogramFn for Refusals {
    fn record(&self, _: f64) {
        self.count();
    }
}
