//! Histograms and quantiles match those of `hdrhistogram` for the same values, to the bit.

use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram as Hdr;
use metrics_core::{EndpointSnapshot, Granularity, Histogram, MAX_NANOS, Outcome, Registry};
use proptest::prelude::*;

use crate::support::{GRANULARITIES, OUTCOMES, Rng, group_of, registry, route_in, scaled};

const ROUTES: [&str; 3] = ["/a", "/b", "/c"];
const THREADS: u64 = 4;

#[test]
fn a_million_values_at_one_digit_match_hdrhistogram() {
    a_million_values_match_hdrhistogram(1);
}

#[test]
fn a_million_values_at_two_digits_match_hdrhistogram() {
    a_million_values_match_hdrhistogram(2);
}

#[test]
fn a_million_values_at_three_digits_match_hdrhistogram() {
    a_million_values_match_hdrhistogram(3);
}

fn a_million_values_match_hdrhistogram(digits: u8) {
    let registries = GRANULARITIES.map(|granularity| registry(digits, granularity));
    let mut expected = Expected::new(digits);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| {
                let registries = &registries;
                scope.spawn(move || record_some(digits, registries, &mut Rng::new(seed)))
            })
            .collect();
        threads.into_iter().for_each(|thread| expected.add(&thread.join().unwrap()));
    });
    assert!(expected.total.len() >= scaled(1_000_000, 200));
    for (registry, granularity) in registries.iter().zip(GRANULARITIES) {
        expected.assert_same(registry, granularity);
    }
}

#[test]
fn a_histogram_is_built_from_the_buckets_that_its_precision_has() {
    assert_eq!(
        [0, 1, 2, 3, 4].map(Histogram::max_buckets),
        [None, Some(528), Some(3_840), Some(27_648), None]
    );
    let last = Histogram::from_buckets(2, 3_838, &[0, 7, 0]);
    assert_eq!(last.unwrap_err().to_string(), "a histogram has buckets up to 3841; allowed: 3840");
    let last = Histogram::from_buckets(2, 3_838, &[0, 7]).unwrap();
    assert_eq!((last.counts(), last.total()), ((3_839, &[7][..]), 7));
    assert_eq!(last.value_at_quantile(0.5), MAX_NANOS);
}

/// One thread's share: records the same values in a registry of each granularity and in `hdrhistogram`.
fn record_some(digits: u8, registries: &[Registry; 3], rng: &mut Rng) -> Expected {
    let mut expected = Expected::new(digits);
    let writers = registries
        .each_ref()
        .map(|registry| (registry.recorder(), ROUTES.map(|route| registry.endpoint("GET", route))));
    let edges = (0..64).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]);
    let random: Vec<_> = (0..scaled(250_000, 50)).map(|_| rng.log_uniform(38)).collect();
    for nanos in edges.chain([MAX_NANOS - 1, u64::MAX]).chain(random) {
        let (route, outcome) =
            (rng.below(ROUTES.len() as u64) as usize, rng.below(OUTCOMES.len() as u64) as usize);
        for (recorder, endpoints) in &writers {
            match OUTCOMES[outcome] {
                Outcome::Status(status) => recorder.record_nanos(endpoints[route], status, nanos),
                other => recorder.record_outcome(endpoints[route], other, Duration::from_nanos(nanos)),
            }
        }
        expected.record(route, outcome, nanos);
    }
    expected
}

/// `hdrhistogram`'s histograms of the same values.
struct Expected {
    total: Hdr<u64>,
    /// By route and outcome.
    parts: [[Hdr<u64>; OUTCOMES.len()]; ROUTES.len()],
    /// By route and outcome.
    clamped: [[u64; OUTCOMES.len()]; ROUTES.len()],
}

impl Expected {
    fn new(digits: u8) -> Self {
        let empty = || empty_hdr(digits);
        Self {
            total: empty(),
            parts: std::array::from_fn(|_| std::array::from_fn(|_| empty())),
            clamped: Default::default(),
        }
    }

    fn record(&mut self, route: usize, outcome: usize, nanos: u64) {
        self.total.saturating_record(nanos);
        self.parts[route][outcome].saturating_record(nanos);
        self.clamped[route][outcome] += u64::from(nanos > MAX_NANOS);
    }

    fn add(&mut self, other: &Self) {
        self.total += &other.total;
        let parts = self.parts.as_flattened_mut().iter_mut().zip(other.parts.as_flattened());
        parts.for_each(|(ours, theirs)| *ours += theirs);
        let clamped = self.clamped.as_flattened_mut().iter_mut().zip(other.clamped.as_flattened());
        clamped.for_each(|(ours, theirs)| *ours += theirs);
    }

    fn assert_same(&self, registry: &Registry, granularity: Granularity) {
        let snapshot = registry.snapshot();
        assert_same(&snapshot.histogram(), &self.total, 400);
        for (at, route) in ROUTES.iter().enumerate() {
            let endpoint = route_in(&snapshot, route).unwrap();
            assert_same(&merged(endpoint), &self.sum(at, |_| true), 100);
            for group in endpoint.groups() {
                let in_group = |outcome| group_of(granularity, outcome) == group.group();
                assert_same(group.histogram(), &self.sum(at, in_group), 20);
                let clamped =
                    OUTCOMES.iter().zip(self.clamped[at]).filter(|&(&outcome, _)| in_group(outcome));
                assert_eq!(group.clamped(), clamped.map(|(_, clamped)| clamped).sum::<u64>());
            }
            let groups: std::collections::HashSet<_> =
                OUTCOMES.iter().map(|&outcome| group_of(granularity, outcome)).collect();
            assert_eq!(endpoint.groups().count(), groups.len());
        }
    }

    fn sum(&self, route: usize, wanted: impl Fn(Outcome) -> bool) -> Hdr<u64> {
        let mut sum = Hdr::new_from(&self.total);
        let parts = OUTCOMES.iter().zip(&self.parts[route]).filter(|&(&outcome, _)| wanted(outcome));
        parts.for_each(|(_, part)| sum += part);
        sum
    }
}

fn empty_hdr(digits: u8) -> Hdr<u64> {
    Hdr::new_with_bounds(1, MAX_NANOS, digits).unwrap()
}

fn merged(endpoint: &EndpointSnapshot) -> Histogram {
    let mut groups = endpoint.groups();
    let mut merged = groups.next().unwrap().histogram().clone();
    groups.for_each(|group| merged.merge(group.histogram()).unwrap());
    merged
}

fn assert_same(ours: &Histogram, expected: &Hdr<u64>, quantiles: u32) {
    assert_eq!(&ours.to_hdr(), expected);
    assert_eq!(ours.total(), expected.len());
    assert_eq!(ours.buckets().map(|bucket| bucket.count).sum::<u64>(), expected.len());
    let evenly = (0..=quantiles).map(|i| f64::from(i) / f64::from(quantiles));
    for quantile in evenly.chain([1e-12, 0.999, 0.9999, 0.999_999]) {
        assert_eq!(ours.value_at_quantile(quantile), expected.value_at_quantile(quantile), "{quantile}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 100 }))]

    #[test]
    fn any_values_at_any_precision_match_hdrhistogram(
        values in prop::collection::vec(
            prop_oneof![(0_u32..64).prop_flat_map(|bits| 0..=u64::MAX >> bits), Just(MAX_NANOS), Just(MAX_NANOS + 1)],
            0..200,
        ),
        digits in 1_u8..=3,
        quantile in 0.0..=1.0,
    ) {
        let registry = registry(digits, Granularity::Class);
        let endpoint = registry.endpoint("GET", "/");
        let mut expected = empty_hdr(digits);
        for &nanos in &values {
            // Through a recorder of its own, or through the thread's.
            if nanos % 2 == 0 {
                registry.recorder().record_nanos(endpoint, 200, nanos);
            } else {
                registry.record_nanos(endpoint, 500, nanos);
            }
            expected.saturating_record(nanos);
        }
        let histogram = registry.snapshot().histogram();
        prop_assert_eq!(&histogram.to_hdr(), &expected);
        prop_assert_eq!(histogram.value_at_quantile(quantile), expected.value_at_quantile(quantile));
    }
}
