//! A snapshot as plain parts, for hand-written formats; and the checks of such parts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::consumers::ConsumerSnapshot;
use super::endpoint::EndpointSnapshot;
use super::extremes::Extremes;
use super::group::GroupSnapshot;
use super::health::Health;
use super::metrics::{MetricSnapshot, MetricState};
use super::parts_error::PartsError;
use crate::bytes::Bytes;
use crate::histogram::{Histogram, Layout};
use crate::hyperloglog::{REGISTERS, Registers, day_of};
use crate::labels::endpoint::{EndpointName, MAX_NAME_BYTES};
use crate::labels::label_set::LabelSet;
use crate::labels::metric_kind::MetricValue;
use crate::labels::outcome::{Granularity, Outcome, StatusGroup};

/// The parts of a [`Snapshot`](crate::Snapshot), to write one in another format, and to build one again.
///
/// ```
/// use metrics_core::{Registry, Snapshot};
/// let registry = Registry::new();
/// registry.record_nanos(registry.endpoint("GET", "/"), 200, 350_000);
/// let parts = registry.snapshot().to_parts();
/// let read = Snapshot::from_parts(parts.clone()).unwrap();
/// assert_eq!(read.to_parts(), parts);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotParts {
    /// When the span begins, by the wall clock.
    pub since: SystemTime,
    /// When the span ends, by the wall clock.
    pub taken: SystemTime,
    /// The length of the span, by the monotonic clock.
    pub span: Duration,
    /// The number of significant digits of the histograms: 1, 2 or 3.
    pub significant_digits: u8,
    /// Which statuses share a histogram.
    pub granularity: Granularity,
    /// The endpoints with counts in the span or with requests in flight.
    pub endpoints: Vec<EndpointParts>,
    /// The consumers that were seen in the span.
    pub consumers: Vec<ConsumerSnapshot>,
    /// The series of the application's own metrics, in any order.
    pub metrics: Vec<MetricParts>,
    /// Requests in flight at the end of the span.
    pub in_flight: u64,
    /// Responses still open at the end of the span.
    pub open_streams: u64,
    /// How full the registry's tables are.
    pub health: Health,
}

/// The parts of an [`EndpointSnapshot`].
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointParts {
    /// The endpoint's name.
    pub name: Arc<EndpointName>,
    /// Requests in flight at the endpoint, if the service calls [`Recorder::enter`](crate::Recorder::enter).
    pub in_flight: u64,
    /// The figures by group of statuses.
    pub groups: Vec<GroupParts>,
}

/// The parts of a [`GroupSnapshot`].
#[derive(Debug, Clone, PartialEq)]
pub struct GroupParts {
    /// The group of statuses that are counted here.
    pub group: StatusGroup,
    /// How often each outcome occurred.
    pub outcomes: Vec<(Outcome, u64)>,
    /// The sum of all durations, in nanoseconds.
    pub sum_nanos: u64,
    /// The shortest duration, in nanoseconds.
    pub min_nanos: u64,
    /// The longest duration, in nanoseconds.
    pub max_nanos: u64,
    /// Durations that share the last bucket.
    pub clamped: u64,
    /// Bytes of the requests' bodies.
    pub request_bytes: u64,
    /// Bytes of the responses' bodies.
    pub response_bytes: u64,
    /// Truncated responses.
    pub truncated: u64,
    /// The durations.
    pub histogram: Histogram,
}

/// The parts of a [`MetricSnapshot`]: one series of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricParts {
    /// The metric's name.
    pub name: Arc<str>,
    /// The labels that distinguish the series from others of the metric.
    pub labels: LabelSet,
    /// The state of the series.
    pub state: MetricStateParts,
}

/// The state of a metric. A timer's durations are `None` before the first one.
///
/// Distinct values are the registers of a HyperLogLog: [`UNIQUE_REGISTERS`] of them, or none if nothing was inserted.
pub type MetricStateParts = MetricValue<Option<Box<GroupParts>>, Vec<u8>>;

/// How many registers count the distinct values of a day.
pub const UNIQUE_REGISTERS: usize = REGISTERS;

impl SnapshotParts {
    /// Moves the end of the span to `now` if that is on a later day (UTC), so that the distinct values of "today" are
    /// those of the day of `now`.
    pub fn age_to(&mut self, now: SystemTime) {
        let days = day_of(now).saturating_sub(day_of(self.taken));
        if days > 0 {
            self.metrics.iter_mut().for_each(|metric| metric.state.age(days));
            self.taken = now;
        }
    }

    /// Rounds all durations to at most `digits` significant digits.
    pub(super) fn limit_digits(&mut self, digits: u8) -> Result<(), PartsError> {
        self.significant_digits = self.significant_digits.min(digits);
        let of_endpoints = self.endpoints.iter_mut().flat_map(|endpoint| &mut endpoint.groups);
        let of_metrics = self.metrics.iter_mut().filter_map(|metric| match &mut metric.state {
            MetricStateParts::Timer(Some(times)) => Some(&mut **times),
            _ => None,
        });
        for GroupParts { histogram, .. } in of_endpoints.chain(of_metrics) {
            let whole = std::mem::replace(histogram, Histogram::empty(Layout::ONE_DIGIT));
            *histogram = whole.limited_to_digits(digits)?;
        }
        Ok(())
    }
}

pub(super) fn check_name(name: &str) -> Result<(), PartsError> {
    if name.len() > MAX_NAME_BYTES { Err(PartsError::Name(name.len())) } else { Ok(()) }
}

impl EndpointParts {
    pub(super) fn build(self, digits: u8, granularity: Granularity) -> Result<EndpointSnapshot, PartsError> {
        let Self { name, in_flight, groups } = self;
        check_name(&name.method)?;
        check_name(&name.route)?;
        let groups =
            groups.into_iter().map(|group| group.build(digits, granularity)).collect::<Result<_, _>>()?;
        Ok(EndpointSnapshot { name, groups, in_flight })
    }
}

impl From<EndpointSnapshot> for EndpointParts {
    fn from(endpoint: EndpointSnapshot) -> Self {
        let EndpointSnapshot { name, groups, in_flight } = endpoint;
        Self { name, in_flight, groups: groups.into_iter().map(GroupParts::from).collect() }
    }
}

impl From<GroupSnapshot> for GroupParts {
    fn from(group: GroupSnapshot) -> Self {
        Self {
            group: group.group,
            outcomes: group.counts,
            sum_nanos: group.sum_nanos,
            min_nanos: group.extremes.min,
            max_nanos: group.extremes.max,
            clamped: group.clamped,
            request_bytes: group.bytes.request,
            response_bytes: group.bytes.response,
            truncated: group.truncated,
            histogram: group.histogram,
        }
    }
}

impl GroupParts {
    fn build(self, digits: u8, granularity: Granularity) -> Result<GroupSnapshot, PartsError> {
        let theirs = self.histogram.significant_digits();
        if theirs != digits {
            return Err(PartsError::OtherDigits { ours: digits, theirs });
        }
        let group = self.group;
        let misplaced =
            self.outcomes.iter().find(|(outcome, _)| StatusGroup::of(granularity, *outcome) != group);
        if let Some(&(outcome, _)) = misplaced {
            return Err(PartsError::Group { outcome, group, granularity });
        }
        let extremes = Extremes { min: self.min_nanos, max: self.max_nanos };
        Ok(GroupSnapshot {
            group,
            counts: self.outcomes,
            sum_nanos: self.sum_nanos,
            clamped: self.clamped,
            bytes: Bytes { request: self.request_bytes, response: self.response_bytes },
            truncated: self.truncated,
            extremes: extremes.fitted(&self.histogram, self.clamped),
            histogram: self.histogram,
            current: None,
            as_read: Extremes::NONE,
            version: None,
        })
    }
}

impl From<MetricSnapshot> for MetricParts {
    fn from(metric: MetricSnapshot) -> Self {
        let times = |times: Option<Box<GroupSnapshot>>| times.map(|times| Box::new(GroupParts::from(*times)));
        Self { name: metric.name, labels: metric.labels, state: metric.state.map(times, Vec::from) }
    }
}

impl MetricParts {
    pub(super) fn build(self, digits: u8) -> Result<MetricSnapshot, PartsError> {
        check_name(&self.name)?;
        if let MetricStateParts::Gauge(value) = self.state
            && !value.is_finite()
        {
            return Err(PartsError::Gauge);
        }
        // Timers have shards of their own, in which statuses are grouped by class.
        let times = |times: Option<Box<GroupParts>>| {
            times.map(|times| times.build(digits, Granularity::Class).map(Box::new)).transpose()
        };
        let registers = |registers| Registers::try_from(registers).map_err(PartsError::Registers);
        let state: MetricState = self.state.try_map(times, registers)?;
        Ok(MetricSnapshot { name: self.name, labels: self.labels, state })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::read::snapshot::Snapshot;
    use crate::read::summary::metrics::MetricFigures;
    use crate::registry::Registry;

    fn parts() -> SnapshotParts {
        let registry = Registry::new();
        registry.record_nanos(registry.endpoint("GET", "/a"), 200, 1_000);
        registry.record_nanos(registry.endpoint("GET", "/a"), 500, 7);
        registry.record_nanos(registry.endpoint("PUT", "/b"), 404, u64::MAX);
        registry.unique("users").unwrap().insert("ann");
        registry.timer("db").unwrap().record(Duration::from_micros(3));
        registry.timer("never").unwrap();
        registry.gauge("depth").unwrap().set(-1.5);
        registry.snapshot().to_parts()
    }

    #[test]
    fn parts_build_the_snapshot_that_they_come_from() {
        let parts = parts();
        assert_eq!((parts.endpoints.len(), parts.metrics.len()), (2, 4));
        let read = Snapshot::from_parts(parts.clone()).unwrap();
        assert_eq!(read.to_parts(), parts);
        assert_eq!(read.summary().total.calls, 3);
    }

    #[test]
    fn fewer_digits_are_those_of_timers_too() {
        let times = [1_111, 123_456, 98_765_432].map(Duration::from_nanos);
        let recorded = |digits| {
            let registry = Registry::builder().significant_digits(digits).build().unwrap();
            let (endpoint, timer) = (registry.endpoint("GET", "/"), registry.timer("db").unwrap());
            for time in times {
                registry.record(endpoint, 200, time);
                timer.record(time);
            }
            SnapshotParts {
                since: UNIX_EPOCH,
                taken: UNIX_EPOCH,
                span: Duration::ZERO,
                ..registry.snapshot().to_parts()
            }
        };
        for digits in [1, 2] {
            let limited = Snapshot::from_parts(recorded(3)).unwrap().limited_to_digits(digits).unwrap();
            assert_eq!(limited.to_parts(), recorded(digits));
        }
    }

    #[test]
    fn a_name_longer_than_a_registry_keeps_is_refused() {
        let named = |bytes: usize| {
            let name = Arc::new(EndpointName { method: "GET".into(), route: "x".repeat(bytes).into() });
            let mut parts = parts();
            parts.endpoints[0].name = name;
            Snapshot::from_parts(parts).map(|snapshot| snapshot.summary().total.calls)
        };
        assert_eq!(named(MAX_NAME_BYTES), Ok(3));
        assert_eq!(named(MAX_NAME_BYTES + 1), Err(PartsError::Name(MAX_NAME_BYTES + 1)));
    }

    #[test]
    fn a_day_later_distinct_values_of_today_are_those_of_yesterday() {
        let users = |today: u64, yesterday: u64| {
            let registers = |count| (0..UNIQUE_REGISTERS).map(|at| u8::from((at as u64) < count)).collect();
            let state =
                MetricStateParts::UniqueCount { today: registers(today), yesterday: registers(yesterday) };
            MetricParts { name: "users".into(), labels: LabelSet::default(), state }
        };
        let day = Duration::from_secs(86_400);
        let aged = |by| {
            let mut parts = SnapshotParts { taken: UNIX_EPOCH + day, metrics: vec![users(5, 3)], ..parts() };
            parts.age_to(UNIX_EPOCH + by);
            (parts.taken, Snapshot::from_parts(parts).unwrap().summary().business[0].figures.clone())
        };
        let figures = |today, yesterday| MetricFigures::UniqueCount { today, yesterday };
        assert_eq!(aged(Duration::ZERO), (UNIX_EPOCH + day, figures(5, 3)));
        assert_eq!(aged(day * 2 - Duration::from_nanos(1)), (UNIX_EPOCH + day, figures(5, 3)));
        assert_eq!(aged(day * 2), (UNIX_EPOCH + day * 2, figures(0, 5)));
        assert_eq!(aged(day * 3), (UNIX_EPOCH + day * 3, figures(0, 0)));
    }

    #[test]
    fn the_total_has_the_figures_of_all_endpoints() {
        let snapshot = Snapshot::from_parts(parts()).unwrap();
        let total = snapshot.total();
        assert_eq!(total.endpoints().count(), 1);
        assert_eq!(total.summary().total, snapshot.summary().total);
    }

    proptest! {
        #[test]
        fn with_fewer_digits_a_histogram_is_as_if_recorded_with_fewer(
            nanos in prop::collection::vec((0_u32..40, any::<u64>()), 0..100)
        ) {
            let fed = |digits| {
                let registry = Registry::builder().significant_digits(digits).build().unwrap();
                let endpoint = registry.endpoint("GET", "/");
                for &(bits, nanos) in &nanos {
                    registry.record_nanos(endpoint, 200, nanos & ((1 << bits) - 1));
                }
                registry.timer("db").unwrap().record(Duration::from_micros(3));
                Snapshot { since: UNIX_EPOCH, taken: UNIX_EPOCH, span: Duration::ZERO, ..registry.snapshot() }
            };
            for (from, to) in [(3, 2), (3, 1), (2, 1), (2, 3), (1, 1)] {
                let limited = fed(from).limited_to_digits(to).unwrap();
                prop_assert_eq!(limited.to_parts(), fed(from.min(to)).to_parts());
            }
        }
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused_with_the_reason() {
        let refused = |change: fn(&mut SnapshotParts)| {
            let mut parts = parts();
            change(&mut parts);
            Snapshot::from_parts(parts).unwrap_err()
        };
        assert_eq!(refused(|p| p.significant_digits = 4), PartsError::Digits(4));
        let snapshot = Snapshot::from_parts(parts()).unwrap();
        assert_eq!(snapshot.limited_to_digits(0).unwrap_err(), PartsError::Digits(0));
        let digits = PartsError::OtherDigits { ours: 3, theirs: 2 };
        assert_eq!(refused(|p| p.significant_digits = 3), digits);
        let exact = refused(|p| p.granularity = Granularity::Exact);
        assert!(matches!(exact, PartsError::Group { .. }), "{exact}");
        let metric = |state| MetricParts { name: "x".into(), labels: LabelSet::default(), state };
        assert_eq!(refused(|p| p.metrics[0].state = MetricStateParts::Gauge(f64::NAN)), PartsError::Gauge);
        let mut short = parts();
        short.metrics.push(metric(MetricStateParts::UniqueCount { today: vec![1], yesterday: Vec::new() }));
        assert!(matches!(Snapshot::from_parts(short), Err(PartsError::Registers(_))));
        assert_eq!(
            Histogram::from_buckets(2, 3_839, &[1, 1]).unwrap_err(),
            PartsError::Buckets { end: 3_841, allowed: 3_840 }
        );
    }
}
