//! Registries in one process never mix.

use std::thread;

use metrics_core::Registry;

use crate::support::{calls, route_in};

#[test]
fn two_registries_keep_their_own_figures_on_one_thread() {
    let registries = [Registry::new(), Registry::new(), Registry::new()];
    let endpoints = registries.each_ref().map(|registry| registry.endpoint("GET", "/"));
    for i in 0..30 {
        // Uses the thread's recorder, which changes registry at each call.
        registries[i % 3].record_nanos(endpoints[i % 3], 200, 10_u64.pow(i as u32 % 3));
    }
    for (i, registry) in registries.iter().enumerate() {
        let total = registry.summary().total;
        assert_eq!((total.calls, total.sum.as_nanos()), (10, 10 * 10_u128.pow(i as u32)));
        assert_eq!(registry.snapshot().health().shards, 1);
    }
    registries[0].reset();
    assert_eq!(registries[1].summary().total.calls, 10);
}

#[test]
fn a_registry_can_be_written_to_inside_the_closure_of_another() {
    let [outer, inner] = [Registry::new(), Registry::new()];
    let [of_outer, of_inner] = [&outer, &inner].map(|registry| registry.endpoint("GET", "/"));
    outer.with_recorder(|recorder| {
        recorder.record_nanos(of_outer, 200, 1);
        inner.record_nanos(of_inner, 200, 2);
        outer.record_nanos(of_outer, 200, 4);
        inner.with_recorder(|recorder| recorder.record_nanos(of_inner, 200, 8));
    });
    assert_eq!(outer.summary().total.sum.as_nanos(), 5);
    assert_eq!(inner.summary().total.sum.as_nanos(), 10);
}

#[test]
fn clones_share_one_registry() {
    let registry = Registry::new();
    let clone = registry.clone();
    let endpoint = registry.endpoint("GET", "/");
    assert_eq!(clone.endpoint("GET", "/"), endpoint);
    thread::scope(|scope| scope.spawn(|| clone.record_nanos(endpoint, 200, 1)).join().unwrap());
    registry.record_nanos(endpoint, 200, 1);
    assert_eq!((calls(&registry.snapshot()), calls(&clone.snapshot())), (2, 2));
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "did not make it")]
fn an_id_of_another_registry_panics_in_a_debug_build() {
    let [one, other] = [Registry::new(), Registry::new()];
    other.recorder().record_nanos(one.endpoint("GET", "/"), 200, 1);
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "did not make it")]
fn an_id_of_another_registry_panics_in_a_debug_build_on_the_threads_recorder_too() {
    let [one, other] = [Registry::new(), Registry::new()];
    let own = other.endpoint("GET", "/");
    other.record_nanos(own, 200, 1);
    other.record_nanos(one.endpoint("GET", "/"), 200, 1);
}

#[test]
fn a_start_of_another_registry_hides_no_request_that_is_under_way() {
    use metrics_core::Outcome;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let [one, other] = [Registry::new(), Registry::new()];
    let (endpoint, recorder) = (other.endpoint("GET", "/"), other.recorder());
    let own = recorder.start();
    let foreign = || one.recorder().start();
    let ended = [
        catch_unwind(AssertUnwindSafe(|| {
            recorder.finish(foreign(), endpoint, Outcome::Status(200));
        })),
        catch_unwind(AssertUnwindSafe(|| {
            recorder.finish_with_bytes(foreign(), endpoint, Outcome::Status(200), 1, 2);
        })),
        catch_unwind(AssertUnwindSafe(|| {
            recorder.finish_error(foreign(), endpoint, Outcome::Status(500), "whose?");
        })),
        catch_unwind(AssertUnwindSafe(|| recorder.discard(foreign()))),
    ];
    for result in ended {
        assert_eq!(result.is_err(), cfg!(debug_assertions));
    }
    assert_eq!((other.summary().in_flight, one.summary().in_flight), (1, 4));
    assert_eq!((other.summary().total.calls, one.summary().total.calls), (3, 0));
    recorder.finish(own, endpoint, Outcome::Status(200));
    assert_eq!(other.summary().in_flight, 0);
}

#[test]
fn a_consumer_of_another_registry_counts_as_other() {
    use metrics_core::Outcome;
    use std::time::Duration;

    let [one, other] = [Registry::new(), Registry::new()];
    let (own, foreign) = (other.consumer("Ann"), one.consumer("Ben"));
    for consumer in [own, foreign] {
        other.with_recorder(|recorder| {
            recorder.record_consumer(consumer, Outcome::Status(200), Duration::from_nanos(1));
        });
    }
    let snapshot = other.snapshot();
    let names: Vec<_> = snapshot.consumers().iter().map(|seen| (&*seen.name, seen.calls)).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&("Ann", 1)) && names.contains(&("_other", 1)), "{names:?}");
    assert!(one.snapshot().consumers().is_empty());
}

#[test]
fn a_thread_that_panicked_over_a_foreign_id_can_keep_recording() {
    let [one, other] = [Registry::new(), Registry::new()];
    let (foreign, own) = (one.endpoint("GET", "/"), other.endpoint("GET", "/own"));
    let record = || other.record_nanos(foreign, 200, 1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(record));
    assert_eq!(caught.is_err(), cfg!(debug_assertions));
    other.record_nanos(own, 200, 2);
    let snapshot = other.snapshot();
    assert_eq!(route_in(&snapshot, "/own").unwrap().calls(), 1);
    assert_eq!(snapshot.health().shards, 1);
}

#[cfg(not(debug_assertions))]
#[test]
fn an_id_of_another_registry_is_counted_as_other_in_a_release_build() {
    use crate::support::{GRANULARITIES, OUTCOMES, registry};
    use metrics_core::EndpointSnapshot;
    use std::time::Duration;

    for digits in 1..=3 {
        for (from, to) in GRANULARITIES.into_iter().flat_map(|from| GRANULARITIES.map(|to| (from, to))) {
            // One registry has room for many ids, the other for one.
            let many = registry(digits, from);
            let few =
                Registry::builder().max_series(1).significant_digits(digits).granularity(to).build().unwrap();
            let own = few.endpoint("GET", "/own");
            let foreign: Vec<_> = (0..1_000).map(|i| many.endpoint("GET", &format!("/{i}"))).collect();
            let recorder = few.recorder();
            recorder.record_nanos(own, 200, 1);
            for &endpoint in &foreign {
                for outcome in OUTCOMES {
                    recorder.record_outcome(endpoint, outcome, Duration::from_nanos(7));
                }
                recorder.record_nanos(endpoint, 0, 7);
                few.record_nanos(endpoint, 200, 7);
                recorder.record_error(endpoint, OUTCOMES[5], Duration::from_nanos(7), "whose?");
            }
            let snapshot = few.snapshot();
            let shown: Vec<_> =
                snapshot.endpoints().map(|endpoint| (&*endpoint.name().route, endpoint.calls())).collect();
            let sent = foreign.len() * (OUTCOMES.len() + 3);
            assert_eq!(shown, [("_other", sent as u64), ("/own", 1)]);
            let sum: u64 =
                snapshot.endpoints().flat_map(EndpointSnapshot::groups).map(|g| g.sum_nanos()).sum();
            assert_eq!(sum, 7 * sent as u64 + 1);
            let errors = few.summary().recent_errors;
            assert!(!errors.is_empty() && errors.iter().all(|error| &*error.endpoint.route == "_other"));
            assert_eq!(calls(&many.snapshot()), 0);
        }
    }
}
