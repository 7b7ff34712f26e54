//! Windows: what a reset closes, what it keeps, and which minimum and maximum a summary has.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use metrics_core::{Figures, Outcome, Registry, Snapshot};

use crate::support::{GRANULARITIES, OUTCOMES, Rng, calls, of_route, registry, route_in, scaled};

/// Minimum and maximum, in nanoseconds.
fn extremes(figures: &Figures) -> (u128, u128) {
    (figures.min.as_nanos(), figures.max.as_nanos())
}

#[test]
fn minimum_and_maximum_after_a_reset_are_those_of_the_new_window() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let (first, second) = (registry.recorder(), registry.recorder());
    let windows = [
        // Extremes that are less extreme than before, more, the same, or only one of the two.
        [1_u64, 60_000_000_000],
        [1_000_003, 1_000_007],
        [1_000_003, 1_000_007],
        [3, 1_000_001],
        [99, 70_000_000_000],
        [1_000_005, 1_000_005],
        [0, 0],
    ];
    for [min, max] in windows {
        first.record_nanos(endpoint, 200, min);
        second.record_nanos(endpoint, 200, max);
        let expected = (u128::from(min), u128::from(max));
        // A reading in the middle of the window changes nothing.
        assert_eq!(extremes(&registry.summary().total), expected);
        let group_extremes = |window: &Snapshot| {
            let group = route_in(window, "/").unwrap().groups().next().unwrap();
            (u128::from(group.min_nanos()), u128::from(group.max_nanos()))
        };
        assert_eq!(group_extremes(&registry.window()), expected);
        assert_eq!(extremes(&registry.reset().total), expected);
        assert_eq!(registry.summary().total, Figures::default());
    }
    // The cumulative state has all of them.
    assert_eq!(extremes(&registry.snapshot().summary().total), (0, 70_000_000_000));
}

#[test]
fn an_endpoint_without_calls_in_a_window_is_not_listed_in_it() {
    let registry = Registry::new();
    let [often, once] = ["/often", "/once"].map(|route| registry.endpoint("GET", route));
    registry.record_nanos(often, 200, 1);
    registry.record_nanos(once, 200, 1);
    assert_eq!(registry.reset().endpoints.len(), 2);

    registry.record_nanos(often, 200, 1);
    for summary in [registry.summary(), registry.reset()] {
        assert!(of_route(&summary, "/often").is_some());
        assert!(of_route(&summary, "/once").is_none());
    }
    assert!(route_in(&registry.window(), "/often").is_none());
    assert!(route_in(&registry.snapshot(), "/once").is_some());
}

#[test]
fn a_status_that_did_not_occur_in_a_window_is_not_listed_in_it() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    registry.record_nanos(endpoint, 503, 1_000_000_000);
    registry.record_nanos(endpoint, 201, 7);
    registry.reset();
    registry.record_nanos(endpoint, 200, 5);
    let window = registry.window();
    assert_eq!(route_in(&window, "/").unwrap().outcomes().collect::<Vec<_>>(), [(Outcome::Status(200), 1)]);
    let groups: Vec<_> = route_in(&window, "/").unwrap().groups().collect();
    assert_eq!(
        groups.iter().map(|group| group.outcomes()).collect::<Vec<_>>(),
        [[(Outcome::Status(200), 1)]]
    );
    assert_eq!(registry.summary().total.outcomes, [(Outcome::Status(200), 1)]);
    assert_eq!(extremes(&registry.summary().total), (5, 5));
}

#[test]
fn groups_are_equal_if_all_of_their_figures_are() {
    let group = |requests: &[(u16, u64)]| {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/");
        requests.iter().for_each(|&(status, nanos)| registry.record_nanos(endpoint, status, nanos));
        route_in(&registry.snapshot(), "/").unwrap().groups().next().unwrap().clone()
    };
    let one = group(&[(200, 1), (200, 5), (200, 6), (200, 8)]);
    assert_eq!(one, group(&[(200, 8), (200, 6), (200, 5), (200, 1)]));
    // Another status, other durations of the same sum, and another sum.
    assert_ne!(one, group(&[(200, 1), (201, 5), (200, 6), (200, 8)]));
    assert_ne!(one, group(&[(200, 1), (200, 4), (200, 7), (200, 8)]));
    assert_ne!(group(&[(200, 1_000)]), group(&[(200, 1_001)]));
}

#[test]
fn resets_do_not_affect_cumulative_figures() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    for total in 1..=20 {
        registry.record_nanos(endpoint, 200, 1_000);
        registry.reset();
        let snapshot = registry.snapshot();
        assert_eq!((calls(&snapshot), snapshot.histogram().total()), (total, total));
        assert_eq!(calls(&registry.window()), 0);
    }
}

#[test]
fn the_difference_of_two_snapshots_is_what_was_recorded_in_between() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    registry.record_nanos(endpoint, 200, 1);
    registry.record_nanos(endpoint, 200, 60_000_000_000);
    let earlier = registry.snapshot();
    // A reset in between must not matter.
    registry.reset();
    let between = [1_000_000, 2_000_000, 3_000_000];
    between.into_iter().for_each(|nanos| registry.record_nanos(endpoint, 200, nanos));
    let figures = registry.snapshot().difference(&earlier).summary().total;
    assert_eq!((figures.calls, figures.sum), (3, Duration::from_millis(6)));
    // Without a reset the extremes are known to within their bucket.
    let near = |ours: Duration, exact: f64| (ours.as_nanos() as f64 / exact - 1.0).abs() < 0.0079;
    assert!(near(figures.min, 1e6) && near(figures.max, 3e6), "{figures:?}");
    assert!(near(figures.p50, 2e6), "{figures:?}");
}

#[test]
fn a_window_across_a_reset_has_the_minimum_from_before_it() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let earlier = registry.snapshot();
    registry.record_nanos(endpoint, 200, 5_000);
    let first = registry.snapshot();
    registry.record_nanos(endpoint, 200, 1_000);
    registry.reset();
    registry.record_nanos(endpoint, 200, 3_000);
    let now = registry.snapshot();
    assert_eq!(extremes(&now.difference(&earlier).summary().total), (1_000, 5_000));
    // The maximum is that of the bucket of 3,000 ns.
    assert_eq!(extremes(&now.difference(&first).summary().total), (1_000, 3_007));
}

#[test]
fn windows_follow_each_other_without_a_gap_in_time() {
    let registry = Registry::new();
    let started = registry.snapshot().since();
    let first = registry.reset();
    let second = registry.reset();
    assert_eq!(first.since, started);
    assert!(second.since >= first.since);
    let before = registry.snapshot().span();
    let open = registry.window().span();
    let after = registry.snapshot().span();
    let windows = first.window + second.window + open;
    assert!(before <= windows && windows <= after, "{before:?} {windows:?} {after:?}");
}

/// What was recorded for one endpoint in one window.
#[derive(Default, PartialEq, Debug)]
struct Recorded {
    outcomes: BTreeMap<Outcome, u64>,
    sum: u128,
    min: u128,
    max: u128,
}

impl Recorded {
    fn add(&mut self, outcome: Outcome, nanos: u64) {
        let nanos = u128::from(nanos);
        let first = self.outcomes.is_empty();
        *self.outcomes.entry(outcome).or_default() += 1;
        self.sum += nanos;
        self.min = if first { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
    }

    fn of(figures: &Figures) -> Self {
        let (min, max) = extremes(figures);
        let outcomes = figures.outcomes.iter().copied().collect();
        Self { outcomes, sum: figures.sum.as_nanos(), min, max }
    }
}

#[test]
fn every_one_of_many_windows_has_exactly_what_was_recorded_in_it() {
    for digits in 1..=3 {
        for granularity in GRANULARITIES {
            every_window_has_what_was_recorded_in_it(registry(digits, granularity));
        }
    }
}

fn every_window_has_what_was_recorded_in_it(registry: Registry) {
    let routes = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"];
    let endpoints = routes.map(|route| registry.endpoint("GET", route));
    let recorders = [registry.recorder(), registry.recorder(), registry.recorder()];
    let mut rng = Rng::new(5);
    for _ in 0..scaled(30, 3) {
        let mut expected = BTreeMap::<&str, Recorded>::new();
        for i in 0..rng.below(12) {
            let (at, outcome) = (rng.below(8) as usize, rng.pick(&OUTCOMES));
            // Windows differ in range, so that the extremes of an earlier one would be noticed.
            let bits = 1 + rng.below(37) as u32;
            let nanos = rng.log_uniform(bits);
            let elapsed = Duration::from_nanos(nanos);
            if i % 4 == 0 {
                let recorder = registry.recorder();
                let record = move || recorder.record_outcome(endpoints[at], outcome, elapsed);
                thread::spawn(record).join().unwrap();
            } else {
                rng.pick(&recorders.each_ref()).record_outcome(endpoints[at], outcome, elapsed);
            }
            expected.entry(routes[at]).or_default().add(outcome, nanos);
            if rng.below(8) == 0 {
                registry.snapshot();
            }
        }
        let window = registry.window().summary();
        let summary = registry.summary();
        let closed = registry.reset();
        for summary in [&window, &summary, &closed] {
            let shown: BTreeMap<_, _> = summary
                .endpoints
                .iter()
                .map(|endpoint| (&*endpoint.name.route, Recorded::of(&endpoint.figures)))
                .collect();
            assert_eq!(shown, expected);
        }
    }
}
