//! Endpoints: one id per name, up to the limit; the rest is counted under `_other`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use metrics_core::{EndpointName, EndpointSnapshot, History, MAX_NAME_BYTES, METHODS, Registry, Window};

use crate::support::{calls, route_in, scaled};

#[test]
fn names_beyond_the_limit_are_counted_under_other_and_totals_stay_exact() {
    let registry = Registry::builder().max_series(10).build().unwrap();
    let recorder = registry.recorder();
    for i in 0..1_000 {
        recorder.record_nanos(registry.endpoint("GET", &format!("/{i}")), 200, i);
    }
    let snapshot = registry.snapshot();
    assert_eq!(calls(&snapshot), 1_000);
    assert_eq!(snapshot.summary().total.sum.as_nanos(), 999 * 1_000 / 2);
    assert_eq!(snapshot.endpoints().count(), 11);
    let other = route_in(&snapshot, "_other").unwrap();
    assert_eq!((&*other.name().method, other.calls()), ("_OTHER", 990));
    for i in 0..10 {
        assert_eq!(route_in(&snapshot, &format!("/{i}")).map(EndpointSnapshot::calls), Some(1));
    }
    let health = snapshot.health();
    assert_eq!((health.endpoints, health.max_series, health.endpoints_refused), (10, 10, 990));
    assert_eq!(registry.health(), health);
}

#[test]
fn names_are_known_once_they_were_interned_and_not_before() {
    let registry = Registry::builder().max_series(1).max_consumers(1).build().unwrap();
    assert_eq!((registry.known_endpoint("GET", "/"), registry.known_consumer("ann")), (None, None));
    let (endpoint, ann) = (registry.endpoint("GET", "/"), registry.consumer("ann"));
    assert_eq!(registry.known_endpoint("GET", "/"), Some(endpoint));
    assert_eq!(registry.known_consumer("ann"), Some(ann));
    // Names that did not fit.
    registry.endpoint("GET", "/more");
    registry.consumer("bob");
    assert_eq!((registry.known_endpoint("GET", "/more"), registry.known_consumer("bob")), (None, None));
    assert_eq!(registry.known_endpoint("_OTHER", "_other"), Some(registry.endpoint("GET", "/more")));
}

#[test]
fn unmatched_requests_have_rows_of_their_own_when_routes_took_all_others() {
    let registry = Registry::builder().max_series(3).build().unwrap();
    let recorder = registry.recorder();
    let count = |method, route: &str, status| {
        recorder.record_nanos(registry.endpoint(method, route), status, 1_000);
    };
    (0..5).for_each(|i| count("GET", &format!("/{i}"), 200));
    assert_eq!(registry.snapshot().endpoints().count(), 4, "no row is shown before its first request");
    for method in METHODS {
        (0..7).for_each(|_| count(method, "_unmatched", 404));
    }
    let snapshot = registry.snapshot();
    for method in METHODS {
        let name = EndpointName { method: method.into(), route: "_unmatched".into() };
        let row = snapshot.endpoints().find(|endpoint| *endpoint.name() == name);
        assert_eq!(row.map(EndpointSnapshot::calls), Some(7), "{method}");
    }
    assert_eq!(route_in(&snapshot, "_other").map(EndpointSnapshot::calls), Some(2));
    assert_eq!(calls(&snapshot), 5 + 7 * METHODS.len() as u64);
    // Their 404s are no errors in a row, as those of any path that catches all.
    assert_eq!(History::new(registry.clone()).consecutive_errors(Window::SinceReset), 0);
    let health = snapshot.health();
    assert_eq!((health.endpoints, health.max_series, health.endpoints_refused), (3, 3, 2));
}

#[test]
fn threads_that_race_for_names_share_the_table_and_lose_no_record() {
    let registry = Registry::builder().max_series(10).build().unwrap();
    let names = scaled(1_000, 30);
    thread::scope(|scope| {
        for seed in 0..4 {
            let registry = &registry;
            scope.spawn(move || {
                for i in 0..names {
                    let route = format!("/{}", (i + seed * 7) % names);
                    registry.record_nanos(registry.endpoint("GET", &route), 200, 1);
                }
            });
        }
    });
    let snapshot = registry.snapshot();
    assert_eq!(calls(&snapshot), 4 * names);
    assert_eq!((snapshot.endpoints().count(), snapshot.health().endpoints), (11, 10));
    let routes: HashSet<_> = snapshot.endpoints().map(|endpoint| endpoint.name()).collect();
    assert_eq!(routes.len(), 11, "a name is listed twice");
    // All four threads called each name in the table.
    let in_names: u64 = 4 * 10;
    assert_eq!(route_in(&snapshot, "_other").unwrap().calls(), 4 * names - in_names);
}

#[test]
fn a_known_name_keeps_its_id_when_the_table_is_full() {
    let registry = Registry::builder().max_series(2).build().unwrap();
    let kept = ["/a", "/b"].map(|route| registry.endpoint("GET", route));
    let overflow = registry.endpoint("GET", "/c");
    assert_eq!(registry.endpoint("PUT", "/a"), overflow);
    assert_eq!(["/a", "/b"].map(|route| registry.endpoint("GET", route)), kept);
    assert!(!kept.contains(&overflow));
    assert_eq!(registry.snapshot().health().endpoints_refused, 2);
}

#[test]
fn names_are_cut_at_256_bytes() {
    assert_eq!(MAX_NAME_BYTES, 256);
    let registry = Registry::new();
    let long = "x".repeat(10_000);
    let id = registry.endpoint(&long, &long);
    assert_eq!(registry.endpoint(&long[..256], &long[..256]), id);
    assert_ne!(registry.endpoint(&long[..256], &long[..255]), id);
    // A character that would be split is left out.
    let umlauts = format!("/{}", "ü".repeat(200));
    let cut = registry.endpoint("GET", &umlauts);
    registry.record_nanos(id, 200, 1);
    registry.record_nanos(cut, 200, 1);
    let snapshot = registry.snapshot();
    let names: Vec<_> = snapshot.endpoints().map(EndpointSnapshot::name).collect();
    assert_eq!((&*names[0].method, &*names[0].route), (&long[..256], &long[..256]));
    assert_eq!(&*names[1].route, &umlauts[..255]);
}

#[test]
fn endpoints_are_listed_under_the_names_they_were_interned_with() {
    let registry = Registry::new();
    let names = [("GET", "/a"), ("POST", "/a"), ("GET", "/b"), ("", ""), ("GET", ""), ("", "/a")];
    for (calls, (method, route)) in (1..).zip(names) {
        let endpoint = registry.endpoint(method, route);
        (0..calls).for_each(|_| registry.record_nanos(endpoint, 200, 1));
    }
    let snapshot = registry.snapshot();
    let shown: Vec<_> = snapshot
        .endpoints()
        .map(|endpoint| ((&*endpoint.name().method, &*endpoint.name().route), endpoint.calls()))
        .collect();
    assert_eq!(shown, names.into_iter().zip(1..).collect::<Vec<_>>());
}

#[test]
fn no_two_endpoints_are_listed_under_one_name() {
    let registry = Registry::builder().max_series(1).build().unwrap();
    // The caller's name happens to be that of the overflow endpoint.
    let own = registry.endpoint("_OTHER", "_other");
    let refused = registry.endpoint("GET", "/does/not/fit");
    let refused_too = registry.endpoint("GET", "/does/not/fit/either");
    for endpoint in [own, refused, refused_too] {
        registry.record_nanos(endpoint, 200, 1);
    }
    let snapshot = registry.snapshot();
    let names: HashSet<_> = snapshot.endpoints().map(EndpointSnapshot::name).collect();
    assert_eq!(names.len(), snapshot.endpoints().count());
    assert_eq!(calls(&snapshot), 3);
}

/// Two threads each intern their name in many registries, at the same moment. Each registry has room for one name.
fn race_for_the_only_entry(routes: [&str; 2], check: impl Fn(&Registry)) {
    for _ in 0..scaled(100, 2) {
        let registries =
            [(); scaled(100, 3) as usize].map(|()| Registry::builder().max_series(1).build().unwrap());
        // How often each thread has asked, so that both ask at the same moment.
        let asked = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let ask = |me: usize| {
            for (turn, registry) in (1..).zip(&registries) {
                asked[me].store(turn, Ordering::Relaxed);
                // The two must ask within nanoseconds, so this spins, and yields only if the other thread has no core.
                for spins in 0_u64.. {
                    if asked[1 - me].load(Ordering::Relaxed) >= turn {
                        break;
                    }
                    if spins % 1_000 == 999 { thread::yield_now() } else { std::hint::spin_loop() }
                }
                registry.endpoint("GET", routes[me]);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| ask(0));
            ask(1);
        });
        registries.iter().for_each(&check);
    }
}

#[test]
fn a_name_that_two_threads_intern_at_once_is_one_endpoint_and_not_refused() {
    race_for_the_only_entry(["/", "/"], |registry| {
        let health = registry.snapshot().health();
        assert_eq!((health.endpoints, health.endpoints_refused), (1, 0));
    });
}

#[test]
fn one_of_two_names_that_are_interned_at_once_gets_the_last_entry() {
    race_for_the_only_entry(["/0", "/1"], |registry| {
        let health = registry.snapshot().health();
        assert_eq!((health.endpoints, health.endpoints_refused), (1, 1));
    });
}
