//! The arms of records, by name.

use crate::figures::OURS;
use crate::worker::Worker;
use crate::workload::Routes;
use crate::{floors, ours, peers};

/// One of the things compared.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// Its name in tables, in JSON and in criterion.
    pub name: &'static str,
    /// Makes a worker for each thread, for events of these routes. Workers share what threads share in a service.
    pub workers: fn(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>>,
}

pub(crate) const OURS_TIMED: &str = "ours, timed";
pub(crate) const HDRHISTOGRAM: &str = "hdrhistogram, plain";
pub(crate) const METRIKEN: &str = "metriken";
pub(crate) const PROMETHEUS_CACHED: &str = "prometheus, handles cached";
pub(crate) const PROMETHEUS_LABELS: &str = "prometheus, labels looked up";
pub(crate) const METRICS_LABELS: &str = "metrics, labels looked up";
pub(crate) const TWO_RAW_READS: &str = "floor: two raw TSC reads";

/// All arms: ours, the peers, the floors.
pub const ARMS: &[Arm] = &[
    Arm { name: OURS, workers: ours::owned },
    Arm { name: "ours, thread-local", workers: ours::thread_local },
    Arm { name: OURS_TIMED, workers: ours::timed },
    Arm { name: HDRHISTOGRAM, workers: peers::hdrhistogram },
    Arm { name: "hdrhistogram, synced", workers: peers::hdrhistogram_synced },
    Arm { name: "histogram, atomic", workers: peers::histogram },
    Arm { name: METRIKEN, workers: peers::metriken },
    Arm { name: "metriken, sharded", workers: peers::metriken_sharded },
    Arm { name: PROMETHEUS_CACHED, workers: peers::prometheus_cached },
    Arm { name: PROMETHEUS_LABELS, workers: peers::prometheus_labels },
    Arm { name: "prometheus-client, labels looked up", workers: peers::prometheus_client },
    Arm { name: "fast-telemetry, handles cached", workers: peers::fast_telemetry },
    Arm { name: "measured, labels looked up", workers: peers::measured },
    Arm { name: "metrics, handles cached", workers: peers::metrics_cached },
    Arm { name: METRICS_LABELS, workers: peers::metrics_labels },
    Arm { name: "opentelemetry, bound", workers: peers::opentelemetry_bound },
    Arm { name: "opentelemetry, labels each time", workers: peers::opentelemetry_labels },
    Arm { name: "floor: empty loop", workers: floors::empty },
    Arm { name: "floor: shared fetch_add", workers: floors::fetch_add },
    Arm { name: TWO_RAW_READS, workers: floors::two_raw_reads },
    Arm { name: "floor: two Instant::now", workers: floors::two_instants },
];
