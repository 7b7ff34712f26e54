//! The merged, immutable state of a registry: plain numbers that can be kept, sent, added and subtracted.

pub(crate) mod metrics;
pub(crate) mod parts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::business::{MetricSnapshot, merge_metrics, metrics_since};
use crate::events::exemplar::Exemplar;
use crate::histogram::Layout;
use crate::histogram::{Histogram, Sum};
use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::{Granularity, Outcome, StatusGroup};
use crate::read::merge_error::MergeError;
use crate::record::cell::Bytes;

/// All figures of a registry over a span of time: since its start, or the difference of two such states.
///
/// Endpoints that did not change between two snapshots are shared by them, so keeping some costs little.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Snapshot {
    pub(crate) since: SystemTime,
    pub(crate) taken: SystemTime,
    pub(crate) span: Duration,
    pub(crate) significant_digits: u8,
    pub(crate) granularity: Granularity,
    /// In the order of their rows, including those that were never called.
    pub(crate) endpoints: Vec<Arc<EndpointSnapshot>>,
    pub(crate) consumers: Vec<ConsumerSnapshot>,
    /// The application's own, by name.
    pub(crate) metrics: Vec<MetricSnapshot>,
    /// At most one an endpoint, in the order of the endpoints.
    pub(crate) exemplars: Vec<Exemplar>,
    pub(crate) in_flight: u64,
    pub(crate) open_streams: u64,
    pub(crate) health: Health,
    /// The epoch that the extremes of later snapshots must be of to be those since this one. Only a reset knows it.
    #[serde(skip)]
    pub(crate) opens: Option<u64>,
}

/// How full the registry's own tables are, and what did not fit. All cumulative but `endpoints` and `shards`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Endpoints in use, without the one that stands for those that did not fit.
    pub endpoints: u64,
    /// Endpoints that fit.
    pub max_series: u64,
    /// Times an endpoint was asked for that did not fit. Its requests are counted under `_other`.
    pub endpoints_refused: u64,
    /// Consumers known by name.
    pub consumers: u64,
    /// Consumers that fit.
    pub max_consumers: u64,
    /// Times a consumer was asked for that did not fit. Its requests are counted under `_other`.
    pub consumers_refused: u64,
    /// Shards: the most recorders that lived at once.
    pub shards: u64,
    /// Entries that newer ones pushed out of the error log.
    pub errors_evicted: u64,
    /// Errors that were counted but not logged, because they came faster than the log could hold.
    pub errors_thinned: u64,
}

/// One endpoint's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSnapshot {
    pub(crate) name: Arc<EndpointName>,
    pub(crate) groups: Vec<GroupSnapshot>,
    pub(crate) in_flight: u64,
}

/// One consumer's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerSnapshot {
    /// What the consumer is called; what begins with `_` stands for several: see [`Consumer`](crate::Consumer).
    pub name: Arc<str>,
    /// Requests that ended, however they did.
    pub calls: u64,
    /// 4xx, 5xx and panics among them.
    pub errors: u64,
    /// The sum of their durations, in nanoseconds.
    pub sum_nanos: u64,
    /// When the last of them ended, by the wall clock at the registry's start and the monotonic clock since.
    pub last_seen: SystemTime,
}

/// One endpoint's figures for one group of statuses. Never empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupSnapshot {
    pub(crate) group: StatusGroup,
    pub(crate) counts: Vec<(Outcome, u64)>,
    pub(crate) sum_nanos: u64,
    pub(crate) clamped: u64,
    pub(crate) bytes: Bytes,
    pub(crate) truncated: u64,
    pub(crate) extremes: Extremes,
    pub(crate) histogram: Histogram,
    /// The extremes since the last reset, and the epoch which that reset began.
    #[serde(skip)]
    pub(crate) current: Option<(u64, Extremes)>,
    /// The extremes as they were read, before they were fitted into the buckets; what the next reading goes on from.
    #[serde(skip, default = "Extremes::none")]
    pub(crate) as_read: Extremes,
}

/// The shortest and the longest duration, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extremes {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Extremes {
    /// What any other extremes are wider than.
    pub(crate) const NONE: Self = Self { min: u64::MAX, max: 0 };

    fn none() -> Self {
        Self::NONE
    }

    pub(crate) fn widened(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Moves the extremes into the lowest and the highest bucket in use, where the true ones are.
    ///
    /// A record that came between the reading of the buckets and the reading of the extremes, or around a reset, can
    /// leave them apart. Clamped durations share the last bucket, which then has no upper end. Where no extremes are
    /// known, they are the ends of the buckets.
    pub(crate) fn fitted(self, histogram: &Histogram, clamped: u64) -> Self {
        let Some((lowest, highest)) = histogram.ends() else { return Self::NONE };
        if self.min > self.max {
            return Self { min: lowest.lowest, max: highest.highest };
        }
        let end = if clamped > 0 { u64::MAX } else { highest.highest };
        let low_end = if lowest == highest { end } else { lowest.highest };
        Self { min: self.min.clamp(lowest.lowest, low_end), max: self.max.clamp(highest.lowest, end) }
    }
}

impl Snapshot {
    /// The state before anything happened.
    pub(crate) fn empty(layout: Layout, granularity: Granularity, at: SystemTime) -> Self {
        Self {
            since: at,
            taken: at,
            span: Duration::ZERO,
            significant_digits: layout.digits(),
            granularity,
            endpoints: Vec::new(),
            consumers: Vec::new(),
            metrics: Vec::new(),
            exemplars: Vec::new(),
            in_flight: 0,
            open_streams: 0,
            health: Health::default(),
            opens: Some(0),
        }
    }

    /// When the span begins, by the wall clock. For display.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// When the span ends, by the wall clock. For display.
    pub fn taken(&self) -> SystemTime {
        self.taken
    }

    /// The length of the span, by the monotonic clock.
    pub fn span(&self) -> Duration {
        self.span
    }

    /// How many significant digits the histograms keep: 1, 2 or 3.
    pub fn significant_digits(&self) -> u8 {
        self.significant_digits
    }

    /// Which statuses share a histogram.
    pub fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// The endpoints of which anything was counted in the span, or where requests are under way, in the order in which they were first seen.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointSnapshot> + Clone {
        self.endpoints.iter().map(|endpoint| &**endpoint).filter(|endpoint| !endpoint.is_empty())
    }

    /// The consumers that were seen in the span, in the order in which they were first seen.
    pub fn consumers(&self) -> &[ConsumerSnapshot] {
        &self.consumers
    }

    /// The application's own metrics, by name.
    pub fn metrics(&self) -> &[MetricSnapshot] {
        &self.metrics
    }

    /// The latest slow or failed request of each endpoint whose trace is known, where [`Recorder::keep_exemplar`] was told of
    /// one: at most one an endpoint, in the order of [`Snapshot::endpoints`].
    ///
    /// [`Recorder::keep_exemplar`]: crate::Recorder::keep_exemplar
    pub fn exemplars(&self) -> &[Exemplar] {
        &self.exemplars
    }

    /// Requests that were under way at the end of the span.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Responses that were still open at the end of the span, such as server-sent events and WebSockets.
    pub fn open_streams(&self) -> u64 {
        self.open_streams
    }

    /// How full the registry's tables are, at the end of the span.
    pub fn health(&self) -> Health {
        self.health
    }

    /// All durations, of every endpoint and outcome.
    pub fn histogram(&self) -> Histogram {
        let layout = self.layout();
        merged(layout, self.endpoints().flat_map(EndpointSnapshot::groups))
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::for_digits(self.significant_digits).unwrap_or(Layout::TWO_DIGITS)
    }

    /// Adds another registry's figures, endpoint by endpoint. The span becomes the longest that both cover.
    ///
    /// # Errors
    ///
    /// When precision or granularity differ; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.significant_digits != other.significant_digits {
            return Err(MergeError::SignificantDigits {
                ours: self.significant_digits,
                theirs: other.significant_digits,
            });
        }
        if self.granularity != other.granularity {
            return Err(MergeError::Granularity { ours: self.granularity, theirs: other.granularity });
        }
        let mut at: HashMap<_, _> =
            self.endpoints.iter().enumerate().map(|(i, endpoint)| (Arc::clone(&endpoint.name), i)).collect();
        let same = "all histograms of a snapshot have its precision";
        for theirs in &other.endpoints {
            match at.get(&theirs.name) {
                Some(&i) => Arc::make_mut(&mut self.endpoints[i]).merge(theirs).expect(same),
                None => {
                    at.insert(Arc::clone(&theirs.name), self.endpoints.len());
                    self.endpoints.push(Arc::clone(theirs));
                }
            }
        }
        merge_metrics((&mut self.metrics, self.taken), (&other.metrics, other.taken)).expect(same);
        merge_exemplars(&mut self.exemplars, &other.exemplars, &at);
        merge_consumers(&mut self.consumers, &other.consumers);
        self.since = self.since.min(other.since);
        self.taken = self.taken.max(other.taken);
        self.span = self.span.max(other.span);
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.open_streams = self.open_streams.saturating_add(other.open_streams);
        self.health.merge(&other.health);
        self.opens = None;
        Ok(())
    }

    /// What came on top of an earlier snapshot of the same registry: the window between the two.
    ///
    /// Counts, sums and buckets are exact. Minimum and maximum are exact when `earlier` is the state of the last reset,
    /// else they are those of the buckets in use, with the relative error of the histogram.
    pub fn difference(&self, earlier: &Self) -> Self {
        let endpoints = self.endpoints_since(earlier).map(|(_, endpoint)| endpoint).collect();
        Self {
            since: earlier.taken,
            taken: self.taken,
            span: self.span.saturating_sub(earlier.span),
            endpoints,
            consumers: consumers_since(&self.consumers, &earlier.consumers),
            metrics: metrics_since(&self.metrics, &earlier.metrics),
            exemplars: self.exemplars.iter().filter(|kept| kept.time >= earlier.taken).cloned().collect(),
            opens: None,
            ..*self
        }
    }

    /// The endpoints of which anything was counted since an earlier snapshot, and their rows in this one.
    pub(crate) fn endpoints_since<'a>(
        &'a self,
        earlier: &'a Self,
    ) -> impl Iterator<Item = (usize, Arc<EndpointSnapshot>)> + 'a {
        self.endpoints.iter().enumerate().filter_map(|(row, ours)| {
            // Two snapshots of one registry have the same endpoints at the same places.
            let theirs = match earlier.endpoints.get(row) {
                Some(theirs) if theirs.name == ours.name => Some(theirs),
                _ => earlier.endpoints.iter().find(|theirs| theirs.name == ours.name),
            };
            let window = match theirs {
                // Unchanged.
                Some(theirs) if Arc::ptr_eq(ours, theirs) && ours.in_flight == 0 => None,
                Some(theirs) => ours.difference(theirs, earlier.opens).map(Arc::new),
                None => (!ours.is_empty()).then(|| Arc::clone(ours)),
            };
            Some((row, window?))
        })
    }
}

impl EndpointSnapshot {
    /// What the endpoint is called.
    pub fn name(&self) -> &EndpointName {
        &self.name
    }

    /// The figures by group of statuses; only groups that occurred.
    pub fn groups(&self) -> impl Iterator<Item = &GroupSnapshot> + Clone {
        self.groups.iter()
    }

    /// How often which outcome occurred; only those that did.
    pub fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        self.groups.iter().flat_map(|group| group.counts.iter().copied())
    }

    /// Requests that ended.
    pub fn calls(&self) -> u64 {
        self.outcomes().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Requests under way at the endpoint at the end of the span. Known only where something says so while they are: see
    /// [`Recorder::enter`](crate::Recorder::enter).
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.in_flight == 0
    }

    fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        merge_groups(&mut self.groups, &other.groups)
    }

    fn difference(&self, earlier: &Self, epoch: Option<u64>) -> Option<Self> {
        let theirs = |group| earlier.groups.iter().find(|theirs| theirs.group == group);
        let groups: Vec<_> =
            self.groups.iter().filter_map(|ours| ours.difference(theirs(ours.group), epoch)).collect();
        let window = Self { name: Arc::clone(&self.name), groups, in_flight: self.in_flight };
        (!window.is_empty()).then_some(window)
    }
}

/// Equal figures, whatever the registry remembers beside them for its next window.
impl PartialEq for GroupSnapshot {
    fn eq(&self, other: &Self) -> bool {
        let figures = |group: &Self| {
            (group.group, group.sum_nanos, group.clamped, group.bytes, group.truncated, group.extremes)
        };
        figures(self) == figures(other) && self.counts == other.counts && self.histogram == other.histogram
    }
}

impl Eq for GroupSnapshot {}

impl GroupSnapshot {
    /// Which statuses are counted here.
    pub fn group(&self) -> StatusGroup {
        self.group
    }

    /// How often which outcome occurred; only those that did.
    pub fn outcomes(&self) -> &[(Outcome, u64)] {
        &self.counts
    }

    /// Requests that ended.
    pub fn calls(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
    }

    /// The exact sum of all durations, in nanoseconds. Durations over 2^48 ns (3.3 days) count as that.
    pub fn sum_nanos(&self) -> u64 {
        self.sum_nanos
    }

    /// The shortest duration, in nanoseconds.
    pub fn min_nanos(&self) -> u64 {
        self.extremes.min
    }

    /// The longest duration, in nanoseconds.
    pub fn max_nanos(&self) -> u64 {
        self.extremes.max
    }

    /// Durations over [`MAX_NANOS`](crate::MAX_NANOS), which share the histogram's last bucket.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// Bytes of the requests' bodies, as their heads announced them.
    pub fn request_bytes(&self) -> u64 {
        self.bytes.request
    }

    /// Bytes of the responses' bodies: as their heads announced them, or else as they were given out.
    pub fn response_bytes(&self) -> u64 {
        self.bytes.response
    }

    /// Responses whose body broke off: it failed, or the client went away. They are calls by their status, too.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    /// The durations. As many as [`GroupSnapshot::calls`].
    pub fn histogram(&self) -> &Histogram {
        &self.histogram
    }

    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        self.histogram.merge(&other.histogram)?;
        self.merge_counts(other);
        Ok(())
    }

    /// No figures of a group.
    pub(crate) fn empty(group: StatusGroup, layout: Layout) -> Self {
        Self {
            group,
            counts: Vec::new(),
            sum_nanos: 0,
            clamped: 0,
            bytes: Bytes::default(),
            truncated: 0,
            extremes: Extremes::NONE,
            histogram: Histogram::empty(layout),
            current: None,
            as_read: Extremes::NONE,
        }
    }

    /// Adds all but the durations' buckets.
    pub(crate) fn merge_counts(&mut self, other: &Self) {
        self.merge_growth(other, None);
        self.extremes = self.extremes.widened(other.extremes);
    }

    /// Adds what another group counted since an earlier state of it, without durations and extremes.
    pub(crate) fn merge_growth(&mut self, now: &Self, earlier: Option<&Self>) {
        let before = |outcome| {
            let counts = earlier.map_or(&[][..], |earlier| &earlier.counts);
            counts.iter().find(|(known, _)| *known == outcome).map_or(0, |&(_, count)| count)
        };
        for &(outcome, count) in &now.counts {
            let grown = count.saturating_sub(before(outcome));
            match self.counts.iter_mut().find(|(ours, _)| *ours == outcome) {
                Some((_, ours)) => *ours = ours.saturating_add(grown),
                None if grown > 0 => self.counts.push((outcome, grown)),
                None => {}
            }
        }
        let add = |ours: &mut u64, figure: fn(&Self) -> u64| {
            *ours = ours.saturating_add(figure(now).saturating_sub(earlier.map_or(0, figure)));
        };
        add(&mut self.sum_nanos, |group| group.sum_nanos);
        add(&mut self.clamped, |group| group.clamped);
        add(&mut self.bytes.request, |group| group.bytes.request);
        add(&mut self.bytes.response, |group| group.bytes.response);
        add(&mut self.truncated, |group| group.truncated);
        self.current = None;
    }

    /// Whether this counted nothing since an earlier state.
    pub(crate) fn is_as(&self, earlier: &Self) -> bool {
        let state = |group: &Self| {
            (group.sum_nanos, group.clamped, group.bytes, group.truncated, group.histogram.total())
        };
        self.counts == earlier.counts && state(self) == state(earlier)
    }

    pub(crate) fn difference(&self, earlier: Option<&Self>, epoch: Option<u64>) -> Option<Self> {
        let before = |outcome| {
            let counts = earlier.map_or(&[][..], |earlier| &earlier.counts);
            counts.iter().find(|(theirs, _)| *theirs == outcome).map_or(0, |&(_, count)| count)
        };
        let counts: Vec<_> = self
            .counts
            .iter()
            .map(|&(outcome, count)| (outcome, count.saturating_sub(before(outcome))))
            .filter(|&(_, count)| count > 0)
            .collect();
        let histogram = match earlier {
            Some(earlier) => self.histogram.difference(&earlier.histogram),
            None => self.histogram.clone(),
        };
        let since = |figure: fn(&Self) -> u64| figure(self).saturating_sub(earlier.map_or(0, figure));
        let clamped = since(Self::clamped);
        let truncated = since(Self::truncated);
        let bytes = Bytes { request: since(Self::request_bytes), response: since(Self::response_bytes) };
        let sum_nanos = since(Self::sum_nanos);
        let other = (bytes, sum_nanos, clamped, truncated) != (Bytes::default(), 0, 0, 0);
        if counts.is_empty() && histogram.total() == 0 && !other {
            return None;
        }
        let extremes = match self.current {
            Some((current, extremes)) if Some(current) == epoch => extremes,
            // As wide as it can be: what fits is then the outermost buckets' outer ends, and never beyond what occurred.
            _ => match histogram.ends() {
                Some((lowest, highest)) => Extremes {
                    min: lowest.lowest.max(self.extremes.min),
                    max: if clamped > 0 { self.extremes.max } else { highest.highest.min(self.extremes.max) },
                },
                None => self.extremes,
            },
        };
        Some(Self {
            group: self.group,
            counts,
            sum_nanos,
            clamped,
            bytes,
            truncated,
            extremes: extremes.fitted(&histogram, clamped),
            histogram,
            current: None,
            as_read: Extremes::NONE,
        })
    }
}

impl Health {
    fn merge(&mut self, other: &Self) {
        let add = |ours: &mut u64, theirs: u64| *ours = ours.saturating_add(theirs);
        add(&mut self.endpoints, other.endpoints);
        add(&mut self.max_series, other.max_series);
        add(&mut self.endpoints_refused, other.endpoints_refused);
        add(&mut self.consumers, other.consumers);
        add(&mut self.max_consumers, other.max_consumers);
        add(&mut self.consumers_refused, other.consumers_refused);
        add(&mut self.shards, other.shards);
        add(&mut self.errors_evicted, other.errors_evicted);
        add(&mut self.errors_thinned, other.errors_thinned);
    }
}

/// Adds figures, group by group.
pub(crate) fn merge_groups(
    ours: &mut Vec<GroupSnapshot>,
    theirs: &[GroupSnapshot],
) -> Result<(), MergeError> {
    for theirs in theirs {
        match ours.iter_mut().find(|ours| ours.group == theirs.group) {
            Some(ours) => ours.merge(theirs)?,
            None => ours.push(GroupSnapshot { current: None, ..theirs.clone() }),
        }
    }
    Ok(())
}

/// Takes in those that are later than ours. `places` are those of all endpoints.
fn merge_exemplars(
    ours: &mut Vec<Exemplar>,
    theirs: &[Exemplar],
    places: &HashMap<Arc<EndpointName>, usize>,
) {
    for theirs in theirs {
        match ours.iter_mut().find(|ours| ours.endpoint == theirs.endpoint) {
            Some(ours) if ours.time >= theirs.time => {}
            Some(ours) => *ours = theirs.clone(),
            None => ours.push(theirs.clone()),
        }
    }
    ours.sort_by_key(|exemplar| places.get(&exemplar.endpoint).copied());
}

fn merge_consumers(ours: &mut Vec<ConsumerSnapshot>, theirs: &[ConsumerSnapshot]) {
    let mut at: HashMap<_, _> =
        ours.iter().enumerate().map(|(i, consumer)| (Arc::clone(&consumer.name), i)).collect();
    for theirs in theirs {
        let Some(&i) = at.get(&theirs.name) else {
            at.insert(Arc::clone(&theirs.name), ours.len());
            ours.push(theirs.clone());
            continue;
        };
        let ours = &mut ours[i];
        ours.calls = ours.calls.saturating_add(theirs.calls);
        ours.errors = ours.errors.saturating_add(theirs.errors);
        ours.sum_nanos = ours.sum_nanos.saturating_add(theirs.sum_nanos);
        ours.last_seen = ours.last_seen.max(theirs.last_seen);
    }
}

/// The consumers that were seen since an earlier state.
fn consumers_since(ours: &[ConsumerSnapshot], earlier: &[ConsumerSnapshot]) -> Vec<ConsumerSnapshot> {
    let before: HashMap<_, _> = earlier.iter().map(|consumer| (&consumer.name, consumer)).collect();
    let windows = ours.iter().map(|ours| match before.get(&ours.name) {
        Some(before) => ConsumerSnapshot {
            calls: ours.calls.saturating_sub(before.calls),
            errors: ours.errors.saturating_sub(before.errors),
            sum_nanos: ours.sum_nanos.saturating_sub(before.sum_nanos),
            ..ours.clone()
        },
        None => ours.clone(),
    });
    windows.filter(|window| (window.calls, window.errors, window.sum_nanos) != (0, 0, 0)).collect()
}

/// A snapshot as it was read from somewhere, before its parts were held against each other.
#[derive(Deserialize)]
struct Unchecked {
    since: SystemTime,
    taken: SystemTime,
    span: Duration,
    significant_digits: u8,
    granularity: Granularity,
    endpoints: Vec<Arc<EndpointSnapshot>>,
    consumers: Vec<ConsumerSnapshot>,
    metrics: Vec<MetricSnapshot>,
    #[serde(default)]
    exemplars: Vec<Exemplar>,
    in_flight: u64,
    open_streams: u64,
    health: Health,
}

impl TryFrom<Unchecked> for Snapshot {
    type Error = MergeError;

    fn try_from(mut unchecked: Unchecked) -> Result<Self, Self::Error> {
        let ours = unchecked.significant_digits;
        let endpoints = unchecked.endpoints.iter_mut();
        let groups = endpoints.flat_map(|endpoint| &mut Arc::make_mut(endpoint).groups);
        for group in groups.chain(unchecked.metrics.iter_mut().filter_map(MetricSnapshot::timer_mut)) {
            let theirs = group.histogram.significant_digits();
            if theirs != ours {
                return Err(MergeError::SignificantDigits { ours, theirs });
            }
            group.extremes = group.extremes.fitted(&group.histogram, group.clamped);
        }
        if Layout::for_digits(ours).is_none() {
            return Err(MergeError::SignificantDigits { ours, theirs: Layout::TWO_DIGITS.digits() });
        }
        Ok(Self {
            since: unchecked.since,
            taken: unchecked.taken,
            span: unchecked.span,
            significant_digits: unchecked.significant_digits,
            granularity: unchecked.granularity,
            endpoints: unchecked.endpoints,
            consumers: unchecked.consumers,
            metrics: unchecked.metrics,
            exemplars: unchecked.exemplars,
            in_flight: unchecked.in_flight,
            open_streams: unchecked.open_streams,
            health: unchecked.health,
            opens: None,
        })
    }
}

pub(crate) fn merged<'a>(layout: Layout, groups: impl Iterator<Item = &'a GroupSnapshot>) -> Histogram {
    let mut sum = Sum::new(layout);
    groups.for_each(|group| sum.add(&group.histogram));
    sum.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let layout = Layout::TWO_DIGITS;
        let mut counts = vec![0; layout.buckets()];
        values.iter().for_each(|&value| counts[layout.index(value)] += 1);
        Histogram::from_counts(layout, 0, &counts)
    }

    #[test]
    fn fitted_extremes_are_ordered_and_in_the_outermost_buckets() {
        let extremes = |min, max| Extremes { min, max };
        let fitted = |e: Extremes, values: &[u64]| e.fitted(&of(values), 0);
        assert_eq!(fitted(extremes(1_000, 5_000), &[1_000, 5_000]), extremes(1_000, 5_000));
        // What came from a record that is not in the buckets yet, or not any more.
        assert_eq!(fitted(extremes(3, 9_000), &[1_000, 5_000]), extremes(1_000, 5_023));
        // Nothing known: the ends of the buckets, also of a single one.
        assert_eq!(fitted(Extremes::NONE, &[1_000, 5_000]), extremes(1_000, 5_023));
        assert_eq!(fitted(Extremes::NONE, &[1_000]), extremes(1_000, 1_003));
        assert_eq!(fitted(extremes(7, 9), &[1_000]), extremes(1_000, 1_000));
        assert_eq!(fitted(Extremes::NONE, &[]), Extremes::NONE);
    }
}
