//! The readers' side of a registry: the state outside the recorders' memory, and how snapshots are taken.
//!
//! # Synchronization
//!
//! `readings` is locked by readers and resets, `slow` by readers. Writers take neither lock.

pub(crate) mod metrics;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::metrics::Metrics;
use crate::events::error_groups::ErrorGroups;
use crate::events::error_log::{ErrorCursor, ErrorsMissing, RecentError};
use crate::events::error_priority::ErrorPriority;
use crate::events::request_log::{RecentRequest, RequestCursor};
use crate::events::slow::{FRAME, SlowLists, SlowRequests, first_frame, frame_at};
use crate::labels::endpoint::EndpointName;
use crate::read::reader::{Reader, Totals};
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::consumers::ConsumerSnapshot;
use crate::read::snapshot::health::Health;
use crate::read::snapshot::metrics::{MetricSnapshot, MetricsAt, metrics_since};
use crate::read::summary::Summary;
use crate::record::shard::Shard;
use crate::record::shard::consumers::ConsumerFigures;
use crate::record::shard::in_flight::InFlight;
use crate::record::shard::streaks::StreaksNow;
use crate::record::shared::Shared;
use crate::sync::{Mutex, lock};
use crate::wall_clock::WallClock;

/// The state that readers and resets of a registry need.
#[derive(Debug)]
pub(crate) struct Core {
    shared: Arc<Shared>,
    metrics: Metrics,
    started: Instant,
    started_at: SystemTime,
    readings: Mutex<Readings>,
    slow: Mutex<SlowLists>,
}

/// The state that readers share with each other.
#[derive(Debug)]
struct Readings {
    reader: Reader,
    /// For the ends of snapshots.
    wall: WallClock,
    /// The state at the last reset.
    baseline: Snapshot,
}

/// A snapshot of requests, all of its endpoints together, and the errors in a row.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    pub(crate) snapshot: Snapshot,
    pub(crate) totals: Totals,
    pub(crate) streaks: StreaksNow,
}

impl Requests {
    /// Without the endpoints, so that the next reading need not copy them.
    pub(crate) fn without_endpoints(mut self) -> Self {
        self.snapshot.endpoints = Vec::new();
        self
    }
}

/// The parts of a snapshot besides requests.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// There can be many, and each snapshot has its own copy of all of them.
    consumers: bool,
    exemplars: bool,
    metrics: bool,
}

impl Parts {
    const ALL: Self = Self { consumers: true, exemplars: true, metrics: true };
    const WITHOUT_CONSUMERS: Self = Self { consumers: false, ..Self::ALL };
    const SUMMARY: Self = Self { exemplars: false, ..Self::WITHOUT_CONSUMERS };
    const REQUESTS: Self = Self { metrics: false, ..Self::SUMMARY };
}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (layout, granularity) = (shared.layout(), shared.granularity());
        let (started_at, key) = (SystemTime::now(), shared.key());
        Self {
            shared,
            metrics: Metrics::new(layout),
            started: Instant::now(),
            slow: Mutex::new(SlowLists::default()),
            started_at,
            readings: Mutex::new(Readings {
                wall: WallClock::new(started_at, Instant::now()),
                reader: Reader::new(layout, granularity, key),
                baseline: Snapshot::empty(layout, granularity, started_at),
            }),
        }
    }

    /// The application's own metrics.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The cumulative state.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read(&mut lock(&self.readings), Parts::ALL)
    }

    /// The cumulative state without consumers.
    pub(crate) fn snapshot_without_consumers(&self) -> Snapshot {
        self.read(&mut lock(&self.readings), Parts::WITHOUT_CONSUMERS)
    }

    /// The state since the last reset.
    pub(crate) fn window(&self) -> Snapshot {
        let mut readings = lock(&self.readings);
        self.read(&mut readings, Parts::ALL).difference(&readings.baseline)
    }

    /// The figures since the last reset.
    pub(crate) fn summary(&self) -> Summary {
        let mut readings = lock(&self.readings);
        // Before the snapshot, which counts the entries that the drain evicts.
        let recent_errors = self.recent_errors();
        let window = self.read(&mut readings, Parts::SUMMARY).difference(&readings.baseline);
        Summary { recent_errors, ..window.summary() }
    }

    /// Starts a new window and returns the figures of the one it closes.
    pub(crate) fn reset(&self) -> Summary {
        let mut readings = lock(&self.readings);
        // Before the snapshot, which counts the entries that the drain evicts.
        let recent_errors = self.shared.error_log().end_window(self.shared.names());
        self.shared.error_groups().begin_window();
        let mut baseline = self.read(&mut readings, Parts::ALL);
        // After the reading, not before it: until then the cells still hold the extremes of the closing window.
        baseline.opens = Some(self.shared.advance_epoch());
        // A summary has no consumers.
        let consumers = std::mem::take(&mut baseline.consumers);
        let window = baseline.difference(&readings.baseline);
        readings.baseline = Snapshot { consumers, ..baseline };
        Summary { recent_errors, ..window.summary() }
    }

    /// The errors of the current window that the error log holds, newest first.
    pub(crate) fn recent_errors(&self) -> Vec<RecentError> {
        self.shared.error_log().recent(self.shared.names())
    }

    /// The entries of the error log after the cursor, oldest first.
    pub(crate) fn errors_after(&self, cursor: &mut ErrorCursor) -> Vec<RecentError> {
        self.shared.error_log().after(cursor, self.shared.names())
    }

    /// The slowest requests of a window; `None`: since the last reset.
    pub(crate) fn slow_requests(
        &self,
        window: Option<Duration>,
        endpoint: Option<&EndpointName>,
    ) -> SlowRequests {
        let uptime = Duration::from_nanos(self.shared.uptime_nanos());
        self.advance_slow();
        let wall = SystemTime::now();
        let (began, began_at) = self.window_began();
        let (first, since, length) = match window {
            Some(length) => {
                let first = first_frame(uptime, length);
                let length = uptime.saturating_sub(FRAME * u32::try_from(first).unwrap_or(u32::MAX));
                (first, wall.checked_sub(length).unwrap_or(self.started_at), length)
            }
            None => (0, began_at, uptime.saturating_sub(began)),
        };
        let lists = lock(&self.slow);
        // Frames decide, except after a reset.
        let after = if window.is_some() { SystemTime::UNIX_EPOCH } else { since };
        let requests = lists.read(first, after, endpoint, self.shared.names());
        SlowRequests { requests, since, window: length, dropped: lists.dropped() }
    }

    /// Takes the slowest requests from the recorders. Called about once a second.
    pub(crate) fn advance_slow(&self) {
        let mut lists = lock(&self.slow);
        let (mut events, mut dropped) = (Vec::new(), 0);
        for shard in self.shared.shards() {
            let (mut taken, more) = shard.slow().take();
            events.append(&mut taken);
            dropped += more;
        }
        lists.add(events, dropped, frame_at(Duration::from_nanos(self.shared.uptime_nanos())));
    }

    /// The memory of the lists of the slowest requests, in bytes.
    pub(crate) fn slow_bytes(&self) -> usize {
        lock(&self.slow).bytes()
    }

    /// The groups of errors in a window; `None`: since the last reset.
    pub(crate) fn error_groups(&self, window: Option<Duration>) -> ErrorGroups {
        let shared = &self.shared;
        let since_reset = || self.started.elapsed().saturating_sub(self.window_began().0);
        let length = window.unwrap_or_else(since_reset);
        shared.error_groups().read(length, window.is_none(), shared.uptime_nanos(), shared.names())
    }

    /// The memory of the groups of errors, in bytes.
    pub(crate) fn group_bytes(&self) -> usize {
        self.shared.error_groups().bytes()
    }

    /// Moves the trends of the groups of errors on. Called about once a second.
    pub(crate) fn advance_error_groups(&self) {
        self.shared.error_groups().advance(self.shared.uptime_nanos());
    }

    /// Errors of each priority that are not in the error log.
    pub(crate) fn errors_missing(&self) -> [ErrorsMissing; 4] {
        let (evicted, thinned) = (self.shared.error_log().evicted(), thinned(&self.shared.shards()));
        ErrorPriority::ALL.map(|priority| ErrorsMissing {
            priority,
            evicted: evicted[priority as usize],
            thinned: thinned[priority as usize],
        })
    }

    /// The entries of the request log after the cursor, oldest first.
    pub(crate) fn requests_after(&self, cursor: &mut RequestCursor) -> Vec<RecentRequest> {
        self.shared.request_log().get().after(&mut cursor.0, |event| event.resolve(self.shared.endpoints()))
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        in_flight(&self.shared.shards())
    }

    /// How full the registry's tables are, and what did not fit.
    pub(crate) fn health(&self) -> Health {
        self.health_of(self.shared.endpoints().len(), &self.shared.shards())
    }

    /// Like [`Core::health`]. `endpoints` includes the overflow endpoint.
    fn health_of(&self, endpoints: usize, shards: &[Arc<Shard>]) -> Health {
        let shared = &*self.shared;
        Health {
            // Rows of unmatched paths are beyond the maximum, if need be.
            endpoints: endpoints.saturating_sub(1).min(shared.endpoints().max()) as u64,
            max_series: shared.endpoints().max() as u64,
            endpoints_refused: shared.endpoints().refused(),
            consumers: shared.consumers().len() as u64,
            max_consumers: shared.consumers().max() as u64,
            consumers_refused: shared.consumers().refused(),
            shards: shards.len() as u64,
            errors_evicted: shared.error_log().evicted().iter().sum(),
            errors_thinned: thinned(shards).iter().sum(),
            label_sets_refused: self.metrics.label_sets_refused(),
        }
    }

    /// The cumulative state of requests alone: without consumers and the application's own metrics.
    pub(crate) fn snapshot_of_requests(&self) -> Snapshot {
        self.read(&mut lock(&self.readings), Parts::REQUESTS)
    }

    /// Like [`Core::snapshot_of_requests`], with all endpoints together.
    pub(crate) fn requests(&self) -> Requests {
        let mut readings = lock(&self.readings);
        let snapshot = self.read(&mut readings, Parts::REQUESTS);
        let streaks = StreaksNow::of(self.shared.shards().iter().map(|shard| shard.streaks()));
        Requests { snapshot, totals: readings.reader.totals().clone(), streaks }
    }

    /// The cumulative figures of all consumers.
    pub(crate) fn consumers_now(&self) -> Vec<ConsumerSnapshot> {
        self.consumers(&self.shared.shards())
    }

    /// The cumulative state of the application's own metrics.
    pub(crate) fn metrics_now(&self) -> MetricsAt {
        let taken = SystemTime::now();
        MetricsAt {
            span: self.started.elapsed(),
            taken,
            metrics: self.metrics.snapshot(&self.shared.shards(), taken),
        }
    }

    /// The application's own metrics since the last reset, when that was, and how long ago.
    pub(crate) fn metrics_since_reset(&self, now: &MetricsAt) -> (Vec<MetricSnapshot>, SystemTime, Duration) {
        let readings = lock(&self.readings);
        let Snapshot { metrics, taken, span, .. } = &readings.baseline;
        (metrics_since(&now.metrics, metrics), *taken, now.span.saturating_sub(*span))
    }

    /// When the current window began, at the last reset or at the start: since the registry was made, by the monotonic
    /// clock, and by the wall clock.
    pub(crate) fn window_began(&self) -> (Duration, SystemTime) {
        let readings = lock(&self.readings);
        (readings.baseline.span, readings.baseline.taken)
    }

    fn read(&self, readings: &mut Readings, parts: Parts) -> Snapshot {
        let shared = &*self.shared;
        // Before the endpoints, so that they count the request of each exemplar.
        let exemplars = if parts.exemplars { shared.exemplars().all(shared.endpoints()) } else { Vec::new() };
        let shards = shared.shards();
        let endpoints = readings.reader.read(&shards, shared.endpoints(), shared.epoch());
        let taken = readings.wall.now();
        Snapshot {
            since: self.started_at,
            taken,
            // Distinct values are counted by the system's day.
            metrics: if parts.metrics {
                self.metrics.snapshot(&shards, SystemTime::now())
            } else {
                Vec::new()
            },
            span: self.started.elapsed(),
            significant_digits: shared.layout().digits(),
            granularity: shared.granularity(),
            health: self.health_of(endpoints.len(), &shards),
            endpoints,
            consumers: if parts.consumers { self.consumers(&shards) } else { Vec::new() },
            exemplars,
            in_flight: in_flight(&shards),
            in_flight_by_method: std::array::from_fn(|method| in_flight_of(&shards, method)),
            open_streams: InFlight::under_way(|| shards.iter().map(|shard| shard.open_streams())).0,
            opens: None,
        }
    }

    /// The consumers that were seen since the start.
    fn consumers(&self, shards: &[Arc<Shard>]) -> Vec<ConsumerSnapshot> {
        let known = self.shared.consumers();
        let mut sums = vec![ConsumerFigures::default(); known.rows_in_use()];
        shards.iter().for_each(|shard| shard.consumers().add_to(&mut sums));
        // Counted, since a vector that grows takes up to twice the memory.
        let mut consumers = Vec::with_capacity(sums.iter().filter(|figures| figures.calls > 0).count());
        known.each_name(|(row, name)| {
            if let Some(figures) = sums.get(row).filter(|figures| figures.calls > 0) {
                consumers.push(ConsumerSnapshot {
                    name: Arc::clone(name),
                    calls: figures.calls,
                    errors: figures.errors,
                    sum_nanos: figures.nanos,
                    last_seen: self.started_at + Duration::from_nanos(figures.last_seen),
                });
            }
        });
        consumers
    }
}

/// Errors of each priority that came too fast to be logged.
fn thinned(shards: &[Arc<Shard>]) -> [u64; 4] {
    let add = |sums: [u64; 4], counts: [u64; 4]| std::array::from_fn(|i| sums[i] + counts[i]);
    shards.iter().map(|shard| shard.thinned()).fold([0; 4], add)
}

fn in_flight(shards: &[Arc<Shard>]) -> u64 {
    InFlight::under_way(|| shards.iter().flat_map(|shard| shard.in_flight())).0
}

/// Requests in flight with a method; `None` if none ever began.
fn in_flight_of(shards: &[Arc<Shard>], method: usize) -> Option<u64> {
    let (under_way, so_far) = InFlight::under_way(|| shards.iter().map(|shard| shard.in_flight_of(method)));
    (so_far > 0).then_some(under_way)
}
