//! The units of figures.

use serde::Serialize;

/// A unit of time or of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    /// Nanoseconds or bytes in one.
    size: f64,
    kind: fn(f64) -> Amount,
}

/// A measurement, named after its quantity.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Amount {
    Nanos(f64),
    Bytes(f64),
}

impl Unit {
    pub(crate) const NANOS: Self = Self { name: "ns", size: 1.0, kind: Amount::Nanos };
    pub(crate) const MICROS: Self = Self { name: "µs", size: 1e3, kind: Amount::Nanos };
    pub(crate) const MILLIS: Self = Self { name: "ms", size: 1e6, kind: Amount::Nanos };
    pub(crate) const KIB: Self = Self { name: "KiB", size: 1_024.0, kind: Amount::Bytes };
    pub(crate) const MIB: Self = Self { name: "MiB", size: 1_048_576.0, kind: Amount::Bytes };

    /// Converts nanoseconds or bytes to this unit.
    pub(crate) fn convert(&self, measured: f64) -> f64 {
        measured / self.size
    }

    /// Wraps nanoseconds or bytes as their quantity.
    pub(crate) fn amount(&self, measured: f64) -> Amount {
        (self.kind)(measured)
    }
}
