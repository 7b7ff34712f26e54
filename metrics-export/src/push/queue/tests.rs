//! Windows that failed: which are merged, sent again, or dropped and counted.

use std::time::Duration;

use metrics_core::{ErrorCursor, Outcome, Registry, RequestCursor};
use proptest::prelude::*;

use super::*;

/// A registry, and the queue of an exporter that has sent nothing yet.
struct Fixture {
    registry: Registry,
    cursor: ErrorCursor,
    request_cursor: RequestCursor,
    queue: WindowQueue,
}

impl Fixture {
    fn new(settings: PushSettings) -> Self {
        let registry = Registry::new();
        let base = Arc::new(registry.snapshot());
        let queue = WindowQueue::new("test", settings, base);
        Self { registry, cursor: ErrorCursor::default(), request_cursor: RequestCursor::default(), queue }
    }

    fn fail(&mut self, times: u64) {
        let endpoint = self.registry.endpoint("GET", "/");
        for _ in 0..times {
            self.registry.record_error(endpoint, Outcome::Status(500), Duration::from_millis(1), "no");
        }
        let errors = self.registry.errors_after(&mut self.cursor);
        self.queue.add_errors(&errors, 0);
    }

    /// Logs requests with these durations in milliseconds and random numbers.
    fn log(&mut self, requests: &[(u64, f64)]) {
        let endpoint = self.registry.endpoint("GET", "/");
        for &(millis, random) in requests {
            let elapsed = Duration::from_millis(millis);
            let log = |recorder: &metrics_core::Recorder| {
                recorder.log_request(endpoint, Outcome::Status(200), elapsed, None, random);
            };
            self.registry.with_recorder(log);
        }
        let requests = self.registry.requests_after(&mut self.request_cursor);
        self.queue.add_requests(&requests, 0);
    }

    fn end_window(&mut self) {
        self.queue.end_window(Arc::new(self.registry.snapshot()), Process::default());
    }

    fn skip(&mut self) {
        self.queue.take().unwrap();
        self.queue.skip();
    }

    fn send(&mut self, result: Result<Accepted, Failed>) -> Option<(u64, usize)> {
        let window = self.queue.take()?.window();
        self.queue.settle(result, window.calls());
        Some((window.calls(), window.errors.len()))
    }
}

fn ok() -> Result<Accepted, Failed> {
    Ok(Accepted::default())
}

fn settings(max_windows: usize, max_errors: usize) -> PushSettings {
    PushSettings { max_windows, max_errors, ..PushSettings::default() }
}

#[test]
fn a_window_that_failed_is_merged_into_the_next() {
    let mut fixture = Fixture::new(settings(1, 10));
    fixture.fail(2);
    fixture.end_window();
    assert_eq!(fixture.send(Err(Failed::temporary("down"))), Some((2, 2)));
    fixture.fail(3);
    fixture.end_window();
    assert_eq!(fixture.send(ok()), Some((5, 5)));
    assert_eq!(fixture.send(ok()), None);
    let counts = fixture.queue.counts();
    assert_eq!((counts.windows, counts.windows_sent, counts.windows_merged), (2, 1, 1));
    assert_eq!((counts.errors_sent, counts.attempts_failed, counts.failing), (5, 1, 0));
}

#[test]
fn the_least_important_errors_are_dropped_first_and_of_those_the_oldest() {
    let mut fixture = Fixture::new(settings(1, 6));
    let registry = fixture.registry.clone();
    let mut fail = |route: &str, status, messages: &[&str]| {
        let endpoint = registry.endpoint("GET", route);
        for message in messages {
            registry.record_error(endpoint, Outcome::Status(status), Duration::ZERO, message);
        }
        let errors = registry.errors_after(&mut fixture.cursor);
        fixture.queue.add_errors(&errors, 0);
    };
    fail("_unmatched", 404, &["u1", "u2", "u3"]);
    fail("/", 500, &["s1", "s2"]);
    fail("/", 409, &["c1"]);
    fail("_unmatched", 404, &["u4", "u5"]);
    fail("/", 500, &["s3"]);
    fixture.end_window();
    let window = fixture.queue.take().unwrap().window();
    let kept: Vec<_> = window.errors.iter().map(|error| &*error.message).collect();
    assert_eq!(kept, ["s1", "s2", "c1", "u4", "u5", "s3"]);
    assert_eq!((window.errors_missed, fixture.queue.counts().errors_dropped), (3, 3));
}

#[test]
fn an_idle_window_is_not_sent_and_clears_no_failure() {
    let mut fixture = Fixture::new(settings(3, 10));
    fixture.end_window();
    fixture.skip();
    assert_eq!(fixture.queue.counts().last_sent, None);
    fixture.fail(2);
    fixture.end_window();
    fixture.send(Err(Failed::permanent("it answered 403")));
    fixture.end_window();
    fixture.skip();
    let counts = fixture.queue.counts();
    assert_eq!((counts.windows, counts.windows_idle, counts.windows_sent), (3, 2, 0));
    assert_eq!((counts.failing, counts.last_error.as_deref()), (1, Some("it answered 403")));
    fixture.fail(3);
    fixture.end_window();
    assert_eq!(fixture.send(ok()), Some((3, 3)));
    assert_eq!(fixture.queue.counts().failing, 0);
}

#[test]
fn a_window_that_ends_while_another_is_sent_begins_where_that_one_ends() {
    let mut fixture = Fixture::new(settings(1, 10));
    fixture.fail(2);
    fixture.end_window();
    let first = fixture.queue.take().unwrap().window();
    fixture.fail(3);
    fixture.end_window();
    fixture.queue.settle(ok(), first.calls());
    assert_eq!(first.calls(), 2);
    assert_eq!(fixture.send(ok()), Some((3, 3)));
}

#[test]
fn with_room_for_two_windows_one_that_was_tried_is_sent_again_unchanged() {
    let mut fixture = Fixture::new(settings(3, 10));
    for _ in 0..5 {
        fixture.fail(1);
        fixture.end_window();
        assert_eq!(fixture.send(Err(Failed::temporary("down"))), Some((1, 1)));
    }
    assert_eq!(fixture.queue.counts().windows_waiting, 3);
    assert_eq!([fixture.send(ok()), fixture.send(ok())], [Some((1, 1)); 2]);
    assert_eq!(fixture.send(ok()), Some((3, 3)));
}

#[test]
fn entries_that_are_sent_again_are_not_dropped_for_newer_ones() {
    let mut fixture = Fixture::new(PushSettings { sample_rate: 1.0, max_requests: 3, ..settings(2, 2) });
    fixture.fail(2);
    fixture.log(&[(1, 0.5); 3]);
    fixture.end_window();
    fixture.send(Err(Failed::temporary("down")));
    fixture.fail(9);
    fixture.log(&[(1, 0.5); 7]);
    let again = fixture.queue.take().unwrap().window();
    assert_eq!((again.errors.len(), again.errors_missed), (2, 0));
    assert_eq!((again.requests.len(), again.requests_missed), (3, 0));
    fixture.queue.settle(ok(), again.calls());
    let counts = fixture.queue.counts();
    assert_eq!((counts.errors_sent, counts.errors_dropped), (2, 9));
    assert_eq!((counts.requests_sent, counts.requests_dropped), (3, 7));
}

#[test]
fn refused_and_old_windows_are_dropped_and_counted() {
    let mut fixture = Fixture::new(settings(1, 10));
    fixture.fail(2);
    fixture.end_window();
    fixture.send(Err(Failed::permanent("it answered 400")));
    let counts = fixture.queue.counts();
    assert_eq!((counts.windows_dropped, counts.calls_dropped, counts.errors_dropped), (1, 2, 2));

    let mut fixture = Fixture::new(PushSettings { max_age: Duration::ZERO, ..settings(1, 10) });
    fixture.fail(2);
    fixture.end_window();
    fixture.send(Err(Failed::temporary("down")));
    fixture.fail(1);
    fixture.end_window();
    assert_eq!(fixture.send(ok()), Some((1, 1)));
    let counts = fixture.queue.counts();
    assert_eq!((counts.windows_dropped, counts.calls_dropped, counts.errors_dropped), (1, 2, 2));
}

#[test]
fn a_window_that_gets_too_old_while_it_is_sent_is_dropped_if_it_fails() {
    let mut fixture = Fixture::new(PushSettings { max_age: Duration::ZERO, ..settings(1, 10) });
    fixture.fail(2);
    fixture.end_window();
    let first = fixture.queue.take().unwrap().window();
    fixture.fail(3);
    std::thread::sleep(Duration::from_millis(1));
    fixture.end_window();
    fixture.queue.settle(Err(Failed::temporary("down")), first.calls());
    let counts = fixture.queue.counts();
    assert_eq!((counts.windows_dropped, counts.calls_dropped, counts.windows_merged), (1, 2, 0));
    assert_eq!(fixture.send(ok()), Some((3, 3)));
}

#[test]
fn the_oldest_errors_are_dropped_and_their_window_counts_them_as_missed() {
    let mut fixture = Fixture::new(settings(1, 3));
    fixture.fail(2);
    fixture.end_window();
    fixture.fail(2);
    let window = fixture.queue.take().unwrap().window();
    assert_eq!((window.errors.len(), window.errors_missed, window.calls()), (1, 1, 2));
    // Errors that are being sent stay.
    fixture.fail(9);
    assert_eq!(fixture.queue.counts().errors_waiting, 3);
    fixture.queue.abandon();
    let counts = fixture.queue.counts();
    assert_eq!((counts.errors_dropped, counts.errors_waiting), (13, 0));
}

#[test]
fn only_selected_requests_wait() {
    let slow = Some(Duration::from_millis(100));
    let wanted = PushSettings { slow, sample_rate: 0.5, max_requests: 3, ..settings(1, 0) };
    let mut fixture = Fixture::new(wanted.clone());
    fixture.log(&[(1, 0.5), (1, 0.4), (99, 1.0), (100, 1.0)]);
    fixture.end_window();
    fixture.log(&[(200, 0.4), (1, 0.0)]);
    let window = fixture.queue.take().unwrap().window();
    // The oldest was dropped.
    let took: Vec<_> = window.requests.iter().map(|request| request.response_time.as_millis()).collect();
    assert_eq!((took, window.requests_missed), (vec![100], 1));
    fixture.queue.settle(ok(), 0);
    let counts = fixture.queue.counts();
    assert_eq!((counts.requests_sent, counts.requests_dropped, counts.requests_waiting), (1, 1, 2));

    let mut fixture = Fixture::new(PushSettings { max_requests: 0, ..wanted });
    fixture.log(&[(100, 0.0)]);
    assert_eq!(
        fixture.queue.counts(),
        ExporterCounts { exporter: "test".to_owned(), ..ExporterCounts::default() }
    );
}

proptest! {
    /// In any sequence of failures, each window, request and error is sent, dropped or waiting, exactly once.
    #[test]
    fn everything_is_accounted_for(
        steps in prop::collection::vec((0_u8..9, 0_u64..4), 0..80),
        max_windows in 1_usize..5,
        max_errors in 1_usize..8,
    ) {
        let max_requests = max_errors * 2;
        let settings = PushSettings { sample_rate: 1.0, max_requests, ..settings(max_windows, max_errors) };
        let mut fixture = Fixture::new(settings);
        let (mut failed, mut in_windows, mut calls_sent) = (0, 0, 0);
        let (mut calls_skipped, mut errors_skipped, mut requests_skipped) = (0, 0, 0);
        let mut sending = None;
        for (step, amount) in steps {
            match (step, &sending) {
                (0 | 1, _) => {
                    fixture.fail(amount);
                    fixture.log(&vec![(1, 0.5); amount as usize]);
                    failed += amount;
                }
                (2 | 3, _) => {
                    fixture.end_window();
                    in_windows = failed;
                }
                (4, None) => sending = fixture.queue.take().map(Job::window),
                (5, Some(window)) => {
                    fixture.queue.settle(ok(), window.calls());
                    calls_sent += window.calls();
                    sending = None;
                }
                (6, Some(window)) => {
                    fixture.queue.settle(Err(Failed::temporary("down")), window.calls());
                    sending = None;
                }
                (7, Some(window)) => {
                    fixture.queue.settle(Err(Failed::permanent("no")), window.calls());
                    sending = None;
                }
                (8, Some(window)) => {
                    fixture.queue.skip();
                    calls_skipped += window.calls();
                    errors_skipped += window.errors.len() as u64;
                    requests_skipped += window.requests.len() as u64;
                    sending = None;
                }
                _ => {}
            }
            let counts = fixture.queue.counts();
            prop_assert!(counts.windows_waiting <= max_windows as u64 + 1);
            prop_assert!(counts.errors_waiting <= max_errors as u64);
            prop_assert!(counts.requests_waiting <= max_requests as u64);
        }
        fixture.queue.abandon();
        let counts = fixture.queue.counts();
        let settled = counts.windows_sent + counts.windows_idle;
        let windows = settled + counts.windows_dropped + counts.windows_merged;
        prop_assert_eq!((counts.windows, counts.windows_waiting), (windows, 0));
        prop_assert_eq!(calls_sent + calls_skipped + counts.calls_dropped, in_windows);
        prop_assert_eq!(counts.errors_sent + errors_skipped + counts.errors_dropped, failed);
        prop_assert_eq!(counts.requests_sent + requests_skipped + counts.requests_dropped, failed);
    }
}
