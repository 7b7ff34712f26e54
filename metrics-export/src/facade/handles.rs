//! The facade's handles, which record into ours.
//!
//! # Synchronization
//!
//! `wanted` and `raising` make `absolute` take turns without waiting. Whoever finds another thread at it leaves its number
//! in `wanted`, and the other one looks there again after it is done. All accesses are SeqCst: of a thread that stores
//! `wanted` and finds `raising` set, and one that clears `raising` and loads `wanted`, the latter sees the number. Clearing
//! `raising` is also a Release for the next one to set it, which so finds in the counter what was added.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{CounterFn, GaugeFn, HistogramFn};
use metrics_core::{Counter, Gauge, Timer};

use super::refusals::{Refusal, Refusals};
use super::units::NanosPerUnit;

pub(super) struct CounterHandle {
    counter: Counter,
    /// The largest number that the counter was to be raised to.
    wanted: AtomicU64,
    /// A thread is raising it.
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

    /// Adds what is missing, unless another thread is about to.
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
        // Of the number and not of its nanoseconds: a huge one is all right.
        if value.is_finite() && !nanos.is_nan() {
            // Rounded; the cast stops at 0 and at the largest number.
            self.timer.record(Duration::from_nanos((nanos + 0.5) as u64));
        } else {
            self.refusals.refuse_value(|| self.refusal(value));
        }
    }
}
