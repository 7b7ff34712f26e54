//! Snapshots for the tests of all formats.

use std::time::{Duration, SystemTime};

use metrics_core::{Granularity, Outcome, Registry, Snapshot};
use metrics_export::prometheus::{Denied, Resources};
use metrics_export::push::ExporterCounts;
use proptest::prelude::*;

/// The calls of one endpoint: outcome and nanoseconds.
pub(crate) type Calls = Vec<(Outcome, u64)>;

/// Texts that try to break out of a quoted value, or that look like syntax.
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

/// Durations in all octaves, some of them clamped.
fn nanos() -> impl Strategy<Value = u64> {
    (0_u32..38).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits))
}

/// Calls of endpoints with hostile names.
pub(crate) fn traffic() -> impl Strategy<Value = Vec<(String, Calls)>> {
    prop::collection::vec((hostile(), prop::collection::vec((outcome(), nanos()), 1..30)), 1..6)
}

pub(crate) fn granularity() -> impl Strategy<Value = Granularity> {
    prop_oneof![Just(Granularity::Outcome), Just(Granularity::Class), Just(Granularity::Exact)]
}

/// A registry with these calls.
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

/// A snapshot with a series in every family.
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
    registry.counter("jobs").unwrap().add(7);
    registry.gauge("depth").unwrap().set(-1.25);
    registry.hit_ratio("cache").unwrap().hit();
    registry.unique("users").unwrap().insert("ann");
    registry.timer("db").unwrap().record(Duration::from_millis(20));
    registry.timer("unused").unwrap();
    recorder.keep_exemplar(item, Outcome::Status(503), Duration::from_millis(2), TRACE.parse().unwrap());
    registry.snapshot()
}

/// The trace of the failed request.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Resources with all fields known.
pub(crate) fn resources() -> Resources {
    Resources {
        cpu_time: Some(Duration::from_millis(1_250)),
        resident_bytes: Some(1 << 20),
        virtual_bytes: Some(1 << 30),
        open_files: Some(12),
        max_files: Some(1_024),
        threads: Some(5),
        started: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500)),
        network_received_bytes: Some(3),
        network_sent_bytes: Some(4),
        event_loop_lag: Some(Duration::from_millis(7)),
        ticks: Some(60),
        tick_time: Some(Duration::from_millis(90)),
        scrapes_kept_bytes: Some(90_000),
        history_bytes: Some(300_000),
        shard_bytes: Some(5_000_000),
        error_groups_bytes: Some(7_000),
        denied: Some(Denied { wrong_token: 3, ..Denied::default() }),
    }
}

/// Two exporters; the second one has never succeeded.
pub(crate) fn exporters() -> Vec<ExporterCounts> {
    let works = ExporterCounts {
        exporter: "otlp".to_owned(),
        off: None,
        windows: 19,
        windows_sent: 9,
        windows_idle: 4,
        windows_dropped: 1,
        windows_merged: 3,
        windows_waiting: 2,
        calls_dropped: 70,
        errors_sent: 5,
        errors_dropped: 6,
        errors_missed: 7,
        errors_waiting: 8,
        requests_sent: 11,
        requests_dropped: 12,
        requests_missed: 13,
        requests_waiting: 14,
        rejected: 16,
        attempts_failed: 17,
        failing: 0,
        last_error: None,
        last_sent: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)),
    };
    let failing = ExporterCounts { exporter: "a \"b\"".to_owned(), failing: 4, ..ExporterCounts::default() };
    vec![works, failing]
}
