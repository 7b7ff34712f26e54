//! Counts refused calls, and keeps the first reason.
//!
//! # Synchronization
//!
//! Any thread adds to the count; a reader may see an older value. The first reason is written once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{CounterFn, GaugeFn, HistogramFn};
use metrics_core::{Counter, MetricError, Registry};

/// The registry's counter of refused calls.
const NAME: &str = "metrics_facade_refused";

/// What a `Facade` refused since the start.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RefusedCalls {
    /// Calls that recorded nothing: increments, set values, recorded durations.
    pub recordings: u64,
    /// Why the first call was refused.
    pub first: Option<Refusal>,
}

/// Why a call was refused.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The registry rejected the metric.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The histogram was described with a unit other than time.
    #[error(
        "the unit of histogram {name:?} is not a unit of time; allowed: seconds, milliseconds, microseconds, \
         nanoseconds"
    )]
    Unit {
        /// The name of the metric.
        name: String,
    },
    /// The value is not finite.
    #[error("{name:?} was given {value}; allowed: finite numbers")]
    Value {
        /// The name of the metric.
        name: String,
        /// The value.
        value: f64,
    },
}

metrics_core::debug_as_display!(Refusal);

/// The counts. Also a handle that refuses every call and counts it.
#[derive(Debug)]
pub(super) struct Refusals {
    recordings: AtomicU64,
    first: OnceLock<Refusal>,
    /// The same count among the registry's metrics, if it has room.
    shown: Option<Counter>,
}

impl Refusals {
    pub(super) fn new(registry: &Registry) -> Self {
        let shown = registry.counter(NAME).ok();
        Self { recordings: AtomicU64::new(0), first: OnceLock::new(), shown }
    }

    pub(super) fn so_far(&self) -> RefusedCalls {
        // ORDERING: Relaxed, here and below: the count implies nothing about other memory.
        RefusedCalls { recordings: self.recordings.load(Ordering::Relaxed), first: self.first.get().cloned() }
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
