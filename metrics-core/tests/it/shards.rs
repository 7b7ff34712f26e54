//! Shards never outnumber the recorders that lived at once, and outlive the threads that wrote to them.

use std::sync::Barrier;
use std::thread;

use metrics_core::Registry;

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
