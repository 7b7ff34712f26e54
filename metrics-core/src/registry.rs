//! The registry: the whole monitor, from the first record to the summary.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use crate::builder::{Builder, Settings};
use crate::business::{MetricSnapshot, MetricSummary, Metrics, metrics_since, summarise_metrics};
use crate::events::error_log::{ErrorCursor, ErrorEvent, ErrorLog};
use crate::events::exemplar::Exemplars;
use crate::events::request_log::{RecentRequest, RequestCursor, RequestEvent, RequestLog};
use crate::histogram::Layout;
use crate::labels::consumer::{Consumer, ConsumerFigures, Consumers};
use crate::labels::endpoint::{EndpointId, Endpoints};
use crate::labels::outcome::{Granularity, Outcome};
use crate::read::reader::Reader;
use crate::read::snapshot::{ConsumerSnapshot, GroupSnapshot, Health, Snapshot};
use crate::read::summary::{RecentError, Summary};
use crate::record::cell::EPOCH_STEP;
use crate::record::clock::Clock;
use crate::record::local;
use crate::record::place::Places;
use crate::record::pool::Pool;
use crate::record::recorder::Recorder;
use crate::record::shard::{Gauge, Shard};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// A set of endpoints and their figures. Cheap to clone; clones are the same registry.
///
/// Two registries never mix. Writers go through a [`Recorder`] of their own, or through [`Registry::record`], which
/// keeps one for each thread. Readers merge what all writers wrote.
#[derive(Clone)]
pub struct Registry {
    core: Arc<Core>,
    /// Tells threads that keep a recorder whether anybody still has the registry.
    alive: Arc<()>,
}

/// What a registry and its recorders share.
#[derive(Debug)]
pub(crate) struct Core {
    layout: Layout,
    max_series: usize,
    endpoints: Endpoints,
    consumers: Consumers,
    metrics: Metrics,
    pool: Pool<Shard>,
    granularity: Granularity,
    /// The current window's: minimum and maximum start anew in each. A multiple of [`EPOCH_STEP`].
    epoch: AtomicU64,
    error_log: ErrorLog,
    request_log: RequestLog,
    exemplars: Exemplars,
    clock: Clock,
    started_ticks: u64,
    started: Instant,
    started_at: SystemTime,
    readings: Mutex<Readings>,
}

/// What readers share with each other. Writers never take its lock.
#[derive(Debug)]
struct Readings {
    reader: Reader,
    /// The state at the last reset.
    baseline: Snapshot,
}

/// The cumulative state of the application's own metrics at a moment.
#[derive(Debug)]
pub(crate) struct MetricsAt {
    /// Since the registry was made, by the monotonic clock.
    pub(crate) span: Duration,
    /// By the wall clock.
    pub(crate) taken: SystemTime,
    pub(crate) metrics: Vec<MetricSnapshot>,
}

/// A snapshot of requests, and all of its endpoints together.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    pub(crate) snapshot: Snapshot,
    /// By group of statuses, also those in which nothing was counted.
    pub(crate) totals: Vec<GroupSnapshot>,
}

impl Requests {
    /// Without keeping the endpoints, which the next reading would have to copy then.
    pub(crate) fn without_endpoints(mut self) -> Self {
        self.snapshot.endpoints = Vec::new();
        self
    }
}

/// What a snapshot is to have beside requests.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// Exemplars, too: there can be many of both, and a summary shows none.
    consumers: bool,
    metrics: bool,
}

impl Parts {
    const ALL: Self = Self { consumers: true, metrics: true };
    const SUMMARY: Self = Self { consumers: false, metrics: true };
    const REQUESTS: Self = Self { consumers: false, metrics: false };
}

impl Registry {
    /// A registry with the default settings: see [`Builder`].
    pub fn new() -> Self {
        Builder::default().build().expect("the default settings are in range")
    }

    /// Begins a registry with other settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let Settings {
            max_series,
            max_consumers,
            layout,
            error_log_capacity,
            request_log_capacity,
            granularity,
        } = settings;
        let started_at = SystemTime::now();
        let clock = Clock::new();
        let endpoints = Endpoints::new(max_series, Places::by(granularity).stride());
        let core = Core {
            layout,
            max_series,
            consumers: Consumers::new(max_consumers, endpoints.key()),
            endpoints,
            metrics: Metrics::default(),
            pool: Pool::new(),
            granularity,
            epoch: AtomicU64::new(0),
            error_log: ErrorLog::new(error_log_capacity),
            request_log: RequestLog::new(request_log_capacity),
            exemplars: Exemplars::default(),
            started_ticks: clock.raw(),
            clock,
            started: Instant::now(),
            started_at,
            readings: Mutex::new(Readings {
                reader: Reader::new(layout, granularity),
                baseline: Snapshot::empty(layout, granularity, started_at),
            }),
        };
        Self { core: Arc::new(core), alive: Arc::new(()) }
    }

    /// The id of an endpoint, interned at the first call. `route` is the template, never a raw path.
    ///
    /// Off the recording path: it allocates and may wait for another thread that interns. Keep the id. Past the
    /// registry's `max_series` it is the id of the endpoint `_other`. Names over
    /// [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) are cut.
    pub fn endpoint(&self, method: &str, route: &str) -> EndpointId {
        self.core.endpoints.intern(method, route)
    }

    /// A consumer by its name, interned at the first call. Keep it.
    ///
    /// When there are `max_consumers` of them, a new one is [`Consumer::Other`]. Names over
    /// [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) are cut.
    pub fn consumer(&self, name: &str) -> Consumer {
        self.core.consumers.intern(name)
    }

    /// A consumer by its name, if it was interned before.
    pub fn known_consumer(&self, name: &str) -> Option<Consumer> {
        self.core.consumers.get(name)
    }

    /// A writer for one thread at a time. It leases a shard and gives it back when dropped.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.core))
    }

    /// Records one request from any thread: [`Recorder::record`] on a recorder that the thread keeps.
    #[inline]
    pub fn record(&self, endpoint: EndpointId, status: u16, elapsed: Duration) {
        self.with_recorder(|recorder| recorder.record(endpoint, status, elapsed));
    }

    /// Records one request from any thread: [`Recorder::record_nanos`] on a recorder that the thread keeps.
    #[inline]
    pub fn record_nanos(&self, endpoint: EndpointId, status: u16, nanos: u64) {
        self.with_recorder(|recorder| recorder.record_nanos(endpoint, status, nanos));
    }

    /// Records a failed request from any thread: [`Recorder::record_error`] on a recorder that the thread keeps.
    pub fn record_error(&self, endpoint: EndpointId, outcome: Outcome, elapsed: Duration, message: &str) {
        self.with_recorder(|recorder| recorder.record_error(endpoint, outcome, elapsed, message));
    }

    /// Calls `record` with the recorder that the calling thread keeps for this registry, made at its first call.
    #[inline]
    pub fn with_recorder<R>(&self, record: impl Fn(&Recorder) -> R) -> R {
        local::with(self, record)
    }

    /// The cumulative state since the start. Not affected by resets, so its counters never go down.
    pub fn snapshot(&self) -> Snapshot {
        self.core.snapshot(&mut lock(&self.core.readings), Parts::ALL)
    }

    /// The state since the last reset.
    pub fn window(&self) -> Snapshot {
        let mut readings = lock(&self.core.readings);
        self.core.snapshot(&mut readings, Parts::ALL).difference(&readings.baseline)
    }

    /// The figures since the last reset.
    pub fn summary(&self) -> Summary {
        let mut readings = lock(&self.core.readings);
        // Before the snapshot, which counts what the drain evicts.
        let errors = self.core.error_log.drain();
        let window = self.core.snapshot(&mut readings, Parts::SUMMARY).difference(&readings.baseline);
        Summary { recent_errors: self.core.recent_errors(errors.window()), ..window.summary() }
    }

    /// Begins a new window, and gives the figures of the one that it closes. Each record falls into exactly one window.
    ///
    /// Nothing is zeroed: the state of now becomes the baseline that is subtracted from then on.
    pub fn reset(&self) -> Summary {
        let mut readings = lock(&self.core.readings);
        // Before the snapshot, which counts what the drain evicts.
        let errors = {
            let mut recent = self.core.error_log.drain();
            let errors = self.core.recent_errors(recent.window());
            recent.begin_window();
            errors
        };
        let mut baseline = self.core.snapshot(&mut readings, Parts::ALL);
        // After the reading, not before it: the cells of the closing window still hold its extremes then.
        baseline.opens = Some(self.core.advance_epoch());
        let window = baseline.difference(&readings.baseline);
        readings.baseline = baseline;
        Summary { recent_errors: errors, ..window.summary() }
    }

    /// The entries of the error log that came after the cursor, oldest first; moves the cursor behind them.
    ///
    /// For readers that want each entry once, such as one that sends them elsewhere: call it about once a second. Resets do
    /// not matter. What newer entries pushed out meanwhile is counted in [`ErrorCursor::missed`].
    pub fn errors_after(&self, cursor: &mut ErrorCursor) -> Vec<RecentError> {
        self.core.error_log.after(&mut cursor.0, |event| self.core.recent_error(event))
    }

    /// The entries of the request log that came after the cursor, oldest first; moves the cursor behind them.
    ///
    /// As [`Registry::errors_after`] for single requests that [`Recorder::log_request`] was told of: call it about once a
    /// second. What is gone by then is counted in [`RequestCursor::missed`].
    pub fn requests_after(&self, cursor: &mut RequestCursor) -> Vec<RecentRequest> {
        self.core.request_log.get().after(&mut cursor.0, |event| self.core.recent_request(event))
    }

    /// The memory of all shards, in bytes: what was asked for, of which pages that are not in use are not resident. Bounded by
    /// the settings and the most recorders that lived at once. Takes up to milliseconds, for it looks at every cell.
    pub fn shard_bytes(&self) -> usize {
        let shards = self.core.pool.all();
        shards.iter().map(|shard| shard.bytes()).sum::<usize>() + self.core.metrics.shard_bytes()
    }

    /// A registry for the timers of this one, with its precision.
    pub(crate) fn for_timers(&self, timers: usize) -> Self {
        Self::with(Settings {
            max_series: timers,
            max_consumers: 1,
            layout: self.core.layout,
            error_log_capacity: 1,
            request_log_capacity: 1,
            granularity: Granularity::Class,
        })
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// The memory of all recorders, those that are gone included.
    pub(crate) fn shards(&self) -> Vec<Arc<Shard>> {
        self.core.pool.all()
    }

    #[inline(always)]
    pub(crate) fn clock(&self) -> &Clock {
        &self.core.clock
    }

    /// The cumulative state without consumers, of which there can be many, and without the application's own metrics.
    pub(crate) fn snapshot_of_requests(&self) -> Snapshot {
        self.core.snapshot(&mut lock(&self.core.readings), Parts::REQUESTS)
    }

    /// As [`Registry::snapshot_of_requests`], with all endpoints together, by group of statuses.
    pub(crate) fn requests(&self) -> Requests {
        let mut readings = lock(&self.core.readings);
        let snapshot = self.core.snapshot(&mut readings, Parts::REQUESTS);
        Requests { snapshot, totals: readings.reader.totals().to_vec() }
    }

    /// The cumulative state of the application's own metrics.
    pub(crate) fn metrics_now(&self) -> MetricsAt {
        let taken = SystemTime::now();
        MetricsAt {
            span: self.core.started.elapsed(),
            taken,
            metrics: self.core.metrics.snapshot(&self.core.pool.all(), taken),
        }
    }

    /// What the application's own metrics counted since the last reset, when that was, and how long ago.
    pub(crate) fn metrics_since_reset(&self, now: &MetricsAt) -> (Vec<MetricSummary>, SystemTime, Duration) {
        let readings = lock(&self.core.readings);
        let Snapshot { metrics, taken, span, .. } = &readings.baseline;
        let since = metrics_since(&now.metrics, metrics);
        let summaries = summarise_metrics(&since);
        (summaries, *taken, now.span.saturating_sub(*span))
    }

    /// Whether the application has a metric of this name.
    pub(crate) fn has_metric(&self, name: &str) -> bool {
        self.core.metrics.has(name)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.core.layout
    }

    /// When the current window began, at the last reset or at the start: since the registry was made, by the monotonic clock,
    /// and by the wall clock.
    pub(crate) fn window_began(&self) -> (Duration, SystemTime) {
        let readings = lock(&self.core.readings);
        (readings.baseline.span, readings.baseline.taken)
    }

    /// What the error log holds, newest first.
    pub(crate) fn recent_errors(&self) -> Vec<RecentError> {
        self.core.recent_errors(self.core.error_log.drain().window())
    }

    /// Tells two registries apart.
    pub(crate) fn key(&self) -> u64 {
        self.core.endpoints.key()
    }

    /// Upgradable for as long as anybody has the registry.
    pub(crate) fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }
}

/// Not what it holds: that would be megabytes.
impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("key", &self.key()).finish_non_exhaustive()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Core {
    pub(crate) fn lease(&self) -> Arc<Shard> {
        // ORDERING: Relaxed; `advance_epoch` stores it before it locks the pool, and this runs under the pool's lock. So
        // a new shard is either among those that `advance_epoch` finds, or begins with the new epoch.
        self.pool.lease(|| {
            Shard::new(self.layout, &self.endpoints, &self.consumers, self.epoch.load(Ordering::Relaxed))
        })
    }

    /// Begins the next epoch. Called under the lock of `readings`.
    fn advance_epoch(&self) -> u64 {
        // ORDERING: Relaxed; see `lease`.
        let epoch = self.epoch.load(Ordering::Relaxed).wrapping_add(EPOCH_STEP);
        self.epoch.store(epoch, Ordering::Relaxed);
        self.pool.all().iter().for_each(|shard| shard.set_epoch(epoch));
        epoch
    }

    pub(crate) fn give_back(&self, shard: Arc<Shard>) {
        self.pool.give_back(shard);
    }

    pub(crate) fn places(&self) -> &'static Places {
        Places::by(self.granularity)
    }

    pub(crate) fn error_log(&self) -> &ErrorLog {
        &self.error_log
    }

    pub(crate) fn request_log(&self) -> &RequestLog {
        &self.request_log
    }

    pub(crate) fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    #[inline(always)]
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Nanoseconds since the registry was made, by the recording clock.
    pub(crate) fn uptime_nanos(&self) -> u64 {
        self.clock.nanos(self.started_ticks, self.clock.raw())
    }

    fn snapshot(&self, readings: &mut Readings, parts: Parts) -> Snapshot {
        // Before the endpoints, so that the request of each exemplar is among what is counted there.
        let exemplars = if parts.consumers { self.exemplars.all(&self.endpoints) } else { Vec::new() };
        let shards = self.pool.all();
        let endpoints = readings.reader.read(&shards, &self.endpoints, self.epoch.load(Ordering::Relaxed));
        let taken = SystemTime::now();
        Snapshot {
            since: self.started_at,
            taken,
            metrics: if parts.metrics { self.metrics.snapshot(&shards, taken) } else { Vec::new() },
            span: self.started.elapsed(),
            significant_digits: self.layout.digits(),
            granularity: self.granularity,
            health: Health {
                // Without the overflow endpoint.
                endpoints: endpoints.len() as u64 - 1,
                max_series: self.max_series as u64,
                endpoints_refused: self.endpoints.refused(),
                consumers: self.consumers.len() as u64,
                max_consumers: self.consumers.max() as u64,
                consumers_refused: self.consumers.refused(),
                shards: shards.len() as u64,
                errors_evicted: self.error_log.evicted(),
                errors_thinned: shards.iter().map(|shard| shard.thinned()).sum(),
            },
            endpoints,
            consumers: if parts.consumers { self.consumers(&shards) } else { Vec::new() },
            exemplars,
            in_flight: Gauge::under_way(|| shards.iter().map(|shard| shard.in_flight())).0,
            open_streams: Gauge::under_way(|| shards.iter().map(|shard| shard.open_streams())).0,
            opens: None,
        }
    }

    /// Consumers that were seen since the start.
    fn consumers(&self, shards: &[Arc<Shard>]) -> Vec<ConsumerSnapshot> {
        let names = self.consumers.names();
        let mut sums = vec![ConsumerFigures::default(); names.len()];
        shards.iter().for_each(|shard| shard.consumers().add_to(&mut sums));
        let seen = names.into_iter().zip(sums).filter(|(_, figures)| figures.calls > 0);
        seen.map(|(name, figures)| ConsumerSnapshot {
            name,
            calls: figures.calls,
            errors: figures.errors,
            sum_nanos: figures.nanos,
            last_seen: self.started_at + Duration::from_nanos(figures.last_seen),
        })
        .collect()
    }

    /// Entries of the error log as people read them, newest first.
    fn recent_errors<'a>(&self, events: impl DoubleEndedIterator<Item = &'a ErrorEvent>) -> Vec<RecentError> {
        events.rev().map(|event| self.recent_error(event)).collect()
    }

    fn recent_error(&self, event: &ErrorEvent) -> RecentError {
        RecentError {
            time: event.time,
            endpoint: self.endpoints.name(event.endpoint),
            outcome: event.outcome,
            response_time: Duration::from_nanos(event.nanos),
            message: event.message.as_str().to_owned(),
            trace: event.trace,
        }
    }

    fn recent_request(&self, event: &RequestEvent) -> RecentRequest {
        RecentRequest {
            time: event.time,
            endpoint: self.endpoints.name(event.endpoint),
            outcome: event.outcome,
            response_time: Duration::from_nanos(event.nanos),
            trace: event.trace,
            randomness: event.randomness,
        }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    /// Small enough for Miri, which runs it over everything that is `unsafe`.
    #[test]
    fn writers_that_come_and_go_lose_nothing_to_a_reader_that_resets() {
        let registry = Registry::builder().max_series(4).build().unwrap();
        let endpoint = registry.endpoint("GET", "/");
        let (mut calls, mut errors) = (0, 0);
        for _ in 0..2 {
            std::thread::scope(|scope| {
                for status in [200, 500] {
                    let registry = &registry;
                    scope.spawn(move || {
                        let recorder = registry.recorder();
                        for nanos in [0, 5, 1_000, 1 << 30, u64::MAX] {
                            recorder.record_nanos(endpoint, status, nanos);
                            registry.record_nanos(endpoint, status, nanos);
                        }
                        recorder.record_error(endpoint, Outcome::Panicked, Duration::ZERO, "a message");
                    });
                }
                let closed = registry.reset();
                calls += closed.total.calls;
                errors += closed.recent_errors.len();
            });
        }
        let tail = registry.summary();
        assert_eq!(calls + tail.total.calls, 2 * 2 * 11);
        assert_eq!(errors + tail.recent_errors.len(), 2 * 2);
        assert_eq!(registry.snapshot().histogram().total(), 2 * 2 * 11);
    }
}
