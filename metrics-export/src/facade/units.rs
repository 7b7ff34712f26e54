//! The units of histograms.
//!
//! # Synchronization
//!
//! A unit is one word: stored when a histogram is described, loaded at each recording. A recording that races with the
//! description uses the unit before or after it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Unit;

use super::names;

/// The maximum number of histograms whose unit is remembered, used or not.
const MAX_UNITS: usize = 1024;

/// The units of histograms, by name without labels.
#[derive(Debug, Default)]
pub(super) struct Units {
    by_name: Mutex<HashMap<String, Arc<NanosPerUnit>>>,
}

/// The nanoseconds of a unit, as the bits of an `f64`; NaN if it is not a unit of time.
#[derive(Debug)]
pub(super) struct NanosPerUnit(AtomicU64);

impl Units {
    pub(super) fn describe(&self, name: &str, unit: Unit) {
        let nanos: f64 = match unit {
            Unit::Seconds => 1e9,
            Unit::Milliseconds => 1e6,
            Unit::Microseconds => 1e3,
            Unit::Nanoseconds => 1.0,
            _ => f64::NAN,
        };
        // ORDERING: Relaxed, here and below: the unit implies nothing about other memory.
        self.of(name).0.store(nanos.to_bits(), Ordering::Relaxed);
    }

    /// Returns the unit of a histogram: seconds until it is described.
    pub(super) fn of(&self, name: &str) -> Arc<NanosPerUnit> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names::of_name(name);
        if by_name.len() >= MAX_UNITS && !by_name.contains_key(&name) {
            return Arc::default();
        }
        Arc::clone(by_name.entry(name).or_default())
    }
}

impl Default for NanosPerUnit {
    fn default() -> Self {
        Self(AtomicU64::new(1e9_f64.to_bits()))
    }
}

impl NanosPerUnit {
    /// Converts a value to nanoseconds; NaN if this is not a unit of time.
    #[inline]
    pub(super) fn nanos(&self, value: f64) -> f64 {
        value * f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn is_time(&self) -> bool {
        !self.nanos(1.0).is_nan()
    }
}
