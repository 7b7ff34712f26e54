//! Readers and writers at full speed: every reading is plausible, whenever it was taken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use metrics_core::{
    EndpointId, EndpointSnapshot, Figures, GroupSnapshot, Outcome, Registry, Snapshot, StatusGroup, Version,
};

use crate::support::{OUTCOMES, Rng, assert_in_order, calls, scaled};

const ROUTES: [&str; 4] = ["/0", "/1", "/2", "/3"];
const BATCH: u64 = scaled(500, 5);

/// How many requests the writers have begun to record, and how many they have recorded.
#[derive(Default)]
struct Progress {
    started: AtomicU64,
    acknowledged: AtomicU64,
}

#[test]
fn readers_at_full_speed_never_see_impossible_figures() {
    let registry = Registry::new();
    let endpoints = ROUTES.map(|route| registry.endpoint("GET", route));
    let progress = Progress::default();
    let writers_done = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 0..2 {
            let (registry, endpoints, progress, writers_done) =
                (&registry, &endpoints, &progress, &writers_done);
            scope.spawn(move || {
                write(registry, endpoints, progress, seed);
                writers_done.fetch_add(1, Ordering::Release);
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = Seen::default();
                // Reads once more after the writers have finished.
                let mut last = false;
                while !last {
                    last = writers_done.load(Ordering::Acquire) == 2;
                    read(&registry, &progress, &mut seen);
                }
            });
        }
    });
    assert_eq!(calls(&registry.snapshot()), progress.acknowledged.load(Ordering::Relaxed));
    assert_eq!(registry.snapshot().histogram().total(), progress.started.load(Ordering::Relaxed));
}

fn write(registry: &Registry, endpoints: &[EndpointId; ROUTES.len()], progress: &Progress, seed: u64) {
    let mut rng = Rng::new(seed);
    for batch in 0..scaled(300, 10) {
        progress.started.fetch_add(BATCH, Ordering::SeqCst);
        // Every third batch has a single endpoint and a single duration.
        let recorder = registry.recorder();
        let only = (rng.pick(endpoints), rng.log_uniform(37));
        for _ in 0..BATCH {
            let (endpoint, nanos) =
                if batch % 3 == 0 { only } else { (rng.pick(endpoints), rng.log_uniform(37)) };
            match rng.pick(&OUTCOMES) {
                Outcome::Status(status) if batch % 2 == 0 => registry.record_nanos(endpoint, status, nanos),
                outcome => recorder.record_outcome(endpoint, outcome, Duration::from_nanos(nanos)),
            }
        }
        progress.acknowledged.fetch_add(BATCH, Ordering::SeqCst);
    }
}

fn read(registry: &Registry, progress: &Progress, seen: &mut Seen) {
    let acknowledged = progress.acknowledged.load(Ordering::SeqCst);
    let snapshot = registry.snapshot();
    let started = progress.started.load(Ordering::SeqCst);
    let count = calls(&snapshot);
    assert!(acknowledged <= count && count <= started, "{acknowledged} <= {count} <= {started}");
    seen.grow_to(&snapshot);

    let summary = registry.summary();
    let window = registry.window().summary();
    for summary in [&summary, &window, &snapshot.summary()] {
        assert_in_order(&summary.total);
        summary.endpoints.iter().for_each(|endpoint| assert_in_order(&endpoint.figures));
        let of_endpoints: u64 = summary.endpoints.iter().map(|endpoint| endpoint.figures.calls).sum();
        assert_eq!(of_endpoints, summary.total.calls);
    }
    // Nothing resets here, so all readings are of the same window, each later than the previous one.
    let figures = [&snapshot.summary().total, &summary.total, &window.total].map(|figures| figures.calls);
    assert!(figures.is_sorted(), "{figures:?}");
    let started = progress.started.load(Ordering::SeqCst);
    assert!(figures.iter().all(|&calls| acknowledged <= calls && calls <= started));
}

/// The last figures that a reader has seen. No later reading may be lower.
#[derive(Default)]
struct Seen(BTreeMap<(String, StatusGroup), Group>);

#[derive(Default)]
struct Group {
    outcomes: BTreeMap<Outcome, u64>,
    sum: u64,
    clamped: u64,
    buckets: BTreeMap<u64, u64>,
}

impl Seen {
    fn grow_to(&mut self, snapshot: &Snapshot) {
        let mut groups = 0;
        for endpoint in snapshot.endpoints() {
            for group in endpoint.groups() {
                groups += 1;
                let total = group.histogram().total();
                assert_eq!(total, group.calls());
                let seen = self.0.entry((endpoint.name().route.to_string(), group.group())).or_default();
                grow(&mut seen.outcomes, group.outcomes().iter().copied().collect());
                grow(&mut seen.buckets, group.histogram().buckets().map(|b| (b.lowest, b.count)).collect());
                assert!(seen.sum <= group.sum_nanos() && seen.clamped <= group.clamped());
                (seen.sum, seen.clamped) = (group.sum_nanos(), group.clamped());
            }
        }
        assert_eq!(groups, self.0.len(), "a group disappeared");
    }
}

fn grow<K: Ord + Copy + std::fmt::Debug>(seen: &mut BTreeMap<K, u64>, now: BTreeMap<K, u64>) {
    for (key, count) in &*seen {
        assert!(
            now.get(key).is_some_and(|now| now >= count),
            "{key:?} was {count}, and is {:?}",
            now.get(key)
        );
    }
    *seen = now;
}

/// Reads windows while one writer records what `duration` returns. Returns the figures of every reading.
fn figures_under_load(closing: bool, duration: impl Fn(u64) -> u64 + Sync) -> Vec<Figures> {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let mut readings = Vec::new();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let recorder = registry.recorder();
            (0..scaled(3_000_000, 200)).for_each(|i| recorder.record_nanos(endpoint, 200, duration(i)));
        });
        while !writer.is_finished() && readings.len() < 2_000 {
            let summary = if closing { registry.reset() } else { registry.summary() };
            readings.push(summary.total);
        }
    });
    readings
}

#[test]
fn a_window_read_under_load_has_its_minimum_below_its_maximum() {
    for closing in [false, true] {
        // All durations are in one bucket, which is wider than one nanosecond.
        figures_under_load(closing, |_| 1_000_000_000).iter().for_each(assert_in_order);
    }
}

#[test]
fn a_window_of_durations_over_the_maximum_has_plausible_extremes_under_load() {
    for closing in [false, true] {
        for figures in figures_under_load(closing, |_| 100_000_000_000) {
            assert_in_order(&figures);
            assert!(figures.max.as_secs() <= 100, "{figures:?}");
        }
    }
}

#[test]
fn minimum_and_maximum_under_load_lie_between_the_recorded_durations() {
    for closing in [false, true] {
        for figures in figures_under_load(closing, |i| if i % 2 == 0 { 1_000 } else { 1_000_000 }) {
            assert_in_order(&figures);
            if figures.calls > 0 {
                // To within the buckets of the shortest and the longest duration.
                let bounds = Duration::from_nanos(992)..=Duration::from_nanos(1_007_000);
                assert!(bounds.contains(&figures.min) && bounds.contains(&figures.max), "{figures:?}");
            }
        }
    }
}

/// If a record is in progress when the window is closed, its bucket, sum and count must go into the same window.
#[test]
fn a_window_has_a_duration_if_and_only_if_it_has_a_call() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let recorder = registry.recorder();
            let mut pause = 0;
            while !done.load(Ordering::Relaxed) {
                recorder.record_nanos(endpoint, 200, 1_000_000);
                // Few records per window, so that some windows have a single one.
                pause = (pause + 4) % 256;
                (0..pause).for_each(|_| std::hint::spin_loop());
            }
        });
        let windows: Vec<_> = (0..scaled(100_000, 20)).map(|_| registry.reset().total).collect();
        done.store(true, Ordering::Relaxed);
        windows.iter().for_each(assert_in_order);
        let apart = windows.iter().find(|figures| figures.p50.is_zero() != (figures.calls == 0));
        assert!(apart.is_none(), "{apart:?}");
        // If the scheduler stops the writer in the middle of a record for longer than a reading waits, the sum is
        // ahead. That is rare: a record takes a few nanoseconds of each round.
        let ahead = windows.iter().filter(|figures| figures.calls == 0 && !figures.sum.is_zero()).count();
        assert!(ahead <= windows.len() / 1_000, "{ahead} windows");
    });
}

#[test]
fn a_group_gets_a_new_version_with_each_change_and_keeps_it_otherwise() {
    let registry = Registry::new();
    let (a, b) = (registry.endpoint("GET", "/a"), registry.endpoint("GET", "/b"));
    for endpoint in [a, b] {
        [200, 500].iter().for_each(|&status| registry.record_nanos(endpoint, status, 1_000));
    }
    let versions = |snapshot: &Snapshot| -> Vec<Option<Version>> {
        snapshot.endpoints().flat_map(EndpointSnapshot::groups).map(GroupSnapshot::version).collect()
    };
    let first = versions(&registry.snapshot());
    assert!(first.iter().all(Option::is_some) && first.is_sorted_by(|one, next| one < next), "{first:?}");

    // Neither a reading nor a reset changes a version, nor a request that is only under way.
    registry.reset();
    let held = registry.snapshot();
    let recorder = registry.recorder();
    recorder.enter(a);
    assert_eq!((versions(&held), versions(&registry.snapshot())), (first.clone(), first.clone()));

    // By one record, by more than a list of the latest holds, and by bytes alone.
    let changes: [&dyn Fn(); 3] = [
        &|| registry.record_nanos(b, 500, 1),
        &|| (0..100).for_each(|_| registry.record_nanos(b, 500, 1)),
        &|| recorder.add_bytes(b, Outcome::Status(500), 1, 1),
    ];
    let mut before = first.clone();
    for change in changes {
        change();
        let now = versions(&registry.snapshot());
        assert_eq!(now[..3], first[..3]);
        assert!(now[3] > before[3], "{now:?} after {before:?}");
        before = now;
    }

    // Other registries have other versions; what is computed has none.
    let other = Registry::new();
    other.record_nanos(other.endpoint("GET", "/a"), 200, 1_000);
    assert!(!first.contains(&versions(&other.snapshot())[0]));
    let mut sum = registry.snapshot();
    sum.merge(&other.snapshot()).unwrap();
    assert_eq!(versions(&sum)[0], None);
    assert_eq!(versions(&sum)[1..], before[1..]);
    for computed in [registry.window(), registry.snapshot().difference(&held), sum.total()] {
        let versions = versions(&computed);
        assert!(!versions.is_empty() && versions.iter().all(Option::is_none), "{versions:?}");
    }
}
