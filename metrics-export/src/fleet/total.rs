//! The running sum of the figures of several instances.

use std::collections::HashMap;
use std::sync::Arc;

use metrics_core::{
    EndpointName, Granularity, Histogram, MetricKind, MetricParts, MetricReading, MetricStateParts,
    PartsError, Snapshot, SnapshotParts, StatusGroup, UNIQUE_REGISTERS,
};

use super::consumers::Consumers;
use super::decoded::ReadEndpoint;
use super::histograms::ReadGroup;
use super::label_sets;
use super::sums::{BucketCounts, BucketRange, EndpointSum, joined};

/// The most endpoints of a fleet.
const MAX_ENDPOINTS: usize = 20_000;

/// The most groups of statuses of all endpoints of a fleet; each takes about 300 bytes.
const MAX_GROUPS: usize = 200_000;

/// The most buckets of all endpoints and timers of a fleet, from the first to the last one in use of each histogram:
/// 128 MiB. Counts of distinct values take as many as their registers fill.
const MAX_BUCKETS: usize = 16 << 20;

/// The most metrics of the application's own in a fleet, without their sets of labels.
const MAX_METRICS: usize = 2_000;

/// The sum of figures, with the precision of the least precise of them and the granularity of the coarsest.
///
/// Histograms are summed as plain lists of counts, and become histograms only in [`Total::snapshot`]. Making a
/// histogram of each report would double the cost of adding it.
#[derive(Debug, Clone)]
pub(super) struct Total {
    digits: u8,
    granularity: Granularity,
    /// All figures except those of consumers and endpoints.
    rest: Snapshot,
    consumers: Consumers,
    endpoints: Vec<EndpointSum>,
    /// The place of each endpoint in `endpoints`.
    places: HashMap<Arc<EndpointName>, usize>,
    size: Size,
}

/// How much memory a sum takes, by what it holds.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    endpoints: usize,
    groups: usize,
    buckets: usize,
    metrics: Metrics,
}

/// How many metrics of the application's own a sum has, and the memory of their timers, counts of distinct values and
/// sets of labels, in buckets.
#[derive(Debug, Clone, Copy, Default)]
struct Metrics {
    number: usize,
    buckets: usize,
}

/// What a set of labels takes beside its counts, in buckets of eight bytes: its text, figures and places in tables.
const BUCKETS_OF_LABELS: usize = 80;

/// The registers of a count of distinct values, a byte each, of two days.
const REGISTERS: BucketRange = 0..2 * UNIQUE_REGISTERS / size_of::<u64>();

impl Total {
    /// Begins a sum with the figures of one instance.
    pub(super) fn new(mut rest: SnapshotParts, endpoints: Vec<ReadEndpoint<'_>>) -> Result<Self, String> {
        let (digits, granularity) = (rest.significant_digits, rest.granularity);
        let mut consumers = Consumers::default();
        rest.consumers.drain(..).for_each(|consumer| consumers.add(consumer));
        label_sets::limit(&[], &mut rest.metrics, &mut rest.health);
        let text = |error: PartsError| error.to_string();
        let rest = Snapshot::from_parts(rest).map_err(text)?;
        let (places, size) = (HashMap::new(), Size::default());
        let mut total = Self { digits, granularity, rest, consumers, endpoints: Vec::new(), places, size };
        total.size = total.size_with(sizes(&endpoints))?;
        total.size.metrics = total.metrics_with(&[]);
        total.add_endpoints(endpoints, digits).map_err(text)?;
        Ok(total)
    }

    /// Adds the figures of another instance: all of them, or none if they do not fit.
    pub(super) fn add(
        &mut self,
        mut rest: SnapshotParts,
        mut endpoints: Vec<ReadEndpoint<'_>>,
    ) -> Result<(), String> {
        label_sets::limit(self.rest.metrics(), &mut rest.metrics, &mut rest.health);
        let metrics = self.metrics_with(&rest.metrics);
        check("metrics", metrics.number, MAX_METRICS)?;
        let text = |error: PartsError| error.to_string();
        if rest.granularity < self.granularity {
            self.coarsen(rest.granularity)?;
        } else if rest.granularity > self.granularity {
            for group in endpoints.iter_mut().flat_map(|endpoint| &mut endpoint.groups) {
                group.figures.group = group.figures.group.coarsened(self.granularity);
            }
            rest.granularity = self.granularity;
        }
        let digits = rest.significant_digits;
        let is_as_precise = digits == self.digits;
        let size = self.size_with(sizes(&endpoints))?;
        check("buckets", size.buckets + metrics.buckets, MAX_BUCKETS)?;
        let consumers = std::mem::take(&mut rest.consumers);
        let rest = Snapshot::from_parts(rest).and_then(|rest| rest.limited_to_digits(self.digits));
        let rest = rest.map_err(text)?;
        self.limit_digits(digits).map_err(text)?;
        self.rest.merge(&rest).map_err(|error| error.to_string())?;
        consumers.into_iter().for_each(|consumer| self.consumers.add(consumer));
        self.add_endpoints(endpoints, digits).map_err(text)?;
        // With another precision there are other buckets than `size_with` counted.
        self.size = if is_as_precise { size } else { self.measured(self.granularity) };
        // With fewer digits, timers have fewer buckets.
        self.size.metrics = metrics;
        Ok(())
    }

    /// Adds another sum: all of it, or nothing if it does not fit.
    #[cfg(feature = "redis")]
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), String> {
        let text = |error: PartsError| error.to_string();
        let mut rest = other.rest.to_parts();
        label_sets::limit(self.rest.metrics(), &mut rest.metrics, &mut rest.health);
        let metrics = self.metrics_with(&rest.metrics);
        check("metrics", metrics.number, MAX_METRICS)?;
        if other.granularity < self.granularity {
            self.coarsen(other.granularity)?;
        }
        let size = self.size_with(other.endpoints.iter().map(|endpoint| {
            let groups = endpoint.groups.iter().map(|group| {
                let group_of_ours = group.figures.group.coarsened(self.granularity);
                (group_of_ours, group.counts.first, group.counts.counts.len())
            });
            (&endpoint.name, groups)
        }))?;
        check("buckets", size.buckets + metrics.buckets, MAX_BUCKETS)?;
        self.limit_digits(other.digits).map_err(text)?;
        rest.granularity = self.granularity;
        let rest = Snapshot::from_parts(rest).and_then(|rest| rest.limited_to_digits(self.digits));
        self.rest.merge(&rest.map_err(text)?).map_err(|error| error.to_string())?;
        self.consumers.merge(&other.consumers);
        for EndpointSum { name, in_flight, groups } in &other.endpoints {
            let ours = self.endpoint(name);
            let (ours, digits, granularity) = (&mut self.endpoints[ours], self.digits, self.granularity);
            ours.in_flight = ours.in_flight.saturating_add(*in_flight);
            for group in groups {
                let (mut figures, counts) = (group.figures.clone(), &group.counts);
                figures.group = figures.group.coarsened(granularity);
                let sum = ours.group(figures);
                if other.digits > digits {
                    let limited = counts.limited(other.digits, digits).map_err(text)?;
                    sum.counts.add(limited.first, &limited.counts);
                } else {
                    sum.counts.add(counts.first, &counts.counts);
                }
            }
        }
        self.size = Size { metrics, ..self.measured(self.granularity) };
        Ok(())
    }

    /// About how much memory the sum takes, in buckets of eight bytes.
    #[cfg(feature = "redis")]
    pub(super) fn weight(&self) -> usize {
        let Size { endpoints, groups, buckets, metrics } = self.size;
        // What each takes beside its counts: names, figures and places in tables.
        let named = [(endpoints, 80), (groups, 40), (metrics.number, 80), (self.consumers.len(), 30)];
        buckets + metrics.buckets + named.into_iter().map(|(number, each)| number * each).sum::<usize>()
    }

    /// The place of an endpoint, which is made if it is not there.
    fn endpoint(&mut self, name: &Arc<EndpointName>) -> usize {
        *self.places.entry(Arc::clone(name)).or_insert_with_key(|name| {
            self.endpoints.push(EndpointSum { name: Arc::clone(name), in_flight: 0, groups: Vec::new() });
            self.endpoints.len() - 1
        })
    }

    /// Its significant digits, and which statuses share a histogram.
    pub(super) fn form(&self) -> (u8, Granularity) {
        (self.digits, self.granularity)
    }

    /// Names of metrics that are of several kinds at different instances, with their kinds.
    pub(super) fn clashes(&self) -> Vec<(&str, Vec<MetricKind>)> {
        // They are sorted by name and kind.
        let runs = self.rest.metrics().chunk_by(|one, other| one.name() == other.name());
        let kinds = runs.map(|run| {
            let metrics = run.chunk_by(|one, other| one.kind() == other.kind());
            (run[0].name(), metrics.map(|metric| metric[0].kind()).collect::<Vec<_>>())
        });
        kinds.filter(|(_, kinds)| kinds.len() > 1).collect()
    }

    /// Adds up the groups of statuses that share a coarser group, unless that takes too much room.
    fn coarsen(&mut self, granularity: Granularity) -> Result<(), String> {
        let size = self.measured(granularity);
        check("buckets", size.buckets, MAX_BUCKETS)?;
        let parts = SnapshotParts { granularity, ..self.rest.to_parts() };
        self.rest = Snapshot::from_parts(parts).map_err(|error| error.to_string())?;
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.coarsen(granularity));
        (self.granularity, self.size) = (granularity, size);
        Ok(())
    }

    /// How large the sum is with this granularity.
    fn measured(&self, granularity: Granularity) -> Size {
        let ranges = || self.endpoints.iter().flat_map(|endpoint| endpoint.coarsened(granularity));
        Size {
            endpoints: self.endpoints.len(),
            groups: ranges().count(),
            buckets: ranges().map(|(_, range)| range.len()).sum(),
            metrics: self.size.metrics,
        }
    }

    /// How many metrics of the application's own the sum has with these added.
    fn metrics_with(&self, more: &[MetricParts]) -> Metrics {
        let range = |histogram: &Histogram| {
            let (first, counts) = histogram.counts();
            first..first + counts.len()
        };
        let ours = self.rest.metrics().iter().map(|metric| {
            let buckets = match metric.reading() {
                MetricReading::Timer(Some(times)) => range(times.histogram()),
                MetricReading::UniqueCount { .. } => REGISTERS,
                _ => 0..0,
            };
            ((metric.name(), metric.kind(), metric.labels()), buckets)
        });
        let theirs = more.iter().map(|metric| {
            let buckets = match &metric.state {
                MetricStateParts::Timer(Some(times)) => range(&times.histogram),
                MetricStateParts::UniqueCount { .. } => REGISTERS,
                _ => 0..0,
            };
            ((&*metric.name, metric.state.kind(), &metric.labels), buckets)
        });
        let mut all: HashMap<_, BucketRange> = HashMap::new();
        for (series, buckets) in ours.chain(theirs) {
            let known = all.entry(series).or_default();
            *known = joined(known, &buckets);
        }
        let labelled = all.keys().filter(|(_, _, labels)| !labels.is_empty()).count();
        let counted: usize = all.values().map(ExactSizeIterator::len).sum();
        Metrics { number: all.len() - labelled, buckets: counted + labelled * BUCKETS_OF_LABELS }
    }

    /// How large the sum is at most with these endpoints added. Each endpoint occurs once, with its groups, their first
    /// buckets and how many they have.
    fn size_with<'a>(
        &self,
        endpoints: impl Iterator<
            Item = (&'a Arc<EndpointName>, impl Iterator<Item = (StatusGroup, usize, usize)>),
        >,
    ) -> Result<Size, String> {
        let mut size = self.size;
        for (name, groups) in endpoints {
            let place = self.places.get(name);
            size.endpoints += usize::from(place.is_none());
            let ours = place.map_or(&[][..], |&place| &self.endpoints[place].groups);
            for (group, first, length) in groups {
                let known = ours.iter().find(|ours| ours.figures.group == group);
                size.groups += usize::from(known.is_none());
                let ours = known.map_or(const { &BucketCounts::EMPTY }, |ours| &ours.counts);
                size.buckets += ours.growth(first, length);
            }
        }
        check("endpoints", size.endpoints, MAX_ENDPOINTS)?;
        check("groups", size.groups, MAX_GROUPS)?;
        check("buckets", size.buckets, MAX_BUCKETS)?;
        Ok(size)
    }

    /// Returns all figures.
    pub(super) fn snapshot(&self) -> Snapshot {
        let endpoints = self.endpoints.iter().map(|endpoint| endpoint.parts(self.digits));
        let all = endpoints.collect::<Result<_, PartsError>>().and_then(|endpoints| {
            Snapshot::from_parts(SnapshotParts { endpoints, ..self.without_endpoints() })
        });
        all.expect("each part was checked as it was read, and sums stay in range")
    }

    /// Returns all figures except those of endpoints.
    pub(super) fn without_endpoints(&self) -> SnapshotParts {
        let mut parts = self.rest.to_parts();
        parts.consumers = self.consumers.all();
        parts.health.consumers_refused =
            parts.health.consumers_refused.saturating_add(self.consumers.refused());
        parts
    }

    fn add_endpoints(&mut self, endpoints: Vec<ReadEndpoint<'_>>, digits: u8) -> Result<(), PartsError> {
        for ReadEndpoint { name, in_flight, groups } in endpoints {
            let place = self.endpoint(&name);
            let ours = &mut self.endpoints[place];
            ours.in_flight = ours.in_flight.saturating_add(in_flight);
            for ReadGroup { figures, first, counts } in groups {
                ours.group(figures).counts.add_limited(first, &counts, digits, self.digits)?;
            }
        }
        Ok(())
    }

    /// Reduces the precision to `digits` significant digits, if it is higher.
    fn limit_digits(&mut self, digits: u8) -> Result<(), PartsError> {
        if digits >= self.digits {
            return Ok(());
        }
        self.rest = self.rest.clone().limited_to_digits(digits)?;
        let empty = Histogram::from_buckets(digits, 0, &[])?;
        for group in self.endpoints.iter_mut().flat_map(|endpoint| &mut endpoint.groups) {
            group.counts = group.counts.limited(self.digits, digits)?;
            group.figures.histogram = empty.clone();
        }
        self.digits = digits;
        Ok(())
    }
}

/// The names of endpoints, their groups, and the buckets of these.
fn sizes<'a>(
    endpoints: &'a [ReadEndpoint<'_>],
) -> impl Iterator<Item = (&'a Arc<EndpointName>, impl Iterator<Item = (StatusGroup, usize, usize)>)> {
    endpoints.iter().map(|ReadEndpoint { name, groups, .. }| {
        (name, groups.iter().map(|group| (group.figures.group, group.first, group.counts.length())))
    })
}

fn check(what: &str, wanted: usize, allowed: usize) -> Result<(), String> {
    if wanted > allowed {
        return Err(format!("the fleet would have {wanted} {what}; allowed: {allowed}"));
    }
    Ok(())
}
