//! Merging snapshots of several registries.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_core::{
    EndpointName, Figures, Granularity, Histogram, MergeError, MetricFigures, Outcome, Registry, Snapshot,
    StatusGroup, Summary,
};

use crate::support::{GRANULARITIES, OUTCOMES, Rng, registry, scaled};

/// Everything a snapshot holds about its endpoints, in any order.
pub(crate) type Contents = BTreeMap<EndpointName, BTreeMap<StatusGroup, GroupContents>>;

#[derive(Debug, PartialEq)]
pub(crate) struct GroupContents {
    outcomes: BTreeMap<Outcome, u64>,
    sum: u64,
    extremes: (u64, u64),
    clamped: u64,
    histogram: Histogram,
}

pub(crate) fn contents(snapshot: &Snapshot) -> Contents {
    let endpoints = snapshot.endpoints().map(|endpoint| {
        let groups = endpoint.groups().map(|group| {
            let contents = GroupContents {
                outcomes: group.outcomes().iter().copied().collect(),
                sum: group.sum_nanos(),
                extremes: (group.min_nanos(), group.max_nanos()),
                clamped: group.clamped(),
                histogram: group.histogram().clone(),
            };
            (group.group(), contents)
        });
        (endpoint.name().clone(), groups.collect())
    });
    endpoints.collect()
}

/// The figures of a summary, without its times.
pub(crate) fn figures(summary: &Summary) -> (Figures, BTreeMap<EndpointName, Figures>) {
    let endpoints = summary.endpoints.iter();
    let endpoints = endpoints.map(|endpoint| ((*endpoint.name).clone(), endpoint.figures.clone()));
    (summary.total.clone(), endpoints.collect())
}

/// Records the same requests in both registries. The endpoints and the order in which they first occur depend on the
/// seed.
fn record_some(seed: u64, registries: [&Registry; 2]) {
    let mut rng = Rng::new(seed);
    let recorders = registries.map(Registry::recorder);
    for _ in 0..scaled(2_000, 30) {
        let route = format!("/{}", (rng.below(4) + seed) % 7);
        let (outcome, nanos) = (rng.pick(&OUTCOMES), rng.log_uniform(38));
        for (registry, recorder) in registries.iter().zip(&recorders) {
            recorder.record_outcome(registry.endpoint("GET", &route), outcome, Duration::from_nanos(nanos));
        }
    }
}

#[test]
fn windows_between_sums_of_registries_are_right_whatever_was_merged_first() {
    let [one, two] = [(); 2].map(|()| Registry::new());
    let [a, b] = [one.endpoint("GET", "/a"), two.endpoint("GET", "/b")];
    let record = |of_a: u64, of_b: u64| {
        (0..of_a).for_each(|_| one.record_nanos(a, 200, 1_000));
        (0..of_b).for_each(|_| two.record_nanos(b, 200, 1_000));
    };
    record(5, 3);
    let mut earlier = one.snapshot();
    earlier.merge(&two.snapshot()).unwrap();
    record(2, 4);
    let mut later = two.snapshot();
    later.merge(&one.snapshot()).unwrap();
    let window = later.difference(&earlier);
    let calls: BTreeMap<_, _> =
        window.endpoints().map(|endpoint| (endpoint.name().route.to_string(), endpoint.calls())).collect();
    assert_eq!(calls, [("/a".to_owned(), 2), ("/b".to_owned(), 4)].into());
}

#[test]
fn own_metrics_of_two_registries_are_added_up_by_name_and_kind() {
    let [one, two] = [(); 2].map(|()| Registry::new());
    for (registry, n) in [(&one, 1), (&two, 2)] {
        registry.counter("jobs").unwrap().add(10 * n);
        registry.gauge("depth").unwrap().set(1.25 * n as f64);
        let cache = registry.hit_ratio("cache").unwrap();
        (0..3 * n).for_each(|_| cache.hit());
        cache.miss();
        registry.timer("db").unwrap();
    }
    two.timer("db").unwrap().record(Duration::from_millis(3));
    for [first, second] in [[&one, &two], [&two, &one]] {
        let mut merged = first.snapshot();
        merged.merge(&second.snapshot()).unwrap();
        let business = merged.summary().business;
        let [cache, db, depth, jobs] = business.as_slice() else { panic!("{business:?}") };
        assert_eq!(jobs.figures, MetricFigures::Counter(30));
        assert_eq!(depth.figures, MetricFigures::Gauge(3.75));
        assert_eq!(cache.figures, MetricFigures::HitRatio { hits: 9, misses: 2 });
        assert_eq!((cache.hit_rate(), jobs.hit_rate()), (Some(900.0 / 11.0), None));
        assert_eq!(db.figures.count(), Some(1));
    }
}

#[test]
fn two_merged_registries_equal_one_that_recorded_everything() {
    for digits in 1..=3 {
        for granularity in GRANULARITIES {
            let [one, two, both] = [(); 3].map(|()| registry(digits, granularity));
            record_some(1, [&one, &both]);
            record_some(2, [&two, &both]);
            let (one, two, both) = (one.snapshot(), two.snapshot(), both.snapshot());

            let [mut ours, mut theirs] = [one.clone(), two.clone()];
            ours.merge(&two).unwrap();
            theirs.merge(&one).unwrap();
            assert_eq!(contents(&ours), contents(&both));
            assert_eq!(contents(&theirs), contents(&both));
            assert_eq!(ours.histogram(), both.histogram());
            assert_eq!(figures(&ours.summary()), figures(&both.summary()));
            assert_eq!(figures(&theirs.summary()), figures(&both.summary()));
            assert_eq!(ours.health(), theirs.health());
            assert_eq!(ours.span(), one.span().max(two.span()));
            assert_eq!(
                (ours.since(), ours.taken()),
                (one.since().min(two.since()), one.taken().max(two.taken()))
            );
        }
    }
}

#[test]
fn the_order_of_merging_does_not_matter() {
    let [one, two] = [Registry::new(), Registry::new()];
    // All have the same number of calls, so the order must come from the names.
    for (registry, methods) in [(&one, ["GET", "PUT"]), (&two, ["POST", "GET"])] {
        for (method, status) in methods.into_iter().zip([200, 404]) {
            registry.record_nanos(registry.endpoint(method, "/a"), status, 1_000);
            registry.record_nanos(registry.endpoint(method, "/b"), status, 1_000);
        }
    }
    one.record_nanos(one.endpoint("PUT", "/a"), 200, 1);
    two.record_nanos(two.endpoint("POST", "/a"), 200, 1);
    let (one, two) = (one.snapshot(), two.snapshot());
    let [mut ours, mut theirs] = [one.clone(), two.clone()];
    ours.merge(&two).unwrap();
    theirs.merge(&one).unwrap();
    let shown = |snapshot: &Snapshot| -> Vec<_> {
        let endpoints = snapshot.summary().endpoints.into_iter();
        endpoints.map(|endpoint| format!("{} {}", endpoint.name.method, endpoint.name.route)).collect()
    };
    assert_eq!(shown(&ours), shown(&theirs));
}

#[test]
fn merging_adds_requests_in_flight_and_table_sizes() {
    let [one, two] = [Registry::new(), Registry::builder().max_series(1).build().unwrap()];
    let recorders = [one.recorder(), two.recorder(), two.recorder()];
    let starts = recorders.each_ref().map(|recorder| recorder.start());
    ["/a", "/b", "/c"].into_iter().for_each(|route| {
        two.endpoint("GET", route);
    });
    one.endpoint("GET", "/a");
    let mut merged = one.snapshot();
    merged.merge(&two.snapshot()).unwrap();
    let health = merged.health();
    assert_eq!(merged.in_flight(), 3);
    assert_eq!((health.shards, health.endpoints, health.endpoints_refused), (3, 2, 2));
    assert_eq!(health.max_series, one.snapshot().health().max_series + 1);
    let [of_one, ..] = starts;
    recorders[0].finish(of_one, one.endpoint("GET", "/a"), Outcome::Aborted);
    assert_eq!((one.snapshot().in_flight(), two.snapshot().in_flight(), merged.in_flight()), (0, 2, 3));
}

#[test]
fn merging_nothing_changes_nothing() {
    let registry = Registry::new();
    record_some(1, [&registry, &Registry::new()]);
    let before = registry.snapshot();
    let [mut ours, mut empty] = [before.clone(), Registry::new().snapshot()];
    ours.merge(&empty).unwrap();
    empty.merge(&before).unwrap();
    assert_eq!(contents(&ours), contents(&before));
    assert_eq!(contents(&empty), contents(&before));
}

#[test]
fn snapshots_of_different_precision_or_granularity_are_refused_and_left_unchanged() {
    let all = (1..=3).flat_map(|digits| GRANULARITIES.map(|granularity| (digits, granularity)));
    let all: Vec<_> = all
        .map(|(digits, granularity)| {
            let registry = registry(digits, granularity);
            record_some(u64::from(digits), [&registry, &Registry::new()]);
            registry.snapshot()
        })
        .collect();
    for one in &all {
        for two in &all {
            let mut ours = one.clone();
            match ours.merge(two) {
                Ok(()) => {
                    assert_eq!(one.significant_digits(), two.significant_digits());
                    assert_eq!(one.granularity(), two.granularity());
                    assert_ne!(contents(&ours), contents(one));
                }
                Err(error) => {
                    let digits = (one.significant_digits(), two.significant_digits());
                    let expected = if digits.0 != digits.1 {
                        MergeError::SignificantDigits { ours: digits.0, theirs: digits.1 }
                    } else {
                        MergeError::Granularity { ours: one.granularity(), theirs: two.granularity() }
                    };
                    assert_eq!(error, expected);
                    assert_eq!(contents(&ours), contents(one));
                    assert_eq!((ours.span(), ours.health()), (one.span(), one.health()));
                }
            }
        }
    }
    let mut ours = registry(2, Granularity::Class).snapshot();
    let refused = |error: MergeError| error.to_string();
    let error = ours.merge(&registry(3, Granularity::Class).snapshot()).unwrap_err();
    assert_eq!(
        refused(error),
        "a histogram of 3 significant digits cannot be added to one of 2; build all registries with the same precision"
    );
    let error = ours.merge(&registry(2, Granularity::Exact).snapshot()).unwrap_err();
    assert_eq!(
        refused(error),
        "histograms by Exact cannot be added to histograms by Class; build all registries with the same granularity"
    );
}
