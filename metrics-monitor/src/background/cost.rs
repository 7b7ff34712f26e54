//! The cost of the monitor itself: the time of one record, measured once on this machine, and memory.

use std::hint::black_box;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use metrics_core::{History, Outcome, Registry};
use metrics_export::json::MonitorCost;

use super::resources::Resources;

/// How long records are measured.
const MEASURED: Duration = Duration::from_millis(1);

/// Records that are timed together, so that the timing clock adds next to nothing.
const BATCH: u32 = 64;

/// How long a reading of the memory is used: looking at every frame and every cell takes longer than reading the figures.
const MEMORY_EVERY: Duration = Duration::from_secs(10);

/// The last measurements.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    record: OnceLock<Duration>,
    /// The memory, and when it was read.
    memory: Mutex<Option<(Instant, Memory)>>,
}

/// The memory of those parts that grow with time and with what is counted, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The history, and the samples of resources.
    pub(crate) history: usize,
    /// All shards.
    pub(crate) shards: usize,
    /// The groups of errors.
    pub(crate) groups: usize,
}

impl Cost {
    /// The cost now. The first call measures a record, which takes 1 ms on the calling thread: it must be no worker.
    pub(crate) fn now(&self, registry: &Registry, history: &History, resources: &Resources) -> MonitorCost {
        let Memory { history, shards, .. } = self.memory(registry, history, resources);
        MonitorCost {
            history_bytes: history,
            shard_bytes: shards,
            record: Some(*self.record.get_or_init(record_time)),
        }
    }

    /// The memory, as it was at most ten seconds ago.
    pub(crate) fn memory(&self, registry: &Registry, history: &History, resources: &Resources) -> Memory {
        // A panic while it is locked changes nothing.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match *memory {
            Some((read, memory)) if read.elapsed() < MEMORY_EVERY => memory,
            _ => {
                let history = history.heap_bytes() + resources.heap_bytes();
                let now = Memory { history, shards: registry.shard_bytes(), groups: registry.group_bytes() };
                *memory = Some((Instant::now(), now));
                now
            }
        }
    }
}

/// The time of one record with both of its clock readings: the median of batches, on a registry of its own.
fn record_time() -> Duration {
    let registry = Registry::builder().max_series(1).max_consumers(0).error_log_capacity(1).build();
    let registry = registry.expect("the settings are in range");
    let (recorder, endpoint) = (registry.recorder(), registry.endpoint("GET", "/"));
    let batch = || {
        let begun = Instant::now();
        for _ in 0..BATCH {
            let start = recorder.start();
            recorder.finish(start, black_box(endpoint), Outcome::Status(200));
        }
        begun.elapsed()
    };
    // The first batch allocates.
    batch();
    let begun = Instant::now();
    let mut batches = Vec::new();
    while batches.is_empty() || begun.elapsed() < MEASURED {
        batches.push(batch());
    }
    batches.sort_unstable();
    batches[batches.len() / 2] / BATCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_some_time_and_is_measured_once() {
        let (cost, registry, resources) = (Cost::default(), Registry::new(), Resources::default());
        let history = History::new(registry.clone());
        let measured = || cost.now(&registry, &history, &resources).record;
        let first = measured();
        assert!(first > Some(Duration::ZERO), "{first:?}");
        assert_eq!(measured(), first);
    }

    #[test]
    fn the_memory_is_read_now_and_then() {
        let (cost, registry, resources) = (Cost::default(), Registry::new(), Resources::default());
        let history = History::new(registry.clone());
        let memory = || cost.memory(&registry, &history, &resources);
        let first = memory();
        assert_eq!(first.shards, 0);
        registry.record_nanos(registry.endpoint("GET", "/"), 200, 1_000);
        history.tick();
        assert_eq!(memory(), first);
        *cost.memory.lock().unwrap() = None;
        assert!(memory().shards > 1_000 && memory().history > first.history, "{:?}", memory());
    }
}
