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
    is_accounted("consumers", history.heap_bytes(), bytes, (90, 100));
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
    is_accounted("slowest requests", registry.slow_bytes() - before, bytes, (90, 100));
}

#[test]
fn the_memory_of_a_shard_is_accounted() {
    let registry = Registry::new();
    let endpoints: Vec<_> = (0..1_000).map(|i| registry.endpoint("GET", &format!("/{i}"))).collect();
    let consumers: Vec<_> = (0..1_000).map(|i| registry.consumer(&i.to_string())).collect();
    let uniques: Vec<_> = (0..16).map(|i| registry.unique(&format!("users_{i}")).unwrap()).collect();
    let timer = registry.timer("db").unwrap();
    let before = registry.shard_bytes();
    let (recorder, bytes) = allocated(|| {
        let recorder = registry.recorder();
        for &endpoint in &endpoints[..10] {
            for nanos in (0..30).map(|bits| 1 << bits) {
                for status in [200, 404, 500] {
                    recorder.record_nanos(endpoint, status, nanos);
                }
            }
        }
        endpoints.iter().for_each(|&endpoint| recorder.enter(endpoint));
        for &consumer in &consumers {
            recorder.record_consumer(consumer, Outcome::Status(200), Duration::from_millis(5));
        }
        uniques.iter().for_each(|unique| unique.insert("ann"));
        (0..30).for_each(|bits| timer.record(Duration::from_nanos(1 << bits)));
        recorder
    });
    is_accounted("a shard", registry.shard_bytes() - before, bytes, (98, 100));
    drop(recorder);
}

#[test]
fn the_memory_of_groups_of_errors_is_accounted() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let endpoint = registry.endpoint("GET", "/");
    let consumer = registry.consumer("ann");
    let text = "x".repeat(100);
    let log = |recorders: std::ops::Range<usize>| {
        for by in recorders {
            let recorder = registry.recorder();
            for i in 0..100 {
                let number: String =
                    (by * 100 + i).to_string().bytes().map(|digit| char::from(digit + 55)).collect();
                let context = RequestContext {
                    request_id: Some(&text),
                    consumer: Some(consumer),
                    ..Default::default()
                };
                let message = format!("{number} {text}");
                recorder.log_error(
                    endpoint,
                    Outcome::Status(500),
                    Duration::from_millis(5),
                    &message,
                    context,
                );
            }
            std::mem::forget(recorder);
        }
        history.tick();
    };
    // Room for 64 unmatched paths of 128 bytes.
    assert!((64 * 128..64 * 256).contains(&registry.group_bytes()), "{}", registry.group_bytes());
    // Shards, and the error log.
    log(0..2);
    drop(registry.recorder());
    let before = (registry.group_bytes(), registry.shard_bytes());
    let ((), bytes) = allocated(|| log(2..8));
    let shards = registry.shard_bytes() - before.1;
    is_accounted("groups", registry.group_bytes() - before.0, bytes - shards as i64, (100, 115));
}

/// What a later process has of the one before.
fn resumed(history: &History) -> (History, i64) {
    history.tick();
    let (saved, later) = (history.save(usize::MAX), Registry::new());
    allocated(|| History::resume(later, &saved).unwrap())
}

#[test]
fn the_memory_of_a_history_of_requests_is_accounted() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    for i in 0..300 {
        let endpoint = registry.endpoint("GET", &format!("/{i}"));
        for nanos in (0..400_u64).map(|at| at * at * 997) {
            registry.record_nanos(endpoint, [200, 404, 500][nanos as usize % 3], nanos);
        }
    }
    let (history, bytes) = resumed(&history);
    is_accounted("requests", history.heap_bytes(), bytes, (80, 90));
}

#[test]
fn the_memory_of_a_history_of_own_metrics_is_accounted() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    for i in 0..128 {
        registry.counter(&format!("jobs_{i}")).unwrap().add(i);
        registry.gauge(&format!("depth_{i}")).unwrap().set(i as f64);
        let timer = registry.timer(&format!("db_{i}")).unwrap();
        (0..200_u64).for_each(|at| timer.record(Duration::from_nanos(at * at * 997)));
    }
    let (history, bytes) = resumed(&history);
    is_accounted("own metrics", history.heap_bytes(), bytes, (75, 100));
}
