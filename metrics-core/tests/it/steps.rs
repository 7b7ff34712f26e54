//! Incremental readings against a single reading of everything.

use metrics_core::{EndpointId, Recorder, Registry, Snapshot};
use proptest::prelude::*;

const SHARDS: usize = 3;
const ENDPOINTS: usize = 2;

/// A record: shard, endpoint, status and nanoseconds.
type Record = (usize, usize, u16, u64);

struct Service {
    registry: Registry,
    endpoints: Vec<EndpointId>,
    recorders: Vec<Recorder>,
}

impl Service {
    fn new(digits: u8) -> Self {
        let registry = Registry::builder().significant_digits(digits).build().unwrap();
        let endpoints = (0..ENDPOINTS).map(|at| registry.endpoint("GET", &format!("/{at}"))).collect();
        let recorders = (0..SHARDS).map(|_| registry.recorder()).collect();
        Self { registry, endpoints, recorders }
    }

    fn record(&self, (shard, endpoint, status, nanos): Record) {
        self.recorders[shard].record_nanos(self.endpoints[endpoint], status, nanos);
    }
}

fn same_figures(ours: &Snapshot, theirs: &Snapshot) -> bool {
    ours.endpoints().eq(theirs.endpoints()) && ours.histogram() == theirs.histogram()
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    // Some durations share a bucket; others exceed what a cell keeps exactly.
    let nanos = prop_oneof![
        3 => 200_000_u64..300_000,
        2 => 0_u64..1_000,
        1 => (0_u32..50).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits)),
    ];
    let record = (0..SHARDS, 0..ENDPOINTS, prop::sample::select(vec![200, 204, 404, 436, 500]), nanos);
    // Sometimes more records than a cell keeps before it allocates blocks.
    prop::collection::vec(record, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn incremental_readings_equal_one_reading_of_everything(
        steps in prop::collection::vec((records(), any::<bool>()), 1..6),
        digits in 1_u8..=3,
    ) {
        let service = Service::new(digits);
        let (mut so_far, mut kept) = (Vec::new(), Vec::new());
        for (records, keep) in steps {
            records.iter().for_each(|&record| service.record(record));
            so_far.extend(records);
            let at_once = Service::new(digits);
            so_far.iter().for_each(|&record| at_once.record(record));
            let at_once = at_once.registry.snapshot();
            let in_steps = service.registry.snapshot();
            prop_assert!(same_figures(&in_steps, &at_once));
            if keep {
                // A snapshot that is kept must not change with later records.
                kept.push((in_steps, at_once));
            }
        }
        for (in_steps, at_once) in kept {
            prop_assert!(same_figures(&in_steps, &at_once));
        }
    }
}
