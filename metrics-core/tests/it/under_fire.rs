//! Consistency under fire: readers and writers at full speed. Each reading is compared with what was recorded before it
//! began and before it ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{EndpointId, Figures, GroupSnapshot, Outcome, Recorder, Registry, Snapshot};

use crate::support::{Rng, calls, scaled};

const ROUTES: [&str; 2] = ["/0", "/1"];

/// Few outcomes, and durations in few octaves, so that a reading is fast and there are many of them.
const OUTCOMES: [Outcome; 4] =
    [Outcome::Status(200), Outcome::Status(404), Outcome::Status(500), Outcome::Panicked];

/// In nanoseconds; `write` adds up to 1,023. The last one is over the histogram's maximum.
const DURATIONS: [u64; 4] = [1 << 10, 1 << 16, 1 << 20, 1 << 37];

const WRITERS: usize = 2;
const READERS: u64 = 2;

/// Violations that are printed in full.
const PRINTED: usize = 20;

/// The records of one writer. The writer stores them around each record; readers load them.
#[derive(Debug, Default)]
struct Progress {
    started: AtomicU64,
    acknowledged: AtomicU64,
}

#[test]
fn no_reading_under_fire_has_impossible_figures() {
    under_fire(scaled(3_000, 20), Duration::from_secs(2));
}

#[test]
#[ignore = "takes a minute or two: run with --release --ignored"]
fn none_of_100_000_readings_under_fire_has_impossible_figures() {
    assert!(under_fire(100_000, Duration::MAX) >= 100_000);
}

/// Reads `readings` times, or for `at_most` if that ends first, while the writers never pause. Returns the number of
/// readings.
fn under_fire(readings: u64, at_most: Duration) -> u64 {
    let registry = Registry::new();
    let endpoints = ROUTES.map(|route| registry.endpoint("GET", route));
    let progress: [Progress; WRITERS] = Default::default();
    let reading = AtomicU64::new(READERS);
    let start = Instant::now();
    let (mut read, mut violations) = (0, Vec::new());
    thread::scope(|scope| {
        for (seed, progress) in progress.iter().enumerate() {
            let (registry, reading) = (&registry, &reading);
            scope.spawn(move || {
                let mut rng = Rng::new(seed as u64);
                while reading.load(Ordering::Relaxed) > 0 {
                    write(registry, &endpoints, progress, &mut rng);
                }
            });
        }
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    let (mut read, mut violations) = (0, Vec::new());
                    while read < readings.div_ceil(READERS) && start.elapsed() < at_most {
                        check(&registry, &progress, &mut violations);
                        read += 1;
                    }
                    reading.fetch_sub(1, Ordering::Relaxed);
                    (read, violations)
                })
            })
            .collect();
        for reader in readers {
            let (of_reader, found) = reader.join().unwrap();
            read += of_reader;
            violations.extend(found);
        }
    });
    println!("{read} readings of {} records", sum(&progress, |writer| &writer.started));
    let first = violations[..violations.len().min(PRINTED)].join("\n");
    assert!(violations.is_empty(), "{} violations in {read} readings:\n{first}", violations.len());
    assert_eq!(calls(&registry.snapshot()), sum(&progress, |writer| &writer.acknowledged));
    read
}

/// Makes some records, either through a temporary recorder or through the thread's own.
fn write(registry: &Registry, endpoints: &[EndpointId], progress: &Progress, rng: &mut Rng) {
    let own = rng.below(2) == 0;
    let recorder = own.then(|| registry.recorder());
    for _ in 0..scaled(1_000, 5) {
        let (endpoint, outcome) = (rng.pick(endpoints), rng.pick(&OUTCOMES));
        let nanos = rng.pick(&DURATIONS) + rng.below(1 << 10);
        let record =
            |recorder: &Recorder| recorder.record_outcome(endpoint, outcome, Duration::from_nanos(nanos));
        step(&progress.started);
        match &recorder {
            Some(recorder) => record(recorder),
            None => registry.with_recorder(record),
        }
        step(&progress.acknowledged);
    }
}

/// Adds one to a counter that has one writer.
///
/// ORDERING: Release; pairs with the Acquire in `sum`. Seeing a record acknowledged implies seeing it.
fn step(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
}

fn sum(progress: &[Progress], of: fn(&Progress) -> &AtomicU64) -> u64 {
    progress.iter().map(|writer| of(writer).load(Ordering::Acquire)).sum()
}

/// Makes one reading, and adds everything impossible about it to `violations`.
fn check(registry: &Registry, progress: &[Progress], violations: &mut Vec<String>) {
    let acknowledged = sum(progress, |writer| &writer.acknowledged);
    let snapshot = registry.snapshot();
    let summary = registry.summary();
    let started = sum(progress, |writer| &writer.started);

    let mut hold = |holds: bool, violation: &dyn Fn() -> String| {
        if !holds {
            violations.push(violation());
        }
    };
    // Nothing resets, so the summary has the calls of the snapshot and those made between the two.
    let (first, second) = (calls(&snapshot), summary.total.calls);
    hold(acknowledged <= first && first <= second && second <= started, &|| {
        format!("not in order: {acknowledged} acknowledged, {first}, then {second} read, {started} started")
    });
    let of_all = snapshot.histogram().total();
    hold(of_all == first, &|| format!("{of_all} durations of {first} calls in all"));
    for endpoint in snapshot.endpoints() {
        for group in endpoint.groups() {
            let fault = fault_of(group);
            hold(fault.is_none(), &|| format!("{:?} {:?}: {fault:?}", endpoint.name(), group.group()));
        }
    }
    for figures in figures_of(&snapshot).chain([summary.total.clone()]) {
        let of_outcomes = errors(figures.outcomes.iter().copied());
        hold(figures.errors <= figures.calls && figures.errors == of_outcomes, &|| {
            format!("{} errors, {of_outcomes} by outcome, in {} calls", figures.errors, figures.calls)
        });
        hold(figures.min <= figures.p50 && figures.p99 <= figures.max, &|| format!("{figures:?}"));
    }
}

/// The figures of each endpoint, and of all together.
fn figures_of(snapshot: &Snapshot) -> impl Iterator<Item = Figures> {
    let summary = snapshot.summary();
    summary.endpoints.into_iter().map(|endpoint| endpoint.figures).chain([summary.total])
}

fn errors(outcomes: impl Iterator<Item = (Outcome, u64)>) -> u64 {
    outcomes.filter(|(outcome, _)| outcome.is_error()).map(|(_, count)| count).sum()
}

/// The first impossible thing about a group's figures.
fn fault_of(group: &GroupSnapshot) -> Option<String> {
    let (histogram, calls) = (group.histogram(), group.calls());
    let of_buckets: u64 = histogram.buckets().map(|bucket| bucket.count).sum();
    if (histogram.total(), of_buckets) != (calls, calls) {
        return Some(format!("{} durations, {of_buckets} in buckets, of {calls} calls", histogram.total()));
    }
    let (Some(lowest), Some(highest)) = (histogram.buckets().next(), histogram.buckets().last()) else {
        // The reading has seen only a part of a record.
        return (calls > 0).then(|| format!("no buckets of {calls} calls"));
    };
    let (min, max) = (group.min_nanos(), group.max_nanos());
    // Durations over the histogram's maximum share the last bucket.
    let end = if group.clamped() > 0 { u64::MAX } else { highest.highest };
    let low_end = if lowest == highest { end } else { lowest.highest };
    let inside = (lowest.lowest..=low_end).contains(&min) && (highest.lowest..=end).contains(&max);
    (!inside || min > max).then(|| format!("{min} to {max} ns, of buckets {lowest:?} to {highest:?}"))
}
