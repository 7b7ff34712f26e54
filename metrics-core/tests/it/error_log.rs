//! Recent errors: newest first, bounded, and each is listed, evicted or thinned out.

use std::thread;
use std::time::{Duration, SystemTime};

use metrics_core::{ErrorCursor, ErrorPriority, MAX_MESSAGE_BYTES, Outcome, RecentError, Registry, Summary};

use crate::support::scaled;

const SERVER_ERROR: Outcome = Outcome::Status(500);

fn with_capacity(capacity: usize) -> Registry {
    Registry::builder().error_log_capacity(capacity).build().unwrap()
}

fn messages(summary: &Summary) -> Vec<&str> {
    summary.recent_errors.iter().map(|error| &*error.message).collect()
}

/// Errors that were evicted or thinned out so far.
fn not_listed(registry: &Registry) -> u64 {
    let health = registry.snapshot().health();
    health.errors_evicted + health.errors_thinned
}

#[test]
fn errors_are_listed_newest_first_and_say_what_happened() {
    let registry = Registry::new();
    let [item, items] = [("GET", "/items/{id}"), ("POST", "/items")].map(|(m, r)| registry.endpoint(m, r));
    let before = SystemTime::now();
    registry.record_error(item, Outcome::Status(404), Duration::from_millis(1), "no such item");
    registry.recorder().record_error(items, Outcome::Panicked, Duration::from_millis(2), "");
    registry.with_recorder(|recorder| recorder.finish_error(recorder.start(), item, SERVER_ERROR, "later"));
    let summary = registry.summary();
    let after = SystemTime::now();

    assert_eq!(messages(&summary), ["later", "", "no such item"]);
    let [_, panicked, missing] = &summary.recent_errors[..] else { unreachable!() };
    assert_eq!((&*missing.endpoint.method, &*missing.endpoint.route), ("GET", "/items/{id}"));
    assert_eq!((missing.outcome, missing.response_time), (Outcome::Status(404), Duration::from_millis(1)));
    assert_eq!((&*panicked.endpoint.route, panicked.outcome), ("/items", Outcome::Panicked));
    assert!(summary.recent_errors.is_sorted_by(|newer, older| newer.time >= older.time));
    assert!(summary.recent_errors.iter().all(|error| before <= error.time && error.time <= after));
    assert_eq!((summary.total.errors, summary.total.calls), (3, 3));
    // Reading does not remove them.
    assert_eq!(messages(&registry.summary()), messages(&summary));
}

#[test]
fn a_message_is_cut_to_256_bytes_at_a_character() {
    assert_eq!(MAX_MESSAGE_BYTES, 256);
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let [exact, long, umlauts] = ["x".repeat(256), "y".repeat(100_000), format!("z{}", "ü".repeat(200))];
    for message in [&exact, &long, &umlauts] {
        registry.record_error(endpoint, SERVER_ERROR, Duration::ZERO, message);
    }
    assert_eq!(messages(&registry.summary()), [&umlauts[..255], &long[..256], &exact]);
}

#[test]
fn the_list_is_bounded_and_errors_that_are_not_listed_are_counted() {
    let registry = with_capacity(8);
    let endpoint = registry.endpoint("GET", "/");
    // One recorder may fill the whole log at once, so five of them evict each other's entries.
    let recorders = [(); 5].map(|()| registry.recorder());
    for i in 0..100 {
        recorders[i % 5].record_error(endpoint, SERVER_ERROR, Duration::ZERO, &i.to_string());
    }
    let summary = registry.summary();
    let listed: Vec<u32> = messages(&summary).iter().map(|message| message.parse().unwrap()).collect();
    assert_eq!(listed.len(), 8);
    assert!(listed.is_sorted_by(|newer, older| newer > older), "{listed:?}");
    assert_eq!(not_listed(&registry) + 8, 100);
    let health = registry.snapshot().health();
    assert!(health.errors_evicted >= 5 * 8 - 8, "{health:?}");
    let mut cursor = ErrorCursor::default();
    assert_eq!(registry.errors_after(&mut cursor).len(), 8);
    assert_eq!(cursor.missed(), health.errors_evicted);
    assert_eq!((summary.total.calls, summary.total.errors), (100, 100));
}

#[test]
fn reading_in_between_neither_loses_nor_doubles_errors() {
    let registry = with_capacity(4);
    let endpoint = registry.endpoint("GET", "/");
    for pushed in 1..=50_u64 {
        registry.recorder().record_error(endpoint, SERVER_ERROR, Duration::ZERO, &pushed.to_string());
        if pushed % 3 == 0 {
            let listed = registry.summary().recent_errors.len() as u64;
            assert_eq!(listed, pushed.min(4));
            assert_eq!(not_listed(&registry) + listed, pushed);
        }
    }
    assert_eq!(messages(&registry.summary()), ["50", "49", "48", "47"]);
}

#[test]
fn a_summary_counts_the_errors_that_its_own_list_evicts() {
    let registry = with_capacity(4);
    let endpoint = registry.endpoint("GET", "/");
    for pushed in [4, 8, 12] {
        for _ in 0..4 {
            registry.recorder().record_error(endpoint, SERVER_ERROR, Duration::ZERO, "");
        }
        let Summary { recent_errors, health, .. } = registry.summary();
        let listed = recent_errors.len() as u64;
        assert_eq!(listed + health.errors_evicted + health.errors_thinned, pushed);
    }
}

#[test]
fn a_reset_moves_the_list_into_the_window_that_it_closes() {
    let registry = with_capacity(4);
    let endpoint = registry.endpoint("GET", "/");
    let push = |message: &str| {
        registry.recorder().record_error(endpoint, SERVER_ERROR, Duration::ZERO, message);
    };
    ["a", "b"].into_iter().for_each(push);
    // Two errors are listed before the reset, the third is not read yet.
    registry.summary();
    push("c");
    let closed = registry.reset();
    assert_eq!(messages(&closed), ["c", "b", "a"]);
    assert!(registry.summary().recent_errors.is_empty());
    assert!(registry.reset().recent_errors.is_empty());
    push("d");
    assert_eq!(messages(&registry.summary()), ["d"]);
    assert_eq!(not_listed(&registry), 0);
}

#[test]
fn an_error_is_listed_with_the_outcome_that_it_is_counted_under() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    registry.record_error(endpoint, Outcome::Status(700), Duration::ZERO, "no such status");
    let summary = registry.summary();
    assert_eq!(summary.total.outcomes, [(Outcome::Other, 1)]);
    assert_eq!(summary.recent_errors[0].outcome, Outcome::Other);
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
}

#[test]
fn in_a_storm_of_errors_counts_stay_exact_and_the_list_stays_bounded() {
    const CAPACITY: usize = 16;
    let registry = with_capacity(CAPACITY);
    let endpoint = registry.endpoint("GET", "/");
    let of_each = scaled(20_000, 60);
    let mut listed_in_windows = 0;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|i| {
                let registry = &registry;
                scope.spawn(move || {
                    let mut recorder = registry.recorder();
                    for n in 0..of_each {
                        let (outcome, took) = (Outcome::Status(500 + i), Duration::from_nanos(n));
                        match n % 4 {
                            0 => registry.record_error(endpoint, outcome, took, "storm"),
                            _ => recorder.record_error(endpoint, outcome, took, "storm"),
                        }
                        // A new recorder may log a whole burst again.
                        if n % 50 == 49 {
                            recorder = registry.recorder();
                        }
                    }
                })
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            assert!(registry.summary().recent_errors.len() <= CAPACITY);
            let closed = registry.reset().recent_errors;
            assert!(closed.len() <= CAPACITY);
            assert!(closed.iter().all(|error| error.message == "storm" && error.outcome.is_error()));
            listed_in_windows += closed.len() as u64;
        }
    });
    listed_in_windows += registry.reset().recent_errors.len() as u64;
    listed_in_windows += registry.reset().recent_errors.len() as u64;
    let total = registry.snapshot().summary().total;
    assert_eq!((total.calls, total.errors), (4 * of_each, 4 * of_each));
    assert_eq!(total.outcomes, [500, 501, 502, 503].map(|status| (Outcome::Status(status), of_each)));
    assert_eq!(total.sum, Duration::from_nanos(4 * of_each * (of_each - 1) / 2));
    let health = registry.snapshot().health();
    assert_eq!(listed_in_windows + not_listed(&registry), 4 * of_each, "{health:?}");
    assert!(health.errors_thinned > 0, "{health:?}");
}

#[test]
fn an_error_during_a_reset_is_in_exactly_one_window() {
    let registry = with_capacity(1_024);
    let endpoint = registry.endpoint("GET", "/");
    let pushed = scaled(1_000, 40);
    let mut listed: Vec<u64> = Vec::new();
    let mut take = |summary: Summary| {
        listed.extend(messages(&summary).iter().rev().map(|message| message.parse::<u64>().unwrap()));
    };
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let recorder = registry.recorder();
            for i in 0..pushed {
                recorder.record_error(endpoint, SERVER_ERROR, Duration::ZERO, &i.to_string());
            }
        });
        while !writer.is_finished() {
            take(registry.reset());
        }
    });
    take(registry.reset());
    assert_eq!(listed, (0..pushed).collect::<Vec<_>>());
}

#[test]
fn a_flood_of_strangers_404s_hides_no_5xx() {
    let registry = Registry::new();
    let [item, unmatched] = ["/items/{id}", "_unmatched"].map(|route| registry.endpoint("GET", route));
    let not_found = |endpoint| {
        registry.record_error(endpoint, Outcome::Status(404), Duration::ZERO, "no such path");
    };
    let (mut cursor, mut seen) = (ErrorCursor::default(), Vec::new());
    for failure in 0..40 {
        registry.record_error(item, SERVER_ERROR, Duration::ZERO, &failure.to_string());
        (0..scaled(1_000, 10)).for_each(|_| not_found(unmatched));
        if failure % 20 == 19 {
            seen.extend(registry.errors_after(&mut cursor));
        }
    }
    registry.record_error(item, Outcome::Panicked, Duration::ZERO, "panicked");
    (0..scaled(1_000, 10)).for_each(|_| not_found(item));
    seen.extend(registry.errors_after(&mut cursor));

    let important = |errors: &[RecentError]| {
        let important = errors.iter().filter(|error| error.priority() <= ErrorPriority::ServerError);
        important.map(|error| error.message.clone()).collect::<Vec<_>>()
    };
    let expected: Vec<_> = (0..40).map(|i| i.to_string()).chain(["panicked".to_owned()]).collect();
    assert_eq!(important(&seen), expected);
    let recent = registry.recent_errors();
    assert!(recent.len() <= 128, "{}", recent.len());
    let of = |priority| recent.iter().filter(|error| error.priority() == priority).count();
    assert_eq!((of(ErrorPriority::Panicked), of(ErrorPriority::ServerError)), (1, 40));
    assert!(of(ErrorPriority::ClientError) > 0 && of(ErrorPriority::Unmatched) > 0);
    let mut newest_first = important(&recent);
    newest_first.reverse();
    assert_eq!(newest_first, expected);

    // Each priority says what it lacks; nothing important does.
    let missing = registry.errors_missing().map(|missing| (missing.evicted, missing.thinned));
    assert_eq!(missing[..2], [(0, 0); 2]);
    let health = registry.health();
    let sums = missing.iter().fold((0, 0), |sum, missing| (sum.0 + missing.0, sum.1 + missing.1));
    assert_eq!(sums, (health.errors_evicted, health.errors_thinned));
    if !cfg!(miri) {
        assert!(missing[2].1 > 0 && missing[3].1 > 0, "{missing:?}");
    }
}

#[test]
fn a_reset_ends_the_window_of_each_priority() {
    let registry = with_capacity(8);
    let unmatched = registry.endpoint("GET", "_unmatched");
    let item = registry.endpoint("GET", "/");
    let push_all = || {
        for (endpoint, outcome, message) in [
            (unmatched, Outcome::Status(404), "unmatched"),
            (item, Outcome::Status(409), "client"),
            (item, SERVER_ERROR, "server"),
            (item, Outcome::Panicked, "panic"),
        ] {
            registry.record_error(endpoint, outcome, Duration::ZERO, message);
        }
    };
    push_all();
    assert_eq!(messages(&registry.reset()), ["panic", "server", "client", "unmatched"]);
    assert!(registry.recent_errors().is_empty());
    push_all();
    assert_eq!(messages(&registry.summary()), ["panic", "server", "client", "unmatched"]);
    assert_eq!(not_listed(&registry), 0);
}
