//! Checks that an untrusted snapshot is either refused or usable: nothing done with it panics, and its figures are in
//! order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics_core::{Figures, Snapshot};

fuzz_target!(|text: &[u8]| {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(text) else { return };
    in_order(&snapshot);

    let written = serde_json::to_string(&snapshot).expect("a snapshot that was read can be written");
    let read: Snapshot = serde_json::from_str(&written).expect("a snapshot that was written can be read");
    assert_eq!(serde_json::to_string(&read).unwrap(), written);

    // The difference is empty except for requests in flight and for endpoints that share a name.
    in_order(&snapshot.difference(&snapshot));

    let mut twice = snapshot.clone();
    twice.merge(&snapshot).expect("a snapshot has the precision and granularity of itself");
    in_order(&twice);
    in_order(&twice.difference(&snapshot));
    assert!(twice.histogram().total() >= snapshot.histogram().total());
});

fn in_order(snapshot: &Snapshot) {
    let summary = snapshot.summary();
    for figures in summary.endpoints.iter().map(|endpoint| &endpoint.figures).chain([&summary.total]) {
        let Figures { min, p50, p95, p99, max, .. } = *figures;
        assert!(min <= p50 && p50 <= p95 && p95 <= p99 && p99 <= max, "{figures:?}");
        assert!(figures.errors <= figures.calls, "{figures:?}");
    }
}
