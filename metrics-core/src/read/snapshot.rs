//! Snapshots: the merged, immutable state of a registry, as plain numbers that can be kept, sent, added and subtracted.

pub(crate) mod consumers;
pub(crate) mod endpoint;
pub(crate) mod extremes;
pub(crate) mod group;
pub(crate) mod health;
mod histogram_parts;
pub(crate) mod metrics;
pub(crate) mod parts;
pub(crate) mod parts_error;
pub(crate) mod version;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use self::consumers::{ConsumerSnapshot, consumers_since, merge_consumers};
use self::endpoint::EndpointSnapshot;
use self::group::{merge_groups, merged};
use self::health::Health;
use self::metrics::{MetricSnapshot, in_order, merge_metrics, metrics_since};
use self::parts::{EndpointParts, MetricParts, SnapshotParts, check_name};
use self::parts_error::PartsError;
use crate::events::exemplar::Exemplar;
use crate::histogram::{Histogram, Layout};
use crate::labels::endpoint::EndpointName;
use crate::labels::method::{LANES, METHODS};
use crate::labels::outcome::Granularity;
use crate::read::merge_error::MergeError;

/// All figures of a registry over a span of time: since its start, or the difference of two such states.
///
/// Two snapshots share the endpoints that did not change between them, so keeping several costs little.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Serialised")]
pub struct Snapshot {
    pub(crate) since: SystemTime,
    pub(crate) taken: SystemTime,
    pub(crate) span: Duration,
    pub(crate) significant_digits: u8,
    pub(crate) granularity: Granularity,
    /// In the order of their rows, including those that were never called.
    pub(crate) endpoints: Vec<Arc<EndpointSnapshot>>,
    pub(crate) consumers: Vec<ConsumerSnapshot>,
    /// The series of the application's own metrics, in order.
    pub(crate) metrics: Vec<MetricSnapshot>,
    /// At most one per endpoint, in the order of the endpoints.
    pub(crate) exemplars: Vec<Exemplar>,
    pub(crate) in_flight: u64,
    /// By the number of the method; `None` if no request with it ever began.
    #[serde(skip)]
    pub(crate) in_flight_by_method: [Option<u64>; LANES],
    pub(crate) open_streams: u64,
    pub(crate) health: Health,
    /// The epoch that begins with this snapshot, if it is the baseline of a reset. The extremes of a later snapshot are
    /// those since this one if they are of this epoch.
    #[serde(skip)]
    pub(crate) opens: Option<u64>,
}

impl Snapshot {
    /// An empty snapshot.
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
            in_flight_by_method: [None; LANES],
            open_streams: 0,
            health: Health::default(),
            opens: Some(0),
        }
    }

    /// Returns when the span begins, by the wall clock. For display.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Returns when the span ends, by the wall clock. For display.
    pub fn taken(&self) -> SystemTime {
        self.taken
    }

    /// Returns the length of the span, by the monotonic clock.
    pub fn span(&self) -> Duration {
        self.span
    }

    /// Returns the number of significant digits of the histograms: 1, 2 or 3.
    pub fn significant_digits(&self) -> u8 {
        self.significant_digits
    }

    /// Returns which statuses share a histogram.
    pub fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// Returns the endpoints with counts in the span or with requests in flight, in the order in which they were first
    /// seen.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointSnapshot> + Clone {
        self.endpoints.iter().map(|endpoint| &**endpoint).filter(|endpoint| !endpoint.is_empty())
    }

    /// Returns the consumers that were seen in the span, in the order in which they were first seen.
    pub fn consumers(&self) -> &[ConsumerSnapshot] {
        &self.consumers
    }

    /// Returns the series of the application's own metrics, by name, kind and labels.
    pub fn metrics(&self) -> &[MetricSnapshot] {
        &self.metrics
    }

    /// Returns the exemplars: for each endpoint the latest request that [`Recorder::keep_exemplar`] kept, in the order
    /// of [`Snapshot::endpoints`].
    ///
    /// [`Recorder::keep_exemplar`]: crate::Recorder::keep_exemplar
    pub fn exemplars(&self) -> &[Exemplar] {
        &self.exemplars
    }

    /// Returns the number of requests in flight at the end of the span.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Returns the number of requests in flight at the end of the span with each method that any request of this
    /// process ever had; `None` stands for those whose method is unknown. Empty if the snapshot was built from parts or
    /// read from a text.
    pub fn in_flight_by_method(&self) -> impl Iterator<Item = (Option<&'static str>, u64)> {
        let count = |(method, count): (usize, &Option<u64>)| Some((METHODS.get(method).copied(), (*count)?));
        self.in_flight_by_method.iter().enumerate().filter_map(count)
    }

    /// Returns the number of responses still open at the end of the span, such as server-sent events and WebSockets.
    pub fn open_streams(&self) -> u64 {
        self.open_streams
    }

    /// Returns how full the registry's tables are at the end of the span.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Returns all durations, of every endpoint and outcome.
    pub fn histogram(&self) -> Histogram {
        let layout = self.layout();
        merged(layout, self.endpoints().flat_map(EndpointSnapshot::groups))
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::for_digits(self.significant_digits).unwrap_or(Layout::TWO_DIGITS)
    }

    /// Adds another registry's figures, endpoint by endpoint. The span becomes the longer of both.
    ///
    /// # Errors
    ///
    /// Returns an error if precision or granularity differ. Nothing is added in that case.
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
        for (ours, theirs) in self.in_flight_by_method.iter_mut().zip(other.in_flight_by_method) {
            *ours = theirs.map_or(*ours, |theirs| Some(ours.unwrap_or(0).saturating_add(theirs)));
        }
        self.open_streams = self.open_streams.saturating_add(other.open_streams);
        self.health.merge(&other.health);
        self.opens = None;
        Ok(())
    }

    /// Returns the window between an earlier snapshot of the same registry and this one.
    ///
    /// Counts, sums and buckets are exact. Minimum and maximum are exact if `earlier` is the state of the last reset.
    /// Otherwise they are those of the buckets in use, with the relative error of the histogram.
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

    /// The endpoints with counts since an earlier snapshot, and their rows in this one.
    pub(crate) fn endpoints_since<'a>(
        &'a self,
        earlier: &'a Self,
    ) -> impl Iterator<Item = (usize, Arc<EndpointSnapshot>)> + 'a {
        self.endpoints.iter().enumerate().filter_map(|(row, ours)| {
            // Two snapshots of one registry have the same endpoints in the same rows.
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

impl Snapshot {
    /// Returns the parts of the snapshot, without exemplars. They have no epoch, so a difference from a snapshot that
    /// is built from them has minimum and maximum to within a bucket.
    pub fn to_parts(&self) -> SnapshotParts {
        SnapshotParts {
            since: self.since,
            taken: self.taken,
            span: self.span,
            significant_digits: self.significant_digits,
            granularity: self.granularity,
            endpoints: self.endpoints().cloned().map(EndpointParts::from).collect(),
            consumers: self.consumers.clone(),
            metrics: self.metrics.iter().cloned().map(MetricParts::from).collect(),
            in_flight: self.in_flight,
            open_streams: self.open_streams,
            health: self.health,
        }
    }

    /// Builds the snapshot that has these parts. Minimum and maximum are moved into the outermost buckets in use.
    ///
    /// Deserialising a snapshot makes the same checks.
    ///
    /// # Errors
    ///
    /// Returns an error if parts contradict each other or are out of range.
    pub fn from_parts(parts: SnapshotParts) -> Result<Self, PartsError> {
        let (digits, granularity) = (parts.significant_digits, parts.granularity);
        Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let endpoints =
            parts.endpoints.into_iter().map(|endpoint| endpoint.build(digits, granularity).map(Arc::new));
        let endpoints = endpoints.collect::<Result<_, _>>()?;
        parts.consumers.iter().try_for_each(|consumer| check_name(&consumer.name))?;
        let metrics = parts.metrics.into_iter().map(|metric| metric.build(digits));
        let metrics = in_order(metrics.collect::<Result<_, _>>()?);
        Ok(Self {
            since: parts.since,
            taken: parts.taken,
            span: parts.span,
            significant_digits: digits,
            granularity,
            endpoints,
            consumers: parts.consumers,
            metrics,
            exemplars: Vec::new(),
            in_flight: parts.in_flight,
            in_flight_by_method: [None; LANES],
            open_streams: parts.open_streams,
            health: parts.health,
            opens: None,
        })
    }

    /// Returns the same figures with at most `digits` significant digits, without exemplars: see
    /// [`Histogram::limited_to_digits`].
    ///
    /// # Errors
    ///
    /// Returns an error if `digits` is not 1, 2 or 3.
    pub fn limited_to_digits(self, digits: u8) -> Result<Self, PartsError> {
        Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        if digits >= self.significant_digits {
            return Ok(self);
        }
        let mut parts = self.to_parts();
        parts.limit_digits(digits)?;
        Self::from_parts(parts)
    }

    /// Returns the same figures with all endpoints as one, without consumers, exemplars and the application's own
    /// metrics.
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

/// Keeps the later exemplar of each endpoint. `rows` are those of all endpoints.
fn merge_exemplars(ours: &mut Vec<Exemplar>, theirs: &[Exemplar], rows: &HashMap<Arc<EndpointName>, usize>) {
    for theirs in theirs {
        match ours.iter_mut().find(|ours| ours.endpoint == theirs.endpoint) {
            Some(ours) if ours.time >= theirs.time => {}
            Some(ours) => *ours = theirs.clone(),
            None => ours.push(theirs.clone()),
        }
    }
    ours.sort_by_key(|exemplar| rows.get(&exemplar.endpoint).copied());
}

/// The serialised form of a snapshot.
#[derive(Deserialize)]
struct Serialised {
    since: SystemTime,
    taken: SystemTime,
    span: Duration,
    significant_digits: u8,
    granularity: Granularity,
    endpoints: Vec<EndpointSnapshot>,
    consumers: Vec<ConsumerSnapshot>,
    metrics: Vec<MetricSnapshot>,
    #[serde(default)]
    exemplars: Vec<Exemplar>,
    in_flight: u64,
    open_streams: u64,
    health: Health,
}

impl TryFrom<Serialised> for Snapshot {
    type Error = PartsError;

    fn try_from(read: Serialised) -> Result<Self, PartsError> {
        let parts = SnapshotParts {
            since: read.since,
            taken: read.taken,
            span: read.span,
            significant_digits: read.significant_digits,
            granularity: read.granularity,
            endpoints: read.endpoints.into_iter().map(EndpointParts::from).collect(),
            consumers: read.consumers,
            metrics: read.metrics.into_iter().map(MetricParts::from).collect(),
            in_flight: read.in_flight,
            open_streams: read.open_streams,
            health: read.health,
        };
        Ok(Self { exemplars: read.exemplars, ..Self::from_parts(parts)? })
    }
}
