//! Resident memory of a busy service's figures (200 endpoints, 16 threads), and of what leads to the causes of errors.
//!
//! A test binary of its own, because resident memory is that of the whole process and nothing else may run meanwhile.
#![cfg(all(target_os = "linux", not(miri), not(metrics_loom)))]

use std::time::Duration;

use metrics_core::objective::{Apdex, Objective, Objectives};
use metrics_core::{History, Outcome, Registry, RequestContext, TraceContext, TraceId, Window};

const ENDPOINTS: u64 = 200;
const RECORDERS: u64 = 16;
/// Per recorder and endpoint.
const RECORDS: u64 = 1_000;
/// The spread of the natural logarithm of an endpoint's latencies: the 99th percentile is 3.2 times the median.
const SIGMA: f64 = 0.5;
const MIB: u64 = 1 << 20;

/// Uniform numbers over 0..1, the same in every run.
struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Log-normal nanoseconds. `sigma` is the standard deviation of the natural logarithm.
    fn lognormal(&mut self, median: f64, sigma: f64) -> u64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.uniform()).cos();
        (median * (sigma * normal).exp()) as u64
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1_024
}

/// One after the other, since each looks at the whole process.
#[test]
fn memory_stays_within_its_bounds() {
    // First, since it would be given the memory that the other one frees.
    groups_slow_lists_and_objectives_at_their_caps_stay_below_4_mib();
    two_hundred_endpoints_on_sixteen_threads_stay_below_32_mib();
}

/// Groups of errors with the longest messages, ids and paths; the slowest requests of more endpoints than there is room
/// for; nine objectives with a day of counts.
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
    let before = resident_bytes();

    for (i, recorder) in recorders.iter().enumerate() {
        for (group, &endpoint) in endpoints.iter().enumerate().take(80) {
            let message: String = format!("{}{}", letters(i * 80 + group), text);
            for example in 0..4 {
                let (outcome, elapsed) = (Outcome::Status(500), Duration::from_millis(5));
                recorder.log_error(endpoint, outcome, elapsed, &message, context(example));
            }
        }
    }
    let groups = resident_bytes() - before;
    for endpoints in endpoints.chunks(50) {
        for &endpoint in endpoints {
            for i in 0..10 {
                recorders[0].list_slow(endpoint, Outcome::Status(200), 1_000_000 + i, &context(i as usize));
            }
        }
        // As a reader does once a second.
        history.tick();
    }
    let slow = resident_bytes() - before - groups;
    let objective = |i: usize| Objective::availability(99.0).name(format!("objective_{i}"));
    let objectives = Objectives::new((0..8).map(objective), &of_counts).unwrap();
    let apdex = Apdex::new(Duration::from_millis(100)).unwrap();
    let objectives = objectives.with_apdex(apdex, &of_counts).unwrap();
    // As many as are kept: one a minute of a day, and one every ten seconds of the last half hour.
    let (day, recent) = ((0..88_000).step_by(60), (88_000..90_500).step_by(10));
    day.chain(recent).for_each(|seconds| objectives.add(&snapshot, Duration::from_secs(seconds)));
    let all = resident_bytes() - before;

    let listed = history.error_groups(Window::SinceReset);
    assert_eq!(listed.groups.len(), 1_024);
    let accounted = [registry.group_bytes(), registry.slow_bytes(), objectives.heap_bytes()];
    println!(
        "resident: {groups} of groups, {slow} of slow requests, {all} of all, in bytes; accounted: {accounted:?}; \
         slow requests dropped: {}",
        history.slow_requests(Window::FiveMinutes, None).dropped
    );
    assert!(history.slow_requests(Window::FiveMinutes, None).dropped > 0, "the lists are full");
    assert!(accounted.iter().sum::<usize>() as u64 <= 4 * MIB, "{accounted:?}");
    // What was listed on the way and gave way to slower requests is freed, but the allocator keeps its pages.
    assert!(all <= 8 * MIB, "{} KiB", all / 1_024);
}

/// A number as letters, since numbers are left out of the templates of messages.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
}

fn two_hundred_endpoints_on_sixteen_threads_stay_below_32_mib() {
    // The one-time cost of the first registry in a process does not count.
    drop(Registry::new());
    let before = resident_bytes();

    let registry = Registry::new();
    let recorders: Vec<_> = (0..RECORDERS).map(|_| registry.recorder()).collect();
    let mut rng = Rng(1);
    for i in 0..ENDPOINTS {
        let endpoint = registry.endpoint("GET", &format!("/service/{i}/items/{{id}}"));
        // From 0.2 ms to 20 ms.
        let median = 200_000.0 * 100_f64.powf(rng.uniform());
        for recorder in &recorders {
            for _ in 0..RECORDS {
                let (status, median) = match rng.uniform() {
                    x if x < 0.008 => (404, median / 4.0),
                    x if x < 0.010 => (503, median / 4.0),
                    _ => (200, median),
                };
                recorder.record_nanos(endpoint, status, rng.lognormal(median, SIGMA));
            }
        }
    }
    let recorded = resident_bytes() - before;
    let summary = registry.summary();
    let read = resident_bytes() - before;

    assert_eq!(summary.total.calls, ENDPOINTS * RECORDERS * RECORDS);
    assert_eq!(registry.snapshot().health().shards, RECORDERS);
    println!(
        "resident: {:.1} MiB recorded, {:.1} MiB with a summary",
        recorded as f64 / MIB as f64,
        read as f64 / MIB as f64
    );
    assert!(read <= 32 * MIB, "{} KiB", read / 1_024);
}
