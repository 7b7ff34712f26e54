//! Records during a thread's exit, and registries that end before a thread does.

use std::cell::OnceCell;
use std::thread;

use metrics_core::{EndpointId, Recorder, Registry};

use crate::support::{calls, scaled, sum_nanos};

/// Records once more when its thread ends.
struct AtExit {
    registry: Registry,
    endpoint: EndpointId,
    own: Option<Recorder>,
}

impl Drop for AtExit {
    fn drop(&mut self) {
        self.registry.record_nanos(self.endpoint, 200, 1_000);
        if let Some(recorder) = self.own.take() {
            recorder.record_nanos(self.endpoint, 200, 10_000);
        }
        self.registry.with_recorder(|recorder| {
            recorder.finish(recorder.start(), self.endpoint, metrics_core::Outcome::Aborted)
        });
    }
}

thread_local! {
    static AT_EXIT: OnceCell<AtExit> = const { OnceCell::new() };
}

/// Runs a thread that records at its exit. `records` says whether it also records before and after it makes the
/// thread-local.
fn end_a_thread(registry: &Registry, with_own: bool, records: [bool; 2]) {
    let endpoint = registry.endpoint("GET", "/");
    let at_exit = AtExit { registry: registry.clone(), endpoint, own: with_own.then(|| registry.recorder()) };
    let [before, after] = records;
    let registry = registry.clone();
    let thread = move || {
        // Thread-locals are dropped in an order that depends on which was used first.
        if before {
            registry.record_nanos(endpoint, 200, 1);
        }
        AT_EXIT.with(|slot| assert!(slot.set(at_exit).is_ok()));
        if after {
            registry.record_nanos(endpoint, 200, 10);
        }
    };
    thread::spawn(thread).join().unwrap();
}

#[test]
fn a_record_at_a_threads_exit_neither_panics_nor_is_lost() {
    for with_own in [false, true] {
        for records in [[false, false], [true, false], [false, true], [true, true]] {
            let registry = Registry::new();
            end_a_thread(&registry, with_own, records);
            let summary = registry.summary();
            let expected = records.map(u64::from);
            assert_eq!(summary.total.calls, 2 + u64::from(with_own) + expected[0] + expected[1]);
            assert_eq!((summary.total.aborted, summary.in_flight), (1, 0));
            let answered = route_sum(&registry);
            assert_eq!(answered, expected[0] + 10 * expected[1] + 1_000 + 10_000 * u64::from(with_own));
            // The thread's recorder, the one in `own`, and one for a call after the thread's is gone.
            assert!(registry.snapshot().health().shards <= 3);
        }
    }
}

/// The sum of the durations of requests that were answered with 200.
fn route_sum(registry: &Registry) -> u64 {
    let snapshot = registry.snapshot();
    let groups = snapshot.endpoints().flat_map(|endpoint| endpoint.groups());
    groups
        .filter(|group| group.group() == metrics_core::StatusGroup::Class(2))
        .map(|group| group.sum_nanos())
        .sum()
}

#[test]
fn threads_that_record_at_their_exit_leave_their_shards_to_later_threads() {
    let registry = Registry::new();
    let threads = scaled(500, 10);
    (0..threads).for_each(|_| end_a_thread(&registry, true, [true, true]));
    assert_eq!(registry.summary().total.calls, threads * 5);
    assert!(registry.snapshot().health().shards <= 3);
}

#[test]
fn a_thread_outlives_a_thousand_registries_that_it_recorded_to() {
    let other = Registry::new();
    let of_other = other.endpoint("GET", "/other");
    let registries = scaled(1_000, 20);
    for i in 0..registries {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/");
        registry.record_nanos(endpoint, 200, i);
        other.record_nanos(of_other, 200, i);
        registry.record_nanos(endpoint, 200, i);
        let snapshot = registry.snapshot();
        assert_eq!((calls(&snapshot), sum_nanos(&snapshot)), (2, 2 * u128::from(i)));
        assert_eq!(snapshot.health().shards, 1);
    }
    let snapshot = other.snapshot();
    let sum = u128::from(registries * (registries - 1) / 2);
    assert_eq!((calls(&snapshot), sum_nanos(&snapshot)), (registries, sum));
    assert_eq!(snapshot.health().shards, 1);
}

#[test]
fn a_recorder_may_outlive_its_registry_and_a_snapshot_both() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    recorder.record_nanos(endpoint, 200, 5);
    let snapshot = registry.snapshot();
    drop(registry);
    recorder.record_nanos(endpoint, 200, 5);
    drop(recorder);
    assert_eq!(snapshot.summary().total.calls, 1);
}

#[test]
fn a_panic_inside_with_recorder_leaves_the_recorder_usable() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let panics = std::panic::AssertUnwindSafe(|| {
        registry.with_recorder(|recorder| {
            recorder.record_nanos(endpoint, 200, 1);
            panic!("in the caller's closure");
        })
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    registry.record_nanos(endpoint, 200, 1);
    assert_eq!(registry.summary().total.calls, 2);
    assert_eq!(registry.snapshot().health().shards, 1);
}
