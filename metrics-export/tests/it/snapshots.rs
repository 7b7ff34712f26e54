//! Snapshots to expose.

use std::time::Duration;

use metrics_core::{Granularity, Outcome, Registry, Snapshot};
use proptest::prelude::*;

/// What was recorded of one endpoint: how requests ended, and how long they took.
pub(crate) type Calls = Vec<(Outcome, u64)>;

/// Texts that try to end what they are in, or look like something else.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\\".to_owned()),
        Just("\"".to_owned()),
        Just("\n".to_owned()),
        Just("\\n".to_owned()),
        Just("\r\n# EOF\n".to_owned()),
        Just("\0".to_owned()),
        Just("} 1\n".to_owned()),
        Just("\",le=\"+Inf".to_owned()),
        Just("\u{202e}drow".to_owned()),
        Just("\u{2028}".to_owned()),
        any::<char>().prop_map(String::from),
        Just("/items/{id}".to_owned()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (100_u16..=599).prop_map(Outcome::Status),
        prop::sample::select(vec![200, 201, 404, 500]).prop_map(Outcome::Status),
        Just(Outcome::Other),
        Just(Outcome::Aborted),
        Just(Outcome::Panicked),
    ]
}

/// Durations spread over the octaves, some of them clamped.
fn nanos() -> impl Strategy<Value = u64> {
    (0_u32..38).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits))
}

/// What some endpoints with hostile names were called with.
pub(crate) fn traffic() -> impl Strategy<Value = Vec<(String, Calls)>> {
    prop::collection::vec((hostile(), prop::collection::vec((outcome(), nanos()), 1..30)), 1..6)
}

pub(crate) fn granularity() -> impl Strategy<Value = Granularity> {
    prop_oneof![Just(Granularity::Outcome), Just(Granularity::Class), Just(Granularity::Exact)]
}

/// A registry that was called so.
pub(crate) fn recorded(granularity: Granularity, digits: u8, traffic: &[(String, Calls)]) -> Registry {
    let registry = Registry::builder().granularity(granularity).significant_digits(digits).build().unwrap();
    let recorder = registry.recorder();
    for (route, calls) in traffic {
        let endpoint = registry.endpoint("GET", route);
        for &(outcome, nanos) in calls {
            recorder.record_outcome(endpoint, outcome, Duration::from_nanos(nanos));
        }
    }
    registry
}

/// A snapshot with something in every family.
pub(crate) fn with_everything() -> Snapshot {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let item = registry.endpoint("GET", "/items/{id}");
    for outcome in [Outcome::Status(200), Outcome::Status(503), Outcome::Aborted, Outcome::Panicked] {
        recorder.record_outcome(item, outcome, Duration::from_millis(2));
    }
    for (name, calls) in [("ann", 3), ("bob", 5), ("cy", 1)] {
        let consumer = registry.consumer(name);
        for _ in 0..calls {
            recorder.record_consumer(consumer, Outcome::Status(404), Duration::from_millis(1));
        }
    }
    registry.snapshot()
}
