//! Helpers for several modules: a deterministic random generator, and shortcuts to figures.

use metrics_core::{
    EndpointSnapshot, Figures, Granularity, Outcome, Registry, Snapshot, StatusGroup, Summary,
};

pub(crate) const GRANULARITIES: [Granularity; 3] =
    [Granularity::Outcome, Granularity::Class, Granularity::Exact];

/// At least one outcome of every group at every granularity, and two of most groups.
pub(crate) const OUTCOMES: [Outcome; 11] = [
    Outcome::Status(100),
    Outcome::Status(200),
    Outcome::Status(204),
    Outcome::Status(301),
    Outcome::Status(404),
    Outcome::Status(429),
    Outcome::Status(500),
    Outcome::Status(599),
    Outcome::Other,
    Outcome::Aborted,
    Outcome::Panicked,
];

/// `full`, or `miri` under Miri, which is about a thousand times slower.
pub(crate) const fn scaled(full: u64, miri: u64) -> u64 {
    if cfg!(miri) { miri } else { full }
}

/// SplitMix64: the same numbers in every run.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Nanoseconds, log-uniform over `0..2^bits`: all octaves are equally likely.
    pub(crate) fn log_uniform(&mut self, bits: u32) -> u64 {
        let bits = self.below(u64::from(bits) + 1) as u32;
        self.next().checked_shr(64 - bits).unwrap_or(0)
    }
}

/// A registry with this precision and granularity.
pub(crate) fn registry(significant_digits: u8, granularity: Granularity) -> Registry {
    Registry::builder().significant_digits(significant_digits).granularity(granularity).build().unwrap()
}

/// The group of an outcome, as the docs of the groups define it.
pub(crate) fn group_of(granularity: Granularity, outcome: Outcome) -> StatusGroup {
    match (granularity, outcome) {
        (_, Outcome::Aborted) => StatusGroup::Aborted,
        (_, Outcome::Panicked) => StatusGroup::Panicked,
        (Granularity::Outcome, outcome) if outcome.is_error() => StatusGroup::Error,
        (Granularity::Outcome, _) => StatusGroup::Success,
        (_, Outcome::Other) => StatusGroup::Other,
        (Granularity::Class, Outcome::Status(status)) => StatusGroup::Class((status / 100) as u8),
        (Granularity::Exact, Outcome::Status(status)) => StatusGroup::Status(status),
    }
}

/// The figures of a route; `None` if it is not in the summary.
pub(crate) fn of_route<'a>(summary: &'a Summary, route: &str) -> Option<&'a Figures> {
    summary.endpoints.iter().find(|endpoint| &*endpoint.name.route == route).map(|endpoint| &endpoint.figures)
}

/// The state of a route; `None` if it is not in the snapshot.
pub(crate) fn route_in<'a>(snapshot: &'a Snapshot, route: &str) -> Option<&'a EndpointSnapshot> {
    snapshot.endpoints().find(|endpoint| &*endpoint.name().route == route)
}

/// The calls of all endpoints.
pub(crate) fn calls(snapshot: &Snapshot) -> u64 {
    snapshot.endpoints().map(EndpointSnapshot::calls).sum()
}

/// The sum of all durations of all endpoints, in nanoseconds.
pub(crate) fn sum_nanos(snapshot: &Snapshot) -> u128 {
    let groups = snapshot.endpoints().flat_map(EndpointSnapshot::groups);
    groups.map(|group| u128::from(group.sum_nanos())).sum()
}

/// Asserts what must hold for the figures of every window, even for one that was read under load.
pub(crate) fn assert_in_order(figures: &Figures) {
    let Figures { min, p50, p95, p99, max, .. } = *figures;
    assert!(min <= p50 && p50 <= p95 && p95 <= p99 && p99 <= max, "not in order: {figures:?}");
    assert!(figures.errors <= figures.calls, "{figures:?}");
    assert_eq!(figures.errors, figures.client_errors + figures.server_errors);
    assert!(figures.panicked <= figures.server_errors, "{figures:?}");
    assert_eq!(figures.calls, figures.outcomes.iter().map(|&(_, count)| count).sum::<u64>());
    for rate in [figures.error_rate(), figures.client_error_rate(), figures.server_error_rate()] {
        assert!((0.0..=100.0).contains(&rate), "{rate} %");
    }
}
