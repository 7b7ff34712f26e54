//! What a request adds after its record: bytes, bodies that were cut off, open streams.

use std::thread;
use std::time::Duration;

use metrics_core::{Outcome, Registry, Summary};

use crate::support::route_in;

const OK: Outcome = Outcome::Status(200);

fn bytes(summary: &Summary) -> (u64, u64) {
    (summary.total.request_bytes, summary.total.response_bytes)
}

#[test]
fn bytes_count_in_the_window_in_which_they_were_added_even_without_a_call() {
    for digits in 1..=3 {
        let registry = Registry::builder().significant_digits(digits).build().unwrap();
        let endpoint = registry.endpoint("GET", "/");
        let recorder = registry.recorder();
        recorder.add_bytes(endpoint, OK, 1, 10);
        recorder.record_nanos(endpoint, 200, 1_000_001);
        assert_eq!(bytes(&registry.summary()), (1, 10));
        recorder.add_bytes(endpoint, Outcome::Status(404), 0, 100);
        assert_eq!(bytes(&registry.reset()), (1, 110));
        recorder.add_bytes(endpoint, OK, 2, 1_000);
        let window = registry.reset();
        assert_eq!((bytes(&window), window.total.calls), ((2, 1_000), 0));
        assert_eq!((window.total.min, window.total.max), (Duration::ZERO, Duration::ZERO));
        assert_eq!(bytes(&registry.snapshot().summary()), (3, 1_110));
        // Another recorder that only adds bytes does not blur the extremes, and nothing at all is no figure.
        registry.recorder().add_bytes(endpoint, OK, 1, 1);
        assert_eq!(registry.snapshot().summary().total.max, Duration::from_nanos(1_000_001));
        let silent = registry.endpoint("GET", "/silent");
        recorder.add_bytes(silent, OK, 0, 0);
        assert!(route_in(&registry.snapshot(), "/silent").is_none());
    }
}

#[test]
fn a_response_that_was_cut_off_is_aborted_and_keeps_its_status() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    recorder.record_nanos(endpoint, 200, 5);
    registry.reset();
    recorder.count_truncated(endpoint, OK);
    recorder.record_nanos(endpoint, 200, 7);
    let figures = registry.reset().total;
    assert_eq!((figures.calls, figures.aborted, figures.truncated, figures.errors), (1, 1, 1, 0));
    assert_eq!(figures.outcomes, [(OK, 1)]);
    assert_eq!(registry.summary().total.aborted, 0);
    // Its head is counted later.
    recorder.count_truncated(endpoint, Outcome::Status(503));
    let figures = registry.summary().total;
    assert_eq!((figures.calls, figures.truncated), (0, 1));
}

#[test]
fn streams_are_open_until_any_thread_closes_them() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    (0..3).for_each(|_| recorder.open_stream());
    assert_eq!((registry.summary().open_streams, registry.snapshot().open_streams()), (3, 3));
    thread::scope(|scope| {
        scope.spawn(|| registry.with_recorder(metrics_core::Recorder::close_stream));
    });
    assert_eq!((registry.reset().open_streams, registry.summary().open_streams), (2, 2));
}

#[test]
fn an_endpoint_shows_requests_in_flight_even_before_its_first_call() {
    let registry = Registry::new();
    let (slow, fast) = (registry.endpoint("GET", "/slow"), registry.endpoint("GET", "/fast"));
    let recorder = registry.recorder();
    let in_flight = || -> Vec<_> {
        let endpoints = registry.summary().endpoints;
        endpoints.iter().map(|e| (e.name.route.to_string(), e.figures.calls, e.in_flight)).collect()
    };
    recorder.enter(slow);
    recorder.enter(slow);
    recorder.record_nanos(fast, 200, 5);
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.endpoints().map(|endpoint| endpoint.in_flight()).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(in_flight(), [("/fast".to_owned(), 1, 0), ("/slow".to_owned(), 0, 2)]);
    registry.reset();
    assert_eq!(in_flight(), [("/slow".to_owned(), 0, 2)]);
    registry.with_recorder(|recorder| recorder.leave(slow));
    assert_eq!(in_flight(), [("/slow".to_owned(), 0, 1)]);
    recorder.leave(slow);
    assert_eq!(in_flight(), []);
}
