//! What leads to the causes of errors stays within its memory.
#![cfg(all(not(miri), not(metrics_loom)))]

use std::time::Duration;

use metrics_core::objective::{Apdex, Objective, Objectives};
use metrics_core::{History, Outcome, Registry, RequestContext, TraceContext, TraceId, Window};

use crate::allocations::live_bytes;

/// Groups of errors with the longest messages, ids and paths; the slowest requests of more endpoints than there is room
/// for; nine objectives with a day of counts.
#[test]
fn groups_slow_lists_and_objectives_at_their_caps_stay_below_4_mib() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let recorders: Vec<_> = (0..16).map(|_| registry.recorder()).collect();
    let endpoints: Vec<_> = (0..1_000).map(|i| registry.endpoint("GET", &format!("/{i}"))).collect();
    let consumers: Vec<_> = (0..64).map(|i| registry.consumer(&format!("consumer {i}"))).collect();
    let trace = TraceContext { trace: TraceId::new(7).unwrap(), parent: None, sampled: true };
    let text = "x".repeat(256);
    let context = |i: usize| RequestContext {
        trace: Some(trace),
        consumer: Some(consumers[i % consumers.len()]),
        request_id: Some(&text),
        path: Some(&text),
    };
    // The figures, the error log and the first frames are not meant.
    for &endpoint in &endpoints {
        recorders[0].record_nanos(endpoint, 200, 1_000);
        recorders[0].record_nanos(endpoint, 500, 1_000);
    }
    (0..200).for_each(|i| {
        recorders[0].log_error(endpoints[0], Outcome::Status(404), Duration::ZERO, "a", context(i))
    });
    history.tick();
    drop(registry.summary());
    let of_counts = Registry::new();
    let counted = of_counts.endpoint("GET", "/");
    let snapshot_of = |calls: u64| {
        (0..calls).for_each(|_| of_counts.record_nanos(counted, 200, 1_000));
        of_counts.snapshot()
    };
    let snapshot = snapshot_of(10);
    let before = live_bytes();

    for (i, recorder) in recorders.iter().enumerate() {
        for (group, &endpoint) in endpoints.iter().enumerate().take(80) {
            let message: String = format!("{}{}", letters(i * 80 + group), text);
            for example in 0..4 {
                let (outcome, elapsed) = (Outcome::Status(500), Duration::from_millis(5));
                recorder.log_error(endpoint, outcome, elapsed, &message, context(example));
            }
        }
    }
    history.tick();
    let groups = live_bytes() - before;
    for endpoints in endpoints.chunks(50) {
        for &endpoint in endpoints {
            for i in 0..10 {
                recorders[0].list_slow(endpoint, Outcome::Status(200), 1_000_000 + i, &context(i as usize));
            }
        }
        // As a reader does once a second.
        history.tick();
    }
    let slow = live_bytes() - before - groups;
    let objective = |i: usize| Objective::availability(99.0).name(format!("objective_{i}"));
    let objectives = Objectives::new((0..8).map(objective), &of_counts).unwrap();
    let apdex = Apdex::new(Duration::from_millis(100)).unwrap();
    let objectives = objectives.with_apdex(apdex, &of_counts).unwrap();
    // As many as are kept: one a minute of a day, and one every ten seconds of the last half hour.
    let (day, recent) = ((0..88_000).step_by(60), (88_000..90_500).step_by(10));
    day.chain(recent).for_each(|seconds| objectives.add(&snapshot, Duration::from_secs(seconds)));
    let all = live_bytes() - before;

    let listed = history.error_groups(Window::SinceReset);
    assert_eq!(listed.groups.len(), 1_024);
    assert!(history.slow_requests(Window::FiveMinutes, None).dropped > 0, "the lists are full");
    let accounted = [registry.group_bytes(), registry.slow_bytes(), objectives.heap_bytes()];
    println!(
        "allocated: {groups} of groups, {slow} of slow requests, {all} of all, in bytes; accounted: {accounted:?}"
    );
    assert!(accounted.iter().sum::<usize>() <= 4 << 20, "{accounted:?}");
    // The allocator's view has more than the accounts: what recorders remember of each endpoint, and room in tables.
    assert!(all <= 4 << 20, "{} KiB", all / 1_024);
}

/// A number as letters, since numbers are left out of the templates of messages.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
}
