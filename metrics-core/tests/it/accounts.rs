//! What the registry says that its memory is, beside what the allocator says.
#![cfg(all(not(miri), not(metrics_loom)))]

use std::time::Duration;

use metrics_core::objective::{Apdex, Objective, Objectives};
use metrics_core::{History, Outcome, Registry, RequestContext, TraceContext, TraceId};

use crate::allocations::live_bytes;

/// What `run` returns, and the bytes that it allocated and did not free.
fn allocated<R>(run: impl FnOnce() -> R) -> (R, i64) {
    let before = live_bytes();
    let made = run();
    (made, live_bytes() - before)
}

/// Between `least` and `most` per cent of what was allocated.
#[track_caller]
fn is_accounted(what: &str, accounted: usize, allocated: i64, (least, most): (i64, i64)) {
    let share = 100 * accounted as i64 / allocated;
    assert!((least..=most).contains(&share), "{what}: {accounted} accounted, {allocated} allocated");
}

#[test]
fn the_memory_of_objectives_is_accounted() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 1_000);
    let snapshot = registry.snapshot();
    let objective = |i: usize| Objective::availability(99.0).name(format!("objective_{i}"));
    let objectives = Objectives::new((0..8).map(objective), &registry).unwrap();
    let objectives = objectives.with_apdex(Apdex::new(Duration::from_millis(9)).unwrap(), &registry).unwrap();
    assert_eq!(objectives.heap_bytes(), 0);
    let ((), bytes) =
        allocated(|| (1..9_000).for_each(|i| objectives.add(&snapshot, Duration::from_secs(10 * i))));
    is_accounted("objectives", objectives.heap_bytes(), bytes, (99, 100));
}

#[test]
fn the_memory_of_a_history_of_consumers_is_accounted() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    for i in 0..3_000 {
        let consumer = registry.consumer(&format!("consumer {i}"));
        recorder.record_consumer(consumer, Outcome::Status(200), Duration::from_millis(5));
    }
    let (history, bytes) = allocated(|| {
        let history = History::new(registry.clone());
        history.tick();
        history
    });
    is_accounted("consumers", history.heap_bytes(), bytes, (85, 105));
}

#[test]
fn the_memory_of_the_slowest_requests_is_accounted() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let endpoints: Vec<_> = (0..200).map(|i| registry.endpoint("GET", &format!("/{i}"))).collect();
    let recorder = registry.recorder();
    let trace = TraceContext { trace: TraceId::new(7).unwrap(), parent: None, sampled: true };
    let text = "x".repeat(60);
    let context = RequestContext {
        trace: Some(trace),
        request_id: Some(&text),
        path: Some(&text),
        ..Default::default()
    };
    let list = || {
        for &endpoint in &endpoints {
            recorder.list_slow(endpoint, Outcome::Status(200), 1_000_000, &context);
        }
        history.tick();
    };
    // What recorders remember of each endpoint, and the first frames.
    list();
    let before = registry.slow_bytes();
    let ((), bytes) = allocated(|| (0..8).for_each(|_| list()));
    is_accounted("slowest requests", registry.slow_bytes() - before, bytes, (90, 105));
}
