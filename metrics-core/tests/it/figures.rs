//! The figures of a summary: how they are computed, and how they relate.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram as Hdr;
use metrics_core::{Figures, MAX_NANOS, Outcome, Registry};
use proptest::prelude::*;

use crate::support::{OUTCOMES, assert_in_order, of_route, route_in};

/// The longest duration that the sum and the maximum keep exactly: about 3.3 days.
const MAX_EXACT_NANOS: u64 = 1 << 48;

/// The figures of these requests, computed one by one.
fn naive(requests: &[(Outcome, u64)]) -> Figures {
    let mut outcomes = BTreeMap::new();
    let mut hdr = Hdr::<u64>::new_with_bounds(1, MAX_NANOS, 2).unwrap();
    for &(outcome, nanos) in requests {
        *outcomes.entry(outcome).or_insert(0) += 1;
        hdr.saturating_record(nanos);
    }
    let count =
        |wanted: fn(Outcome) -> bool| requests.iter().filter(|&&(outcome, _)| wanted(outcome)).count() as u64;
    let exact = || requests.iter().map(|&(_, nanos)| nanos.min(MAX_EXACT_NANOS));
    let (min, max) = (exact().min().unwrap_or(0), exact().max().unwrap_or(0));
    let quantile = |q| Duration::from_nanos(hdr.value_at_quantile(q).clamp(min, max));
    Figures {
        calls: requests.len() as u64,
        errors: count(|outcome| matches!(outcome, Outcome::Status(400..=599) | Outcome::Panicked)),
        client_errors: count(|outcome| matches!(outcome, Outcome::Status(400..=499))),
        server_errors: count(|outcome| matches!(outcome, Outcome::Status(500..=599) | Outcome::Panicked)),
        aborted: count(|outcome| outcome == Outcome::Aborted),
        panicked: count(|outcome| outcome == Outcome::Panicked),
        outcomes: outcomes.into_iter().collect(),
        sum: Duration::from_nanos(exact().sum()),
        min: Duration::from_nanos(min),
        max: Duration::from_nanos(max),
        p50: quantile(0.50),
        p95: quantile(0.95),
        p99: quantile(0.99),
        p999: quantile(0.999),
        clamped: requests.iter().filter(|&&(_, nanos)| nanos > MAX_NANOS).count() as u64,
        ..Figures::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]

    #[test]
    fn figures_equal_those_computed_request_by_request(
        requests in prop::collection::vec(
            (0..2_usize, prop::sample::select(&OUTCOMES), (0_u32..64).prop_flat_map(|bits| 0..=u64::MAX >> bits)),
            0..100,
        ),
    ) {
        let registry = Registry::new();
        let recorders = [registry.recorder(), registry.recorder()];
        let routes = ["/a", "/b"];
        let endpoints = routes.map(|route| registry.endpoint("GET", route));
        for (i, &(at, outcome, nanos)) in requests.iter().enumerate() {
            recorders[i % 2].record_outcome(endpoints[at], outcome, Duration::from_nanos(nanos));
        }
        let summary = registry.summary();
        let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<_> {
            let requests = requests.iter().filter(|&&(at, ..)| wanted(at));
            requests.map(|&(_, outcome, nanos)| (outcome, nanos)).collect()
        };
        prop_assert_eq!(&summary.total, &naive(&of(&|_| true)));
        assert_in_order(&summary.total);
        for (at, route) in routes.into_iter().enumerate() {
            let expected = naive(&of(&|endpoint| endpoint == at));
            let shown = of_route(&summary, route);
            prop_assert_eq!(shown.is_some(), expected.calls > 0);
            prop_assert_eq!(shown.cloned().unwrap_or_default(), expected);
        }
        prop_assert!(summary.endpoints.is_sorted_by(|a, b| a.figures.calls >= b.figures.calls));
    }
}

#[test]
fn the_average_is_the_sum_over_the_count_and_rates_are_percentages() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    for (status, nanos) in [(200, 10), (200, 11), (404, 12), (503, 1_000)] {
        registry.record_nanos(endpoint, status, nanos);
    }
    let total = registry.summary().total;
    assert_eq!(total.average(), Duration::from_nanos(1_033 / 4));
    assert_eq!(
        (total.error_rate(), total.client_error_rate(), total.server_error_rate()),
        (50.0, 25.0, 25.0)
    );
}

#[test]
fn an_error_is_a_4xx_a_5xx_or_a_panic_and_nothing_else() {
    for status in 0..=u16::MAX {
        let is_error = (400..=599).contains(&status);
        assert_eq!(Outcome::from(status).is_error(), is_error, "{status}");
    }
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    for status in 100..=599 {
        recorder.record_nanos(endpoint, status, 1);
    }
    recorder.record_outcome(endpoint, Outcome::Panicked, Duration::ZERO);
    recorder.record_outcome(endpoint, Outcome::Aborted, Duration::ZERO);
    let total = registry.summary().total;
    assert_eq!((total.calls, total.errors), (502, 201));
    assert_eq!((total.client_errors, total.server_errors, total.panicked), (100, 101, 1));
}

#[test]
fn an_aborted_request_is_a_call_but_not_an_error() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    registry.with_recorder(|recorder| {
        recorder.record_outcome(endpoint, Outcome::Aborted, Duration::from_nanos(3));
    });
    let total = registry.summary().total;
    assert_eq!((total.calls, total.aborted, total.errors), (1, 1, 0));
    assert_eq!(total.error_rate(), 0.0);
}

#[test]
fn a_registry_without_calls_has_zeros_and_never_nan() {
    let registry = Registry::new();
    registry.endpoint("GET", "/never/called");
    for summary in [registry.summary(), registry.reset(), registry.summary(), registry.snapshot().summary()] {
        assert_eq!(summary.total, Figures::default());
        assert!(summary.endpoints.is_empty() && summary.recent_errors.is_empty());
        assert_eq!((summary.in_flight, summary.requests_per_second()), (0, 0.0));
        let total = &summary.total;
        assert_eq!(total.average(), Duration::ZERO);
        let rates = [total.error_rate(), total.client_error_rate(), total.server_error_rate()];
        assert_eq!(rates, [0.0; 3]);
    }
    assert_eq!(registry.snapshot().histogram().value_at_quantile(0.5), 0);
}

#[test]
fn a_window_of_zero_length_has_a_rate_of_zero() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 1);
    let mut summary = registry.summary();
    summary.window = Duration::ZERO;
    assert_eq!(summary.requests_per_second(), 0.0);
    summary.window = Duration::from_millis(250);
    assert_eq!(summary.requests_per_second(), 4.0);
}

#[test]
fn an_invalid_status_counts_as_other() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    for status in [0, 99, 600, u16::MAX] {
        recorder.record(endpoint, status, Duration::from_nanos(1));
        recorder.record_nanos(endpoint, status, 1);
        registry.record(endpoint, status, Duration::from_nanos(1));
        registry.record_nanos(endpoint, status, 1);
        recorder.record_outcome(endpoint, Outcome::Status(status), Duration::from_nanos(1));
        recorder.finish(recorder.start(), endpoint, Outcome::Status(status));
    }
    let total = registry.summary().total;
    assert_eq!((total.calls, total.errors), (24, 0));
    assert_eq!(total.outcomes, [(Outcome::Other, 24)]);
}

#[test]
fn a_duration_over_the_maximum_is_counted_as_clamped_and_summed_exactly() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let durations = [MAX_NANOS, MAX_NANOS + 1, 5_000_000_000_000, MAX_EXACT_NANOS];
    durations.into_iter().for_each(|nanos| registry.record(endpoint, 200, Duration::from_nanos(nanos)));
    let snapshot = registry.snapshot();
    let total = snapshot.summary().total;
    assert_eq!(total.clamped, 3);
    assert_eq!(total.sum, Duration::from_nanos(durations.into_iter().sum()));
    assert_eq!(
        (total.min, total.max),
        (Duration::from_nanos(MAX_NANOS), Duration::from_nanos(MAX_EXACT_NANOS))
    );
    let last = snapshot.histogram().buckets().last().unwrap();
    assert_eq!((last.highest, last.count), (MAX_NANOS, 4));
    assert_eq!(route_in(&snapshot, "/").unwrap().groups().next().unwrap().clamped(), 3);
}

#[test]
fn the_longest_possible_duration_does_not_panic() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    registry.record(endpoint, 200, Duration::MAX);
    recorder.record(endpoint, 404, Duration::MAX);
    recorder.record_nanos(endpoint, 200, u64::MAX);
    recorder.record_outcome(endpoint, Outcome::Aborted, Duration::MAX);
    recorder.record_error(endpoint, Outcome::Panicked, Duration::MAX, "took for ever");
    let summary = registry.reset();
    assert_eq!((summary.total.calls, summary.total.clamped), (5, 5));
    assert_eq!(summary.total.sum, Duration::from_nanos(5 * MAX_EXACT_NANOS));
    assert_eq!(summary.total.max, Duration::from_nanos(MAX_EXACT_NANOS));
    assert_eq!(summary.recent_errors[0].response_time, Duration::from_nanos(u64::MAX));
    assert_in_order(&summary.total);
}

#[test]
fn requests_of_zero_duration_are_calls() {
    let registry = Registry::new();
    registry.record(registry.endpoint("GET", "/"), 200, Duration::ZERO);
    let total = registry.summary().total;
    assert_eq!((total.calls, total.max, total.p99), (1, Duration::ZERO, Duration::ZERO));
    assert_eq!(registry.snapshot().histogram().total(), 1);
}
