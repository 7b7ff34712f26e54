//! The slowest requests.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use metrics_core::{
    EndpointName, History, Outcome, Recorder, Registry, RequestContext, SlowRequests, Window,
};

use crate::support::{Rng, scaled};

/// Ends a request as a middleware does, with a duration of the test's choice.
fn end(recorder: &Recorder, endpoint: metrics_core::EndpointId, nanos: u64) {
    recorder.record_nanos(endpoint, 200, nanos);
    if recorder.ranks(endpoint, nanos) {
        recorder.list_slow(endpoint, Outcome::Status(200), nanos, &RequestContext::default());
    }
}

fn nanos(slow: &SlowRequests) -> Vec<u64> {
    slow.requests.iter().map(|request| request.response_time.as_nanos() as u64).collect()
}

#[test]
fn the_slowest_of_each_endpoint_and_of_all_are_exactly_those_of_a_sorted_list() {
    let registry = Registry::new();
    let routes = ["/a", "/b", "/c"];
    let endpoints = routes.map(|route| registry.endpoint("GET", route));
    let threads = 3;
    let start = Barrier::new(threads);
    let recorded: Vec<Vec<(usize, u64)>> = std::thread::scope(|scope| {
        let spawn = |thread: usize| {
            let (registry, start) = (&registry, &start);
            scope.spawn(move || {
                let (recorder, mut rng) = (registry.recorder(), Rng::new(thread as u64));
                start.wait();
                (0..scaled(20_000, 50))
                    .map(|_| {
                        let (route, nanos) = (rng.below(3) as usize, rng.log_uniform(40));
                        end(&recorder, endpoints[route], nanos);
                        (route, nanos)
                    })
                    .collect()
            })
        };
        let threads: Vec<_> = (0..threads).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let slowest = |route: Option<usize>, most: usize| {
        let all = recorded.iter().flatten().filter(|(of, _)| route.is_none_or(|route| route == *of));
        let mut all: Vec<_> = all.map(|&(_, nanos)| nanos).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.truncate(most);
        all
    };
    let history = History::new(registry.clone());
    for window in Window::ALL {
        assert_eq!(nanos(&history.slow_requests(window, None)), slowest(None, 50), "{window}");
    }
    for (at, route) in routes.into_iter().enumerate() {
        let name = EndpointName { method: "GET".into(), route: route.into() };
        let slow = history.slow_requests(Window::FiveMinutes, Some(&name));
        assert_eq!(nanos(&slow), slowest(Some(at), 10), "{route}");
        assert!(slow.requests.iter().all(|request| *request.endpoint == name));
        assert_eq!(slow.dropped, 0);
    }
}

#[test]
fn a_request_that_is_not_among_the_slowest_is_not_of_interest_until_the_recorder_changes_hands() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    let finish = |recorder: &Recorder| {
        let finished = recorder.finish_with_bytes(recorder.start(), endpoint, Outcome::Status(200), 0, 0);
        finished.is_slow()
    };
    assert!(finish(&recorder));
    for _ in 0..50 {
        recorder.list_slow(endpoint, Outcome::Status(200), 1 << 40, &RequestContext::default());
    }
    // Unless a frame of ten seconds begins just then.
    assert!((0..3).any(|_| !finish(&recorder)));
    recorder.set_captured_from(0);
    recorder.list_slow(endpoint, Outcome::Status(200), 1 << 41, &RequestContext::default());
    assert!(finish(&recorder));
    drop(recorder);
    assert!(finish(&registry.recorder()));
}

#[test]
fn a_recorder_that_is_gone_leaves_its_shard_to_the_next_one_without_a_threshold() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let finish = |recorder: &Recorder| {
        recorder.finish_with_bytes(recorder.start(), endpoint, Outcome::Status(200), 0, 0).is_slow()
    };
    for _ in 0..3 {
        let recorder = registry.recorder();
        assert!(finish(&recorder));
        // Again if a frame of ten seconds begins just then.
        let is_raised = || {
            for _ in 0..50 {
                recorder.list_slow(endpoint, Outcome::Status(200), 1 << 40, &RequestContext::default());
            }
            !finish(&recorder)
        };
        assert!((0..3).any(|_| is_raised()));
    }
    assert_eq!(registry.health().shards, 1);
}

#[test]
#[cfg_attr(miri, ignore = "takes ten seconds")]
fn each_frame_has_slowest_requests_of_its_own_however_slow_those_before_were() {
    let registry = Registry::new();
    let recorders = [registry.recorder(), registry.recorder()];
    let endpoint = registry.endpoint("GET", "/");
    let list = |recorder: &Recorder| {
        (0..50).for_each(|_| {
            recorder.list_slow(endpoint, Outcome::Status(200), 1 << 40, &RequestContext::default());
        });
    };
    let is_slow = [
        |recorder: &Recorder, endpoint| {
            recorder.finish_with_bytes(recorder.start(), endpoint, Outcome::Status(200), 0, 0).is_slow()
        },
        |recorder: &Recorder, endpoint| recorder.ranks(endpoint, 1_000),
    ];
    for (recorder, is_slow) in recorders.iter().zip(is_slow) {
        assert!(is_slow(recorder, endpoint));
        // Again if a frame of ten seconds begins just then.
        let is_raised = || {
            list(recorder);
            !is_slow(recorder, endpoint)
        };
        assert!((0..3).any(|_| is_raised()));
    }
    for (recorder, is_slow) in recorders.iter().zip(is_slow) {
        let begun = Instant::now();
        while !is_slow(recorder, endpoint) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no frame begins");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_listed_request_and_an_error_say_which_recorder_counted_them() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorders = [registry.recorder(), registry.recorder(), registry.recorder()];
    for (recorder, nanos) in recorders.iter().zip([30, 20, 10]) {
        recorder.list_slow(endpoint, Outcome::Status(200), nanos, &RequestContext::default());
        let elapsed = Duration::from_nanos(nanos);
        recorder.log_error(endpoint, Outcome::Status(500), elapsed, "failed", RequestContext::default());
    }
    let slow = History::new(registry.clone()).slow_requests(Window::FiveMinutes, None);
    let workers: Vec<_> = slow.requests.iter().map(|request| request.details.worker).collect();
    assert_eq!(workers, [Some(0), Some(1), Some(2)]);
    let none = || unreachable!("the context has one");
    let context = RequestContext { request_id: Some("its-id"), ..RequestContext::default() };
    let [first, ..] = &recorders;
    first.log_error_with_id(endpoint, Outcome::Status(503), Duration::ZERO, "a", context, none);
    let (plain, id) = (RequestContext::default(), || Some("late-id"));
    first.log_error_with_id(endpoint, Outcome::Status(502), Duration::ZERO, "b", plain, id);
    let id_of = |status| {
        let errors = registry.recent_errors();
        let error = errors.into_iter().find(|error| error.outcome == Outcome::Status(status)).unwrap();
        error.details.request_id
    };
    assert_eq!([503, 502].map(id_of), [Some("its-id".into()), Some("late-id".into())]);
    let errors = registry.recent_errors().into_iter().filter(|error| error.outcome == Outcome::Status(500));
    let errors: Vec<_> = errors.collect();
    let mut workers: Vec<_> =
        errors.iter().map(|of| (of.response_time.as_nanos(), of.details.worker)).collect();
    workers.sort_unstable();
    assert_eq!(workers, [(10, Some(2)), (20, Some(1)), (30, Some(0))]);
}

#[test]
fn requests_that_wait_for_a_reader_in_vain_are_counted_as_dropped() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    let list = |nanos| recorder.list_slow(endpoint, Outcome::Status(200), nanos, &RequestContext::default());
    let history = History::new(registry.clone());
    let mut before = 0;
    for turn in 1..=2_u64 {
        (1..=3_000).for_each(|i| list(turn * 10_000 + i));
        let slow = history.slow_requests(Window::FiveMinutes, None);
        // At most 1,024 of them wait.
        assert!((before + 3_000 - 1_024..before + 3_000).contains(&slow.dropped), "{}", slow.dropped);
        assert_eq!(nanos(&slow)[..3], [3_000, 2_999, 2_998].map(|i| turn * 10_000 + i));
        before = slow.dropped;
    }
}

#[test]
fn a_reset_begins_a_window_of_the_slowest_requests() {
    let before_all = Instant::now();
    let registry = Registry::new();
    let after_start = Instant::now();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    end(&recorder, endpoint, 5_000);
    std::thread::sleep(Duration::from_millis(2));
    let before_reset = Instant::now();
    registry.reset();
    let after_reset = Instant::now();
    end(&recorder, endpoint, 4_000);
    let history = History::new(registry.clone());
    let read = |window, (earliest, latest): (Instant, Instant)| {
        let least = latest.elapsed();
        let slow = history.slow_requests(window, None);
        assert!((least..=earliest.elapsed()).contains(&slow.window), "{:?}, at least {least:?}", slow.window);
        nanos(&slow)
    };
    assert_eq!(read(Window::SinceReset, (before_reset, after_reset)), [4_000]);
    // The registry is younger than a minute, so the window is all of its time.
    assert_eq!(read(Window::OneMinute, (before_all, after_start)), [5_000, 4_000]);
}

#[test]
fn lists_at_their_caps_are_bounded_and_say_what_was_dropped() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let (id, path) = ("i".repeat(100), "/p".repeat(100));
    let context = RequestContext { request_id: Some(&id), path: Some(&path), ..RequestContext::default() };
    let endpoints: Vec<_> = (0..1_024).map(|i| registry.endpoint("GET", &format!("/{i}"))).collect();
    let recorder = registry.recorder();
    let (mut listed, mut most) = (0_u64, 0);
    for nanos in 1..=15 {
        for &endpoint in &endpoints {
            recorder.list_slow(endpoint, Outcome::Status(200), nanos, &context);
            listed += 1;
        }
        history.tick();
        most = most.max(registry.slow_bytes());
    }
    let slow = history.slow_requests(Window::FiveMinutes, None);
    assert_eq!((slow.requests.len(), nanos(&slow)[0]), (50, 15));
    assert!((1 << 20..=1_664 << 10).contains(&most), "{most}");
    assert!((1..listed).contains(&slow.dropped), "{} of {listed}", slow.dropped);
}
