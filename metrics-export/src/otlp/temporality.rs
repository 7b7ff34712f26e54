//! The start of counts: the beginning, or the last window.

/// Whether counters and histograms are cumulative or deltas. Gauges always have their current value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Temporality {
    /// From the start. A lost window leaves no gap in the counts. The default, and what Prometheus expects.
    #[default]
    Cumulative,
    /// From the last window that arrived. What Datadog and Dynatrace expect.
    Delta,
    /// Like [`Temporality::Delta`], except for metrics of the system, which are always cumulative here.
    LowMemory,
}

impl Temporality {
    pub(super) fn is_delta(self) -> bool {
        match self {
            Self::Cumulative => false,
            Self::Delta | Self::LowMemory => true,
        }
    }

    /// The temporality with this name in `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "cumulative" => Some(Self::Cumulative),
            "delta" => Some(Self::Delta),
            "lowmemory" => Some(Self::LowMemory),
            _ => None,
        }
    }
}
