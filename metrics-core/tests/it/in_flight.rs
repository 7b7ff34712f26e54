//! Requests in flight: started on one thread, finished on another, and never more than there really are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{METHODS, MetricFigures, Outcome, Registry};

use crate::support::scaled;

#[test]
fn a_request_is_in_flight_from_its_start_to_its_finish() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    let starts: Vec<_> = (0..5).map(|_| recorder.start()).collect();
    assert_eq!(registry.snapshot().in_flight(), 5);
    for (finished, start) in starts.into_iter().enumerate() {
        let elapsed = Duration::from_nanos(recorder.finish(start, endpoint, Outcome::Status(200)));
        assert_eq!(registry.summary().in_flight, 4 - finished as u64);
        assert_eq!(registry.in_flight(), 4 - finished as u64);
        assert!(registry.summary().total.max >= elapsed);
    }
    assert_eq!(registry.summary().total.calls, 5);
}

#[test]
fn a_request_takes_the_time_from_its_start_to_its_finish() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let (recorder, timer) = (registry.recorder(), registry.timer("work").unwrap());
    let pause = Duration::from_millis(20);
    let outer = Instant::now();
    let start = recorder.start();
    timer.time(|| thread::sleep(pause));
    let so_far = recorder.elapsed(&start);
    recorder.finish(start, endpoint, Outcome::Status(200));
    let outer = outer.elapsed();
    let summary = registry.summary();
    let MetricFigures::Timer(work) = &summary.business[0].figures else { panic!("{summary:?}") };
    for took in [so_far, summary.total.sum, work.sum] {
        // The two clocks may differ by a little.
        assert!(took * 10 > pause * 9 && took * 9 < outer * 10, "{took:?} {outer:?}");
    }
}

#[test]
fn requests_in_flight_are_told_apart_by_method() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("POST", "/");
    let recorder = registry.recorder();
    let [get, post] = ["GET", "POST"].map(|name| METHODS.iter().position(|known| *known == name).unwrap());
    let by_method = || registry.snapshot().in_flight_by_method().collect::<Vec<_>>();
    assert_eq!(by_method(), []);
    let (first, second) = (recorder.start_method(post), recorder.start_method(get));
    assert_eq!(by_method(), [(Some("GET"), 1), (Some("POST"), 1)]);
    // On another thread, and without a method.
    thread::scope(|scope| {
        let ended = scope.spawn(|| registry.recorder().finish(first, endpoint, Outcome::Status(200)));
        ended.join().unwrap();
    });
    let third = recorder.start();
    assert_eq!(by_method(), [(Some("GET"), 1), (Some("POST"), 0), (None, 1)]);
    assert_eq!(registry.snapshot().in_flight(), 2);
    recorder.discard(third);
    // Taken out before its end, its start counts for nothing.
    recorder.leave_out(get);
    drop(second);
    assert_eq!(by_method(), [(Some("GET"), 0), (Some("POST"), 0), (None, 0)]);
    assert_eq!(registry.summary().in_flight, 0);
}

#[test]
fn a_request_may_start_on_one_thread_and_finish_on_another() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let requests = scaled(10_000, 20);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let registry = &registry;
        scope.spawn(move || {
            let recorder = registry.recorder();
            (0..requests).for_each(|_| sender.send(recorder.start()).unwrap());
        });
        scope.spawn(move || {
            let recorder = registry.recorder();
            for (i, start) in receiver.into_iter().enumerate() {
                match i % 2 {
                    0 => recorder.finish(start, endpoint, Outcome::Status(200)),
                    _ => recorder.finish_error(start, endpoint, Outcome::Panicked, "boom"),
                };
            }
        });
        for _ in 0..scaled(200, 5) {
            assert!(registry.snapshot().in_flight() <= requests);
        }
    });
    let summary = registry.summary();
    assert_eq!((summary.in_flight, summary.total.calls, summary.total.panicked), (0, requests, requests / 2));
}

#[test]
fn a_reset_does_not_change_the_requests_in_flight() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    let start = recorder.start();
    assert_eq!(registry.reset().in_flight, 1);
    assert_eq!(registry.summary().in_flight, 1);
    recorder.finish(start, endpoint, Outcome::Status(200));
    assert_eq!((registry.summary().in_flight, registry.reset().total.calls), (0, 1));
}

#[test]
fn readers_never_see_more_requests_in_flight_than_threads() {
    const THREADS: usize = 4;
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let done = AtomicBool::new(false);
    let mut most = 0;
    thread::scope(|scope| {
        let writers = [(); THREADS].map(|()| {
            scope.spawn(|| {
                let recorder = registry.recorder();
                for _ in 0..scaled(200_000, 100) {
                    recorder.finish(recorder.start(), endpoint, Outcome::Status(200));
                }
            })
        });
        let reader = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(registry.snapshot().in_flight()).max(registry.summary().in_flight);
            }
            most
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        most = reader.join().unwrap();
    });
    assert!(most <= THREADS as u64, "{most} requests in flight on {THREADS} threads");
    assert_eq!(registry.snapshot().in_flight(), 0);
}

#[test]
fn a_start_that_is_dropped_stays_in_flight_and_is_in_no_other_figure() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    drop(recorder.start());
    recorder.finish(recorder.start(), endpoint, Outcome::Status(200));
    let summary = registry.reset();
    assert_eq!((summary.in_flight, summary.total.calls), (1, 1));
    assert_eq!((registry.summary().in_flight, registry.summary().total.calls), (1, 0));
}

#[test]
fn a_forgotten_recorder_keeps_its_counts_and_the_next_one_gets_another_shard() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    for calls in 1..=3 {
        let recorder = registry.recorder();
        let start = recorder.start();
        recorder.finish(start, endpoint, Outcome::Status(200));
        std::mem::forget(recorder);
        let snapshot = registry.snapshot();
        assert_eq!((registry.summary().total.calls, snapshot.health().shards), (calls, calls));
    }
    // A request can still be ended by another one.
    let first = registry.recorder();
    let start = first.start();
    std::mem::forget(first);
    registry.recorder().finish(start, endpoint, Outcome::Status(200));
    assert_eq!((registry.summary().in_flight, registry.summary().total.calls), (0, 4));
}

#[test]
fn what_ends_without_a_beginning_leaves_counts_at_zero_and_all_other_figures_alone() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    recorder.leave(endpoint);
    recorder.close_stream();
    recorder.finish(recorder.start(), endpoint, Outcome::Status(200));
    let summary = registry.summary();
    assert_eq!((summary.endpoints[0].in_flight, summary.open_streams, summary.in_flight), (0, 0, 0));
    assert_eq!(summary.total.calls, 1);
    // It cancels out the next one.
    recorder.enter(endpoint);
    recorder.open_stream();
    let summary = registry.summary();
    assert_eq!((summary.endpoints[0].in_flight, summary.open_streams), (0, 0));
    recorder.enter(endpoint);
    recorder.open_stream();
    let summary = registry.summary();
    assert_eq!((summary.endpoints[0].in_flight, summary.open_streams), (1, 1));
}
