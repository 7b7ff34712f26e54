//! The units of histograms.
//!
//! # Synchronization
//!
//! A unit is one word: stored when a histogram is described, loaded at each of its records. A record that races with the
//! description takes the unit of before or after.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Unit;

use super::names;

/// The most histograms whose unit is remembered, whether they are used or not.
const MAX_UNITS: usize = 1024;

/// The units by the names of histograms, without labels.
#[derive(Debug, Default)]
pub(super) struct Units {
    by_name: Mutex<HashMap<String, Arc<NanosPerUnit>>>,
}

/// The bits of how many nanoseconds a unit has; of NaN if it is none of time.
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
        // ORDERING: Relaxed, here and below; a figure by itself.
        self.of(name).0.store(nanos.to_bits(), Ordering::Relaxed);
    }

    /// The unit of a histogram: seconds until it is described.
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
    /// What a number of this unit is in nanoseconds; NaN if the unit is none of time.
    #[inline]
    pub(super) fn nanos(&self, value: f64) -> f64 {
        value * f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn is_time(&self) -> bool {
        !self.nanos(1.0).is_nan()
    }
}
