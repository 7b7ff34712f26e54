//! Shards never outnumber the recorders that lived at once, and outlive the threads that wrote to them.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use metrics_core::{Granularity, Outcome, Registry, RegistryBuilder};

use crate::support::{calls, scaled, sum_nanos};

/// Threads that live at once.
const PEAK: usize = 4;

/// Runs `PEAK` threads at a time. All threads of a group have a recorder before the first one ends.
fn run_in_groups(threads: u64, record: impl Fn(u64) + Sync) {
    for group in 0..threads / PEAK as u64 {
        let all_recorded = Barrier::new(PEAK);
        thread::scope(|scope| {
            let threads: [_; PEAK] = std::array::from_fn(|i| {
                let (record, all_recorded) = (&record, &all_recorded);
                scope.spawn(move || {
                    record(group * PEAK as u64 + i as u64);
                    all_recorded.wait();
                })
            });
            // `join` waits until thread-locals are dropped; the end of the scope would not.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}

#[test]
fn ten_thousand_threads_leave_only_as_many_shards_as_lived_at_once() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let threads = scaled(10_000, 24);
    run_in_groups(threads, |i| registry.record_nanos(endpoint, 200, i));
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.health().shards, PEAK as u64);
    assert_eq!((calls(&snapshot), sum_nanos(&snapshot)), (threads, u128::from(threads * (threads - 1) / 2)));
}

#[test]
fn dropped_recorders_leave_only_as_many_shards_as_lived_at_once() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorders = scaled(10_000, 24);
    for i in 0..recorders / PEAK as u64 {
        let group = [(); PEAK].map(|()| registry.recorder());
        group.iter().for_each(|recorder| recorder.record_nanos(endpoint, 200, i));
    }
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.health().shards, PEAK as u64);
    assert_eq!(calls(&snapshot), recorders);
}

#[test]
fn records_of_a_dead_thread_are_kept() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let thread = thread::spawn({
        let registry = registry.clone();
        move || {
            registry.record_nanos(endpoint, 200, 5);
            registry.recorder().record_nanos(endpoint, 503, 70);
        }
    });
    thread.join().unwrap();
    let total = registry.summary().total;
    assert_eq!((total.calls, total.server_errors), (2, 1));
    assert_eq!([total.min, total.max, total.sum].map(|d| d.as_nanos()), [5, 70, 75]);
}

#[test]
fn a_recorder_continues_the_figures_of_the_previous_one() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    for nanos in 1..=100 {
        let recorder = registry.recorder();
        thread::scope(|scope| {
            scope.spawn(move || recorder.record_nanos(endpoint, 200, nanos)).join().unwrap()
        });
        let total = registry.summary().total;
        assert_eq!((total.calls, total.sum.as_nanos()), (nanos, u128::from(nanos * (nanos + 1) / 2)));
    }
    assert_eq!(registry.snapshot().health().shards, 1);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn shards_take_the_memory_that_the_docs_tell_for_each_thing_in_use() {
    let build = |builder: RegistryBuilder| builder.build().unwrap();
    let grown = |registry: &Registry, by: &dyn Fn()| {
        let before = registry.shard_bytes();
        by();
        registry.shard_bytes() - before
    };
    let shard = |registry: &Registry| grown(registry, &|| registry.with_recorder(|_| ()));
    for (granularity, bytes) in [(Granularity::Class, 264), (Granularity::Exact, 4_104)] {
        let of = |series| shard(&build(Registry::builder().max_series(series).granularity(granularity)));
        assert_eq!(of(150) - of(50), 100 * bytes);
    }

    let registry = build(Registry::builder().max_consumers(500));
    assert_eq!(registry.shard_bytes(), 0);
    let recorder = registry.recorder();
    let one = registry.shard_bytes();
    assert_eq!(grown(&registry, &|| drop(registry.recorder())), one);
    for i in 0..100 {
        registry.endpoint("GET", &format!("/{i}"));
    }
    let endpoint = registry.endpoint("GET", "/");
    let record = || recorder.record_nanos(endpoint, 200, 1_000);
    // A cell, in which 16 durations have room. With more, an octave of buckets.
    assert_eq!(grown(&registry, &|| (0..16).for_each(|_| record())), 704);
    assert_eq!([(); 2].map(|()| grown(&registry, &record)), [1_024, 0]);
    assert_eq!(grown(&registry, &|| recorder.record_nanos(endpoint, 500, 1_000)), 704);
    for (digits, octave) in [(1, 128), (3, 8_192)] {
        let registry = build(Registry::builder().significant_digits(digits));
        let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
        (0..16).for_each(|_| recorder.record_nanos(endpoint, 200, 1_000));
        assert_eq!(grown(&registry, &|| recorder.record_nanos(endpoint, 200, 1_000)), octave);
    }
    // Requests in flight at an endpoint: two counts, which share their cache lines with nothing.
    let entered = [(); 2].map(|()| grown(&registry, &|| recorder.enter(endpoint)));
    assert!((16..=256).contains(&entered[0]) && entered[1] == 0, "{entered:?}");

    let consumer = |registry: &Registry, name: &str| {
        let consumer = registry.consumer(name);
        let outcome = Outcome::Status(200);
        let record = |recorder: &metrics_core::Recorder| {
            recorder.record_consumer(consumer, outcome, Duration::ZERO);
        };
        grown(registry, &|| registry.with_recorder(record))
    };
    let larger = build(Registry::builder().max_consumers(700));
    for registry in [&registry, &larger] {
        shard(registry);
    }
    assert_eq!(consumer(&larger, "a") - consumer(&registry, "a"), 200 * 8);
    assert_eq!(["b", "b", "c"].map(|name| consumer(&registry, name)), [64, 0, 64]);

    let users = registry.unique("users").unwrap();
    let inserted = ["ann", "bob"].map(|name| grown(&registry, &|| users.insert(name)));
    assert!((16 << 10..17 << 10).contains(&inserted[0]) && inserted[1] == 0, "{inserted:?}");
    let [jobs, mails] = ["jobs", "mails"].map(|name| registry.counter(name).unwrap());
    let counted = [&jobs, &mails].map(|counter| grown(&registry, &|| counter.increment()));
    // Rows for all counters and hit ratios, and for all their sets of labels.
    assert_eq!(counted, [1_792 * 8, 0]);
    assert_eq!(grown(&registry, &|| jobs.with("queue", "mail").increment()), 0);
    // Timers have shards of their own.
    let timer = registry.timer("db").unwrap();
    let timed = || timer.record(Duration::from_micros(1));
    assert!(grown(&registry, &timed) > 704);
    assert_eq!(grown(&registry, &|| (0..16).for_each(|_| timed())), 1_024);
}
