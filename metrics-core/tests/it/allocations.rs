//! Allocations: a record of a known series allocates nothing, and a dropped registry leaves nothing behind.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use metrics_core::{MAX_NANOS, Outcome, Registry};

use crate::support::{OUTCOMES, scaled};

/// The system's allocator, which counts the allocations of the calling thread.
struct Counting;

thread_local! {
    /// Calls that allocate.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread allocated and did not free.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn count(allocations: u64, bytes: i64) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    LIVE.set(LIVE.get() + bytes);
}

// SAFETY: every call is passed to `System` unchanged; counting uses thread-locals that neither allocate nor have a
// destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller upholds the contract of `alloc`, which is also that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as in `alloc`; all our pointers come from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// More records than a cell keeps before it allocates a block for them.
const WARM_UP: usize = 40;

/// The bytes that this thread allocated and did not free.
pub(crate) fn live_bytes() -> i64 {
    LIVE.get()
}

/// How often `run` allocates.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

#[test]
fn a_record_of_a_known_series_allocates_nothing() {
    let registry = Registry::new();
    let endpoints = ["/a", "/b"].map(|route| registry.endpoint("GET", route));
    let recorder = registry.recorder();
    let durations = (0..=36).map(|bits| MAX_NANOS >> bits).chain([MAX_NANOS + 1, u64::MAX]);
    let record_all = || {
        for endpoint in endpoints {
            for nanos in durations.clone() {
                for outcome in OUTCOMES {
                    recorder.record_outcome(endpoint, outcome, Duration::from_nanos(nanos));
                }
                recorder.record_nanos(endpoint, 0, nanos);
                registry.record_nanos(endpoint, 200, nanos);
            }
        }
    };
    assert!(allocations(|| (0..WARM_UP).for_each(|_| record_all())) > 0, "allocations are not counted");
    assert_eq!(allocations(record_all), 0);
    // A reset and a snapshot do not change that.
    registry.reset();
    registry.snapshot();
    assert_eq!(allocations(record_all), 0);
}

#[test]
fn a_write_through_a_handle_with_labels_and_a_look_up_of_known_labels_allocate_nothing() {
    let registry = Registry::new();
    let (jobs, depth) = (registry.counter("jobs").unwrap(), registry.gauge("depth").unwrap());
    let (work, cache) = (registry.timer("work").unwrap(), registry.hit_ratio("cache").unwrap());
    let users = registry.unique("users").unwrap();
    let labels = [("to", "x"), ("queue", "mail")];
    let handles = (
        jobs.with_labels(labels),
        depth.with_labels(labels),
        work.with_labels(labels),
        cache.with_labels(labels),
        users.with_labels(labels),
    );
    let write = || {
        let (jobs, depth, work, cache, users) = &handles;
        jobs.increment();
        depth.set(2.0);
        depth.add(1.0);
        work.record(Duration::from_micros(7));
        drop(work.start());
        cache.hit();
        cache.miss();
        users.insert("Ann");
    };
    assert!(allocations(|| (0..WARM_UP).for_each(|_| write())) > 0, "allocations are not counted");
    assert_eq!(allocations(write), 0);
    assert_eq!(allocations(|| jobs.with_labels(labels).with("to", "x").increment()), 0);
    assert_eq!(allocations(|| work.with_labels(labels).record(Duration::from_micros(7))), 0);
    // Beyond the cap, too.
    let many: Vec<_> = (0..200).map(|i| i.to_string()).collect();
    many.iter().for_each(|set| jobs.with("set", set).increment());
    assert_eq!(allocations(|| many.iter().for_each(|set| jobs.with("set", set).increment())), 0);
    assert!(allocations(|| drop(depth.with("queue", "another"))) > 0);
}

#[test]
fn sets_of_labels_at_their_caps_take_at_most_3_mib_and_2_mib_for_a_thread_that_writes_to_all() {
    let registry = Registry::new();
    let value = "v".repeat(120);
    let labels: Vec<[String; 4]> =
        (0..140).map(|set| ["a", "b", "c", "d"].map(|name| format!("{name}{set}{value}"))).collect();
    let names = ["a", "b", "c", "d"].map(|name| name.repeat(64));
    let all = |metric: usize, write: bool| {
        let name = |kind: &str| format!("{kind}_{metric}");
        let (jobs, depth) =
            (registry.counter(&name("jobs")).unwrap(), registry.gauge(&name("depth")).unwrap());
        let work = registry.timer(&name("work")).unwrap();
        for values in &labels {
            let labels = || names.iter().map(String::as_str).zip(values.iter().map(String::as_str));
            let (jobs, depth, work) =
                (jobs.with_labels(labels()), depth.with_labels(labels()), work.with_labels(labels()));
            if write {
                jobs.increment();
                depth.set(1.0);
                (0..WARM_UP).for_each(|_| work.record(Duration::from_micros(900)));
            }
        }
    };
    let before = live_bytes();
    (0..128).for_each(|metric| all(metric, false));
    let named = live_bytes() - before;
    (0..128).for_each(|metric| all(metric, true));
    let written = live_bytes() - before - named;
    assert!(registry.health().label_sets_refused > 10_000);
    println!("{} KiB, and {} KiB for a thread that writes", named >> 10, written >> 10);
    assert!(named < 3 << 20 && written < 2 << 20, "{named} {written}");
}

#[test]
fn a_thread_that_records_to_two_registries_in_turn_allocates_nothing() {
    let registries = [Registry::new(), Registry::new()];
    let endpoints = registries.each_ref().map(|registry| registry.endpoint("GET", "/"));
    let record_both = || {
        for (registry, endpoint) in registries.iter().zip(endpoints) {
            registry.record_nanos(endpoint, 200, 1_000);
        }
    };
    (0..WARM_UP).for_each(|_| record_both());
    assert_eq!(allocations(|| (0..10).for_each(|_| record_both())), 0);
}

#[test]
fn errors_are_logged_evicted_and_thinned_out_without_an_allocation() {
    let registry = Registry::builder().error_log_capacity(4).build().unwrap();
    let endpoint = registry.endpoint("GET", "/");
    let recorders = [registry.recorder(), registry.recorder(), registry.recorder()];
    let message = "x".repeat(1_000);
    let record = |i: usize| {
        recorders[i % 3].record_error(endpoint, Outcome::Status(500), Duration::from_nanos(1_000), &message);
    };
    (0..3 * WARM_UP).for_each(record);
    assert_eq!(allocations(|| (0..100).for_each(record)), 0);
    let health = registry.snapshot().health();
    assert!(health.errors_evicted > 0 && health.errors_thinned > 0, "{health:?}");
}

#[test]
fn starting_and_finishing_a_request_allocates_nothing() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    for nanos in (0..=36).map(|bits| MAX_NANOS >> bits) {
        (0..WARM_UP).for_each(|_| recorder.record_nanos(endpoint, 200, nanos));
    }
    let request = || {
        recorder.finish(recorder.start(), endpoint, Outcome::Status(200));
    };
    assert_eq!(allocations(|| (0..100).for_each(|_| request())), 0);
}

#[test]
fn invented_names_and_statuses_do_not_grow_the_memory() {
    let registry = Registry::builder().max_series(10).build().unwrap();
    let hostile = |from: u64, to: u64| {
        for i in from..to {
            let endpoint = registry.endpoint("GET", &format!("/{i}"));
            for status in [0, 99, 200, 404, 503, (i % 65_536) as u16] {
                registry.record_nanos(endpoint, status, MAX_NANOS >> (i % 38));
            }
            // All of one length, since the latest messages are kept.
            registry.record_error(endpoint, Outcome::Status(500), Duration::ZERO, &format!("{i:06}"));
        }
    };
    // Before counting, each of the 10 + 1 endpoints sees every octave of every class.
    let warm_up = scaled(20_000, 400);
    hostile(0, warm_up);
    for i in 0..10 {
        let endpoint = registry.endpoint("GET", &format!("/{i}"));
        (0..38).for_each(|bits| {
            [0, 100, 200, 300, 404, 503].iter().for_each(|&status| {
                (0..WARM_UP).for_each(|_| registry.record_nanos(endpoint, status, MAX_NANOS >> bits));
            })
        });
    }
    registry.summary();
    let live = LIVE.get();
    hostile(warm_up, 2 * warm_up);
    assert_eq!(LIVE.get(), live);
}

#[test]
fn dropped_registries_do_not_pile_up_on_a_thread_that_recorded_to_them() {
    let use_one = || {
        let registry = Registry::new();
        registry.record_nanos(registry.endpoint("GET", "/"), 200, 1_000);
        registry.record_nanos(registry.endpoint("GET", "/"), 503, 1);
        assert_eq!(registry.summary().total.calls, 2);
    };
    use_one();
    use_one();
    let live = LIVE.get();
    (0..scaled(1_000, 20)).for_each(|_| use_one());
    // The thread keeps the last one until it needs another or ends.
    assert_eq!(LIVE.get(), live);
}
