//! The facade's handles, which record into the registry's metrics.
//!
//! # Synchronization
//!
//! `wanted` and `raising` serialise calls of `absolute` without waiting. A thread that finds `raising` set leaves its
//! value in `wanted`, and the thread that is raising checks `wanted` again after it is done. All accesses are SeqCst:
//! if a thread stores `wanted` and then finds `raising` set, the thread that clears `raising` sees this value in its
//! next load of `wanted`. Clearing `raising` is also a Release; it pairs with the Acquire of the next thread that sets
//! it, which therefore sees the added count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{CounterFn, GaugeFn, HistogramFn};
use metrics_core::{Counter, Gauge, Timer};

use super::refusals::{Refusal, Refusals};
use super::units::NanosPerUnit;

pub(super) struct CounterHandle {
    counter: Counter,
    /// The largest value passed to `absolute`.
    wanted: AtomicU64,
    /// Whether a thread is raising the counter.
    raising: AtomicBool,
}

impl CounterHandle {
    pub(super) fn new(counter: Counter) -> Self {
        Self { counter, wanted: AtomicU64::new(0), raising: AtomicBool::new(false) }
    }
}

impl CounterFn for CounterHandle {
    #[inline]
    fn increment(&self, value: u64) {
        self.counter.add(value);
    }

    /// Adds the difference, unless another thread is about to.
    fn absolute(&self, value: u64) {
        if self.wanted.fetch_max(value, Ordering::SeqCst) >= value {
            return;
        }
        while !self.raising.swap(true, Ordering::SeqCst) {
            let wanted = self.wanted.load(Ordering::SeqCst);
            let missing = wanted.saturating_sub(self.counter.value());
            if missing > 0 {
                self.counter.add(missing);
            }
            self.raising.store(false, Ordering::SeqCst);
            if self.wanted.load(Ordering::SeqCst) == wanted {
                return;
            }
        }
    }
}

pub(super) struct GaugeHandle {
    gauge: Gauge,
    name: Box<str>,
    refusals: Arc<Refusals>,
}

impl GaugeHandle {
    pub(super) fn new(gauge: Gauge, name: &str, refusals: Arc<Refusals>) -> Self {
        Self { gauge, name: name.into(), refusals }
    }

    #[inline]
    fn with_finite(&self, value: f64, record: impl FnOnce(&Gauge)) {
        if value.is_finite() {
            record(&self.gauge);
        } else {
            self.refusals.refuse_value(|| Refusal::Value { name: self.name.to_string(), value });
        }
    }
}

impl GaugeFn for GaugeHandle {
    fn increment(&self, value: f64) {
        self.with_finite(value, |gauge| gauge.add(value));
    }

    fn decrement(&self, value: f64) {
        self.with_finite(value, |gauge| gauge.sub(value));
    }

    fn set(&self, value: f64) {
        self.with_finite(value, |gauge| gauge.set(value));
    }
}

pub(super) struct TimerHandle {
    timer: Timer,
    unit: Arc<NanosPerUnit>,
    name: Box<str>,
    refusals: Arc<Refusals>,
}

impl TimerHandle {
    pub(super) fn new(timer: Timer, unit: Arc<NanosPerUnit>, name: &str, refusals: Arc<Refusals>) -> Self {
        Self { timer, unit, name: name.into(), refusals }
    }

    fn refusal(&self, value: f64) -> Refusal {
        let name = self.name.to_string();
        if self.unit.is_time() { Refusal::Value { name, value } } else { Refusal::Unit { name } }
    }
}

impl HistogramFn for TimerHandle {
    #[inline]
    fn record(&self, value: f64) {
        let nanos = self.unit.nanos(value);
        // Checks the value, not its nanoseconds: a huge value is allowed.
        if value.is_finite() && !nanos.is_nan() {
            // Rounds; the cast saturates at 0 and at `u64::MAX`.
            self.timer.record(Duration::from_nanos((nanos + 0.5) as u64));
        } else {
            self.refusals.refuse_value(|| self.refusal(value));
        }
    }
}
