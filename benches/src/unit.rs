//! The units of figures.

use serde::Serialize;

/// A unit of time, of memory or of something that happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    /// Nanoseconds, bytes or other measurements in one.
    size: f64,
    kind: fn(f64) -> Amount,
}

/// A measurement, named after its quantity.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Amount {
    Nanos(f64),
    Bytes(f64),
    PerSecond(f64),
    Percent(f64),
}

impl Unit {
    pub(crate) const NANOS: Self = Self { name: "ns", size: 1.0, kind: Amount::Nanos };
    pub(crate) const MICROS: Self = Self { name: "µs", size: 1e3, kind: Amount::Nanos };
    pub(crate) const MILLIS: Self = Self { name: "ms", size: 1e6, kind: Amount::Nanos };
    pub(crate) const KIB: Self = Self { name: "KiB", size: 1_024.0, kind: Amount::Bytes };
    pub(crate) const MIB: Self = Self { name: "MiB", size: 1_048_576.0, kind: Amount::Bytes };
    pub(crate) const SWITCHES: Self = Self { name: "switches/s", size: 1.0, kind: Amount::PerSecond };
    pub(crate) const PERCENT: Self = Self { name: "%", size: 1.0, kind: Amount::Percent };

    /// Converts a measurement to this unit.
    pub(crate) fn convert(&self, measured: f64) -> f64 {
        measured / self.size
    }

    /// Wraps a measurement as its quantity.
    pub(crate) fn amount(&self, measured: f64) -> Amount {
        (self.kind)(measured)
    }
}
