//! A snapshot as plain parts, for formats that are written and read by hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::business::{MetricSnapshot, MetricState};
use crate::histogram::Histogram;
use crate::histogram::Layout;
use crate::labels::endpoint::{EndpointName, MAX_NAME_BYTES};
use crate::labels::outcome::{Granularity, Outcome, StatusGroup};
use crate::read::snapshot::{
    ConsumerSnapshot, EndpointSnapshot, Extremes, GroupSnapshot, Health, Snapshot, merge_groups,
};
use crate::record::cell::Bytes;
use crate::record::shard::distinct::Registers;

/// All that a [`Snapshot`] holds, to be written in a format of one's own, and what one is made of again.
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
    /// When it ends, by the wall clock.
    pub taken: SystemTime,
    /// Its length, by the monotonic clock.
    pub span: Duration,
    /// How many significant digits the histograms keep: 1, 2 or 3.
    pub significant_digits: u8,
    /// Which statuses share a histogram.
    pub granularity: Granularity,
    /// Those of which anything was counted, or where requests are under way.
    pub endpoints: Vec<EndpointParts>,
    /// The consumers that were seen in the span.
    pub consumers: Vec<ConsumerSnapshot>,
    /// The application's own metrics, by name.
    pub metrics: Vec<MetricParts>,
    /// Requests under way at the end of the span.
    pub in_flight: u64,
    /// Responses still open at the end of the span.
    pub open_streams: u64,
    /// How full the registry's tables are.
    pub health: Health,
}

/// What an [`EndpointSnapshot`] holds.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointParts {
    /// What the endpoint is called.
    pub name: Arc<EndpointName>,
    /// Requests under way there, where something says so.
    pub in_flight: u64,
    /// The figures by group of statuses.
    pub groups: Vec<GroupParts>,
}

/// What a [`GroupSnapshot`] holds. See there for units.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupParts {
    /// Which statuses are counted here.
    pub group: StatusGroup,
    /// How often which outcome occurred.
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
    /// Responses whose body broke off.
    pub truncated: u64,
    /// The durations.
    pub histogram: Histogram,
}

/// What a [`MetricSnapshot`] holds.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricParts {
    /// What the metric is called.
    pub name: Arc<str>,
    /// What is in it.
    pub state: MetricStateParts,
}

/// What is in a metric, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricStateParts {
    /// The count.
    Counter(u64),
    /// The number; finite.
    Gauge(f64),
    /// The times; `None` before the first one.
    Timer(Option<Box<GroupParts>>),
    /// Hits and misses.
    HitRatio {
        /// How often something was found.
        hits: u64,
        /// How often it was not.
        misses: u64,
    },
    /// The registers of a HyperLogLog for each of two days (UTC): [`UNIQUE_REGISTERS`] of them, or none where nothing was
    /// inserted.
    UniqueCount {
        /// Of the day on which the snapshot was taken.
        today: Vec<u8>,
        /// Of the day before.
        yesterday: Vec<u8>,
    },
}

/// How many registers count distinct values.
pub const UNIQUE_REGISTERS: usize = Registers::LEN;

/// Parts that are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// There is no such precision.
    #[error("digits is {0}; allowed: 1 to 3")]
    Digits(u8),
    /// A histogram has another precision than the snapshot.
    #[error("a histogram has {theirs} digits in a snapshot of {ours}")]
    OtherDigits {
        /// The snapshot's.
        ours: u8,
        /// The histogram's.
        theirs: u8,
    },
    /// A histogram has buckets that its precision does not have.
    #[error("there are buckets up to {end}; allowed: {allowed}")]
    Buckets {
        /// One past the last bucket.
        end: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// An outcome is counted in a group where its like is not.
    #[error("{outcome} is counted under {group:?}, which {granularity:?} does not do")]
    Group {
        /// The outcome.
        outcome: Outcome,
        /// Where it is counted.
        group: StatusGroup,
        /// Which outcomes are to share a histogram.
        granularity: Granularity,
    },
    /// A name is too long.
    #[error("a name has {0} bytes; allowed: {MAX_NAME_BYTES}")]
    Name(usize),
    /// A gauge is not a number that could be added to others.
    #[error("a gauge is not a finite number")]
    Gauge,
    /// The registers of a count of distinct values are none.
    #[error("{0}")]
    Registers(String),
}

impl Histogram {
    /// The index of the first bucket in use, and the counts from there to the last one; empty where there are none.
    ///
    /// Bucket 0 begins at 0 ns. With `d` digits, the first `2^(m+1)` buckets are 1 ns wide and each `2^m` after these twice
    /// as wide as the `2^m` before, where `m` is 4, 7 or 10 for 1, 2 or 3 digits.
    pub fn counts(&self) -> (usize, &[u64]) {
        self.dense()
    }

    /// A histogram of these buckets from the index `first` on: see [`Histogram::counts`].
    ///
    /// # Errors
    ///
    /// When there is no such precision, or no such buckets.
    pub fn from_buckets(digits: u8, first: usize, counts: &[u64]) -> Result<Self, PartsError> {
        let layout = Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let end = first.saturating_add(counts.len());
        if end > layout.buckets() {
            return Err(PartsError::Buckets { end, allowed: layout.buckets() });
        }
        Ok(Self::from_counts(layout, first, counts))
    }

    /// How many buckets a histogram of so many significant digits can have; `None` unless digits are 1, 2 or 3.
    pub const fn max_buckets(significant_digits: u8) -> Option<usize> {
        match Layout::for_digits(significant_digits) {
            Some(layout) => Some(layout.buckets()),
            None => None,
        }
    }

    /// The same durations to so many significant digits at most: what a histogram of that precision holds that was fed with the
    /// same values.
    ///
    /// # Errors
    ///
    /// When there is no such precision.
    pub fn limited_to_digits(self, digits: u8) -> Result<Self, PartsError> {
        let fewer = Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let own = self.layout();
        if fewer.buckets_per_octave() >= own.buckets_per_octave() {
            return Ok(self);
        }
        // A bucket lies in one of the wider ones as a whole: both begin at multiples of powers of two.
        let wider = |index: usize| fewer.index(own.lowest(index));
        let (first, counts) = self.counts();
        let mut sums =
            vec![0_u64; counts.len().checked_sub(1).map_or(0, |last| wider(first + last) - wider(first) + 1)];
        for (index, &count) in (first..).zip(counts) {
            let sum = &mut sums[wider(index) - wider(first)];
            *sum = sum.saturating_add(count);
        }
        Ok(Self::from_counts(fewer, wider(first), &sums))
    }
}

impl SnapshotParts {
    fn limit_digits(&mut self, digits: u8) -> Result<(), PartsError> {
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

impl Snapshot {
    /// What it holds, but for exemplars. What two later windows are told apart by is left out: a difference from what these parts make has
    /// minimum and maximum to within a bucket.
    pub fn to_parts(&self) -> SnapshotParts {
        let endpoints = self.endpoints().map(|endpoint| EndpointParts {
            name: Arc::clone(&endpoint.name),
            in_flight: endpoint.in_flight,
            groups: endpoint.groups.iter().map(GroupParts::of).collect(),
        });
        SnapshotParts {
            since: self.since,
            taken: self.taken,
            span: self.span,
            significant_digits: self.significant_digits,
            granularity: self.granularity,
            endpoints: endpoints.collect(),
            consumers: self.consumers.clone(),
            metrics: self.metrics.iter().map(MetricParts::of).collect(),
            in_flight: self.in_flight,
            open_streams: self.open_streams,
            health: self.health,
        }
    }

    /// The snapshot that has these parts. Minimum and maximum are moved into the outermost buckets in use.
    ///
    /// # Errors
    ///
    /// When the parts do not fit each other, or are out of their range.
    pub fn from_parts(parts: SnapshotParts) -> Result<Self, PartsError> {
        let (digits, granularity) = (parts.significant_digits, parts.granularity);
        Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let endpoints = parts.endpoints.into_iter().map(|EndpointParts { name, in_flight, groups }| {
            check_name(&name.method)?;
            check_name(&name.route)?;
            let groups =
                groups.into_iter().map(|group| group.build(digits, granularity)).collect::<Result<_, _>>()?;
            Ok(Arc::new(EndpointSnapshot { name, groups, in_flight }))
        });
        let endpoints = endpoints.collect::<Result<_, PartsError>>()?;
        parts.consumers.iter().try_for_each(|consumer| check_name(&consumer.name))?;
        let metrics = parts.metrics.into_iter().map(|metric| metric.build(digits));
        Ok(Self {
            since: parts.since,
            taken: parts.taken,
            span: parts.span,
            significant_digits: digits,
            granularity,
            endpoints,
            consumers: parts.consumers,
            metrics: metrics.collect::<Result<_, _>>()?,
            exemplars: Vec::new(),
            in_flight: parts.in_flight,
            open_streams: parts.open_streams,
            health: parts.health,
            opens: None,
        })
    }

    /// The same figures to so many significant digits at most, without exemplars: see [`Histogram::limited_to_digits`].
    ///
    /// # Errors
    ///
    /// When there is no such precision.
    pub fn limited_to_digits(self, digits: u8) -> Result<Self, PartsError> {
        Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        if digits >= self.significant_digits {
            return Ok(self);
        }
        let mut parts = self.to_parts();
        parts.limit_digits(digits)?;
        Self::from_parts(parts)
    }

    /// The same figures with all endpoints as one, without consumers, exemplars and the application's own metrics.
    pub fn total(&self) -> Self {
        let mut groups = Vec::new();
        for endpoint in self.endpoints() {
            merge_groups(&mut groups, &endpoint.groups)
                .expect("the figures of one snapshot have one precision");
        }
        let name = Arc::new(EndpointName { method: "_ALL".into(), route: "_all".into() });
        let total = EndpointSnapshot { name, groups, in_flight: 0 };
        Self {
            endpoints: vec![Arc::new(total)],
            consumers: Vec::new(),
            metrics: Vec::new(),
            exemplars: Vec::new(),
            ..*self
        }
    }
}

fn check_name(name: &str) -> Result<(), PartsError> {
    if name.len() > MAX_NAME_BYTES { Err(PartsError::Name(name.len())) } else { Ok(()) }
}

impl GroupParts {
    fn of(group: &GroupSnapshot) -> Self {
        Self {
            group: group.group,
            outcomes: group.counts.clone(),
            sum_nanos: group.sum_nanos,
            min_nanos: group.extremes.min,
            max_nanos: group.extremes.max,
            clamped: group.clamped,
            request_bytes: group.bytes.request,
            response_bytes: group.bytes.response,
            truncated: group.truncated,
            histogram: group.histogram.clone(),
        }
    }

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
        })
    }
}

impl MetricParts {
    fn of(metric: &MetricSnapshot) -> Self {
        let state = match &metric.state {
            MetricState::Counter(count) => MetricStateParts::Counter(*count),
            MetricState::Gauge(value) => MetricStateParts::Gauge(*value),
            MetricState::Timer(times) => {
                MetricStateParts::Timer(times.as_deref().map(|times| Box::new(GroupParts::of(times))))
            }
            &MetricState::HitRatio { hits, misses } => MetricStateParts::HitRatio { hits, misses },
            MetricState::UniqueCount { today, yesterday } => MetricStateParts::UniqueCount {
                today: today.clone().into(),
                yesterday: yesterday.clone().into(),
            },
        };
        Self { name: Arc::clone(&metric.name), state }
    }

    fn build(self, digits: u8) -> Result<MetricSnapshot, PartsError> {
        check_name(&self.name)?;
        let registers = |registers: Vec<u8>| Registers::try_from(registers).map_err(PartsError::Registers);
        let state = match self.state {
            MetricStateParts::Counter(count) => MetricState::Counter(count),
            MetricStateParts::Gauge(value) if !value.is_finite() => return Err(PartsError::Gauge),
            MetricStateParts::Gauge(value) => MetricState::Gauge(value),
            // Timers are in a registry of their own, by class.
            MetricStateParts::Timer(times) => MetricState::Timer(
                times.map(|times| times.build(digits, Granularity::Class)).transpose()?.map(Box::new),
            ),
            MetricStateParts::HitRatio { hits, misses } => MetricState::HitRatio { hits, misses },
            MetricStateParts::UniqueCount { today, yesterday } => {
                MetricState::UniqueCount { today: registers(today)?, yesterday: registers(yesterday)? }
            }
        };
        Ok(MetricSnapshot { name: self.name, state })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::Registry;

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
    fn parts_make_the_snapshot_that_they_are_of() {
        let parts = parts();
        assert_eq!((parts.endpoints.len(), parts.metrics.len()), (2, 4));
        let read = Snapshot::from_parts(parts.clone()).unwrap();
        assert_eq!(read.to_parts(), parts);
        assert_eq!(read.summary().total.calls, 3);
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
        fn with_fewer_digits_a_histogram_is_one_that_was_fed_with_fewer(
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
    fn parts_that_do_not_fit_are_refused_with_what_is_allowed() {
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
        let metric = |state| MetricParts { name: "x".into(), state };
        assert_eq!(
            refused(|p| p
                .metrics
                .push(MetricParts { name: "x".into(), state: MetricStateParts::Gauge(f64::NAN) })),
            PartsError::Gauge
        );
        let mut short = parts();
        short.metrics.push(metric(MetricStateParts::UniqueCount { today: vec![1], yesterday: Vec::new() }));
        assert!(matches!(Snapshot::from_parts(short), Err(PartsError::Registers(_))));
        assert_eq!(
            Histogram::from_buckets(2, 3_839, &[1, 1]).unwrap_err(),
            PartsError::Buckets { end: 3_841, allowed: 3_840 }
        );
    }
}
