//! Calls by consumer: exact, bounded, and each in exactly one window.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use metrics_core::{Consumer, Outcome, Registry, Snapshot};

use crate::support::scaled;

const ELAPSED: Duration = Duration::from_nanos(7);

fn calls(snapshot: &Snapshot) -> BTreeMap<String, u64> {
    snapshot.consumers().iter().map(|consumer| (consumer.name.to_string(), consumer.calls)).collect()
}

#[test]
fn a_consumer_has_calls_errors_durations_and_a_last_call() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let consumer = registry.consumer("abc");
    let before = SystemTime::now();
    recorder.record_consumer(consumer, Outcome::Status(200), ELAPSED);
    registry.with_recorder(|recorder| recorder.record_consumer(consumer, Outcome::Status(503), ELAPSED));
    let snapshot = registry.snapshot();
    let [seen] = snapshot.consumers() else { panic!("{:?}", snapshot.consumers()) };
    assert_eq!((&*seen.name, seen.calls, seen.errors, seen.sum_nanos), ("abc", 2, 1, 14));
    // The two clocks may drift apart by a second.
    assert!(seen.last_seen + Duration::from_secs(1) > before);
    assert!(seen.last_seen < SystemTime::now() + Duration::from_secs(1));
    assert!(seen.last_seen > snapshot.since());
    assert_eq!((registry.known_consumer("abc"), registry.known_consumer("abd")), (Some(consumer), None));
}

#[test]
fn a_consumer_was_last_seen_at_its_last_call() {
    let registry = Registry::new();
    let call = |name| {
        let consumer = registry.consumer(name);
        registry.with_recorder(|recorder| recorder.record_consumer(consumer, Outcome::Aborted, ELAPSED));
    };
    ["early", "both"].into_iter().for_each(call);
    thread::sleep(Duration::from_millis(20));
    ["late", "both"].into_iter().for_each(call);
    let snapshot = registry.snapshot();
    let seen: BTreeMap<_, _> =
        snapshot.consumers().iter().map(|consumer| (&*consumer.name, consumer.last_seen)).collect();
    let after_early = |name| seen[name].duration_since(seen["early"]).unwrap();
    assert!(
        ["late", "both"].into_iter().all(|name| after_early(name) >= Duration::from_millis(18)),
        "{seen:?}"
    );
}

#[test]
fn consumers_beyond_the_limit_are_counted_together() {
    let registry = Registry::builder().max_consumers(2).build().unwrap();
    let recorder = registry.recorder();
    for i in 0..scaled(10_000, 50) {
        recorder.record_consumer(registry.consumer(&format!("{i}")), Outcome::Status(200), ELAPSED);
    }
    recorder.record_consumer(Consumer::Anonymous, Outcome::Aborted, ELAPSED);
    let others = scaled(10_000, 50) - 2;
    let expected = [("0", 1), ("1", 1), ("_anonymous", 1), ("_other", others)];
    let snapshot = registry.snapshot();
    assert_eq!(calls(&snapshot), expected.map(|(name, calls)| (name.to_owned(), calls)).into());
    let health = snapshot.health();
    assert_eq!((health.consumers, health.max_consumers, health.consumers_refused), (2, 2, others));
}

#[test]
fn each_call_falls_into_exactly_one_window_of_its_consumer() {
    let registry = Registry::new();
    let names = ["a", "b", "c"];
    let each = scaled(200_000, 50);
    let done = AtomicBool::new(false);
    let mut seen: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    let mut last = registry.snapshot();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let recorder = registry.recorder();
                    let consumers = names.map(|name| registry.consumer(name));
                    for i in 0..each {
                        let outcome = Outcome::Status(if i % 2 == 0 { 200 } else { 500 });
                        recorder.record_consumer(consumers[i as usize % 3], outcome, ELAPSED);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            done.store(true, Ordering::Release);
        });
        loop {
            let finished = done.load(Ordering::Acquire);
            let now = registry.snapshot();
            for window in now.difference(&last).consumers() {
                let sums = seen.entry(window.name.to_string()).or_default();
                sums.0 += window.calls;
                sums.1 += window.errors;
                sums.2 += window.sum_nanos;
            }
            last = now;
            if finished {
                break;
            }
        }
    });
    assert_eq!(seen.values().map(|sums| sums.0).sum::<u64>(), 2 * each);
    assert_eq!(seen.values().map(|sums| sums.1).sum::<u64>(), each);
    let snapshot = registry.snapshot();
    let total = snapshot.consumers().iter().map(|c| (c.name.to_string(), (c.calls, c.errors, c.sum_nanos)));
    assert_eq!(seen, total.collect());
    assert!(seen.values().all(|&(calls, _, nanos)| nanos == calls * ELAPSED.as_nanos() as u64));
}

#[test]
fn a_snapshot_without_consumers_lacks_nothing_else() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    recorder.record_nanos(registry.endpoint("GET", "/"), 500, 9);
    recorder.record_consumer(registry.consumer("a"), Outcome::Status(500), ELAPSED);
    registry.counter("sold").unwrap().add(3);
    let (without, with) = (registry.snapshot_without_consumers(), registry.snapshot());
    assert_eq!((without.consumers().len(), with.consumers().len()), (0, 1));
    let of = |snapshot: &Snapshot| {
        let parts = snapshot.to_parts();
        let health = parts.health;
        (parts.endpoints, parts.metrics, health)
    };
    assert_eq!(of(&without), of(&with));
}

#[test]
fn a_consumer_that_was_known_but_not_seen_moves_nobody_elses_figures() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let consumers = ["late", "a", "b", "c"].map(|name| registry.vouched_consumer(name));
    let record = |consumers: &[Consumer]| {
        for consumer in consumers {
            recorder.record_consumer(*consumer, Outcome::Status(200), ELAPSED);
        }
    };
    record(&consumers[1..]);
    let earlier = registry.snapshot();
    record(&[consumers[0], consumers[0], consumers[2], consumers[3]]);
    let window = registry.snapshot().difference(&earlier);
    assert_eq!(
        calls(&window),
        [("late", 2), ("b", 1), ("c", 1)].map(|(name, n)| (name.to_owned(), n)).into()
    );
    // Others' snapshots may have them in another order.
    let mut shuffled = earlier.to_parts();
    shuffled.consumers.reverse();
    let window = registry.snapshot().difference(&Snapshot::from_parts(shuffled).unwrap());
    assert_eq!(
        calls(&window),
        [("late", 2), ("b", 1), ("c", 1)].map(|(name, n)| (name.to_owned(), n)).into()
    );
}

#[test]
fn merging_adds_consumers_by_name() {
    let registries = [Registry::new(), Registry::new()];
    for (i, registry) in registries.iter().enumerate() {
        let recorder = registry.recorder();
        recorder.record_consumer(registry.consumer("both"), Outcome::Status(200), ELAPSED);
        recorder.record_consumer(registry.consumer(&format!("only {i}")), Outcome::Status(200), ELAPSED);
    }
    let mut merged = registries[0].snapshot();
    merged.merge(&registries[1].snapshot()).unwrap();
    let expected = [("both", 2), ("only 0", 1), ("only 1", 1)];
    assert_eq!(calls(&merged), expected.map(|(name, calls)| (name.to_owned(), calls)).into());
    let text = serde_json::to_string(&merged).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap().consumers(), merged.consumers());
}
