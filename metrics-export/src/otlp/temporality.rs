//! Since when figures are counted.

/// Since when counters and histograms are counted. What goes up and down is as it is now, whatever is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Temporality {
    /// Since the start. A window that does not arrive leaves no gap in the counts. The default, and what Prometheus takes.
    #[default]
    Cumulative,
    /// Since the last window that arrived. What Datadog and Dynatrace take.
    Delta,
    /// As [`Temporality::Delta`], but for what is read from the system, which is cumulative here anyway.
    LowMemory,
}

impl Temporality {
    pub(super) fn is_delta(self) -> bool {
        match self {
            Self::Cumulative => false,
            Self::Delta | Self::LowMemory => true,
        }
    }

    /// By its name in `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "cumulative" => Some(Self::Cumulative),
            "delta" => Some(Self::Delta),
            "lowmemory" => Some(Self::LowMemory),
            _ => None,
        }
    }
}
