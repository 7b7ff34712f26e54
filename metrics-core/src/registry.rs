//! The registry: everything from the first record to the summary.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::business::{Counter, Gauge, HitRatio, Identity, Timer, UniqueCount};
use crate::core::{Core, Requests};
use crate::events::error_groups::ErrorGroups;
use crate::events::error_log::{ErrorCursor, ErrorsMissing, RecentError};
use crate::events::request_log::{RecentRequest, RequestCursor};
use crate::events::slow::SlowRequests;
use crate::histogram::Layout;
use crate::labels::consumer::{Consumer, Voucher};
use crate::labels::endpoint::{EndpointId, EndpointName};
use crate::labels::metric_kind::MetricKind;
use crate::labels::metric_names::MetricError;
use crate::labels::outcome::{Granularity, Outcome};
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::consumers::ConsumerSnapshot;
use crate::read::snapshot::health::Health;
use crate::read::snapshot::metrics::{MetricSnapshot, MetricsAt};
use crate::read::summary::Summary;
use crate::record::local::LocalRecorders;
use crate::record::recorder::Recorder;
use crate::record::shared::RegistrySettings;

/// A set of endpoints and their figures. Cheap to clone; clones are the same registry.
///
/// Two registries never mix. Writers use their own [`Recorder`], or [`Registry::record`], which keeps one for each
/// thread. Readers merge what all writers wrote.
#[derive(Clone)]
pub struct Registry {
    recorders: LocalRecorders,
    core: Arc<Core>,
}

impl Registry {
    pub(crate) fn with(settings: RegistrySettings) -> Self {
        let recorders = LocalRecorders::new(settings);
        Self { core: Arc::new(Core::new(Arc::clone(recorders.shared()))), recorders }
    }

    /// Returns the id of an endpoint, which is interned at the first call. `route` is the template, never a raw path.
    ///
    /// Off the recording path: it allocates, and may wait for another thread that interns. Keep the id. Once the
    /// registry has `max_series` endpoints, a new name gets the id of the endpoint `_other`, unless its route is
    /// [`UNMATCHED`](crate::UNMATCHED). Names longer than [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) are cut.
    pub fn endpoint(&self, method: &str, route: &str) -> EndpointId {
        self.recorders.shared().endpoints().intern(method, route)
    }

    /// Returns the id of an endpoint if it was interned before.
    pub fn known_endpoint(&self, method: &str, route: &str) -> Option<EndpointId> {
        self.recorders.shared().endpoints().get(method, route)
    }

    /// Returns a consumer by its name, which is interned at the first call. Keep it.
    ///
    /// Once the registry has `max_consumers` consumers, a new name is [`Consumer::Other`]. Names longer than
    /// [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) are cut.
    ///
    /// A name with a row keeps it for good, since counts never fall. So if clients choose names, they can use up all
    /// rows: see [`Registry::vouched_consumer`].
    pub fn consumer(&self, name: &str) -> Consumer {
        self.recorders.shared().consumers().intern(name, Voucher::Request)
    }

    /// Like [`Registry::consumer`], for a name that the application knows and no client can choose, such as a
    /// customer's. Such names have 10,000 rows of their own, besides `max_consumers`, and are not in
    /// [`Health::consumers`].
    pub fn vouched_consumer(&self, name: &str) -> Consumer {
        self.recorders.shared().consumers().intern(name, Voucher::Application)
    }

    /// Returns a consumer by its name if the name was interned before.
    pub fn known_consumer(&self, name: &str) -> Option<Consumer> {
        self.recorders.shared().consumers().get(name)
    }

    /// Returns the name of an endpoint; for one of another registry, that of the overflow endpoint, `_other`.
    pub fn endpoint_name(&self, endpoint: EndpointId) -> Arc<EndpointName> {
        self.recorders.shared().endpoints().name(endpoint)
    }

    /// Returns a writer for one thread at a time. It leases a shard, and returns it when dropped.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(self.recorders.shared()))
    }

    /// Records one request from any thread: [`Recorder::record`] on a recorder that the thread keeps.
    #[inline]
    pub fn record(&self, endpoint: EndpointId, status: u16, elapsed: Duration) {
        self.with_recorder(move |recorder| recorder.record(endpoint, status, elapsed));
    }

    /// Records one request from any thread: [`Recorder::record_nanos`] on a recorder that the thread keeps.
    #[inline]
    pub fn record_nanos(&self, endpoint: EndpointId, status: u16, nanos: u64) {
        self.with_recorder(move |recorder| recorder.record_nanos(endpoint, status, nanos));
    }

    /// Records a failed request from any thread: [`Recorder::record_error`] on a recorder that the thread keeps.
    pub fn record_error(&self, endpoint: EndpointId, outcome: Outcome, elapsed: Duration, message: &str) {
        self.with_recorder(|recorder| recorder.record_error(endpoint, outcome, elapsed, message));
    }

    /// Calls `record` with the recorder that the calling thread keeps for this registry, made at its first call.
    #[inline]
    pub fn with_recorder<R>(&self, record: impl Fn(&Recorder) -> R) -> R {
        self.recorders.with(record)
    }

    /// Returns the counter of a name, which is created at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// Returns an error if Prometheus does not allow the name, a metric of another kind has it, or the registry has 128
    /// counters.
    pub fn counter(&self, name: &str) -> Result<Counter, MetricError> {
        let metric = self.core.metrics().find(name, MetricKind::Counter)?;
        Ok(Counter::new(self.recorders.clone(), Identity::plain(metric)))
    }

    /// Returns the gauge of a name, which is created at the first call, with 0 in it. Keep it.
    ///
    /// # Errors
    ///
    /// Like [`Registry::counter`].
    pub fn gauge(&self, name: &str) -> Result<Gauge, MetricError> {
        Ok(Gauge::new(Identity::plain(self.core.metrics().find(name, MetricKind::Gauge)?)))
    }

    /// Returns the timer of a name, which is created at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// Like [`Registry::counter`].
    pub fn timer(&self, name: &str) -> Result<Timer, MetricError> {
        let (timers, metric) = self.core.metrics().timer(name)?;
        Ok(Timer::new(timers, Identity::plain(metric)))
    }

    /// Returns the hit ratio of a name, which is created at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// Like [`Registry::counter`].
    pub fn hit_ratio(&self, name: &str) -> Result<HitRatio, MetricError> {
        let metric = self.core.metrics().find(name, MetricKind::HitRatio)?;
        Ok(HitRatio::new(self.recorders.clone(), Identity::plain(metric)))
    }

    /// Returns the unique count of a name, which is created at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// Like [`Registry::counter`], but a registry has at most 16 unique counts.
    pub fn unique(&self, name: &str) -> Result<UniqueCount, MetricError> {
        let metric = self.core.metrics().find(name, MetricKind::UniqueCount)?;
        Ok(UniqueCount::new(self.recorders.clone(), Identity::plain(metric)))
    }

    /// Returns the name of the first of the application's own metrics whose labels did not fit: see [`Counter::with`].
    pub fn labels_refused_of(&self) -> Option<Arc<str>> {
        self.core.metrics().labels_refused_of()
    }

    /// Returns the cumulative state since the start. Resets do not affect it, so its counters never go down.
    ///
    /// Snapshots share the endpoints that did not change between them, but each has its own copy of all consumers: 56
    /// bytes for each.
    pub fn snapshot(&self) -> Snapshot {
        self.core.snapshot()
    }

    /// Like [`Registry::snapshot`], but without consumers.
    pub fn snapshot_without_consumers(&self) -> Snapshot {
        self.core.snapshot_without_consumers()
    }

    /// Returns the state since the last reset.
    pub fn window(&self) -> Snapshot {
        self.core.window()
    }

    /// Returns the figures since the last reset.
    pub fn summary(&self) -> Summary {
        self.core.summary()
    }

    /// Starts a new window and returns the figures of the one it closes. Each record falls into exactly one
    /// window.
    ///
    /// Nothing is zeroed: the state of now becomes the baseline that is subtracted from then on.
    pub fn reset(&self) -> Summary {
        self.core.reset()
    }

    /// Returns the latest errors since the last reset, newest first: those of [`Registry::summary`], at the cost of
    /// copying them.
    ///
    /// At most `error_log_capacity` of them. Panics and 5xx come before 4xx, and 4xx of routes before those of
    /// unmatched paths and catch-all routes: see [`ErrorPriority`](crate::ErrorPriority). Each of these keeps an eighth
    /// of the list.
    pub fn recent_errors(&self) -> Vec<RecentError> {
        self.core.recent_errors()
    }

    /// Returns the number of requests in flight, as in [`Registry::summary`]. Costs a few loads for each shard.
    pub fn in_flight(&self) -> u64 {
        self.core.in_flight()
    }

    /// Returns how full the registry's tables are, and what did not fit, as in [`Registry::summary`]. Costs a load for
    /// each shard.
    pub fn health(&self) -> Health {
        self.core.health()
    }

    /// Returns the entries of the error log after the cursor, oldest first, and moves the cursor to the end.
    ///
    /// For readers that need each entry once, such as one that sends them elsewhere: call it about once a second.
    /// Resets do not matter. Entries that newer ones pushed out in between are counted in [`ErrorCursor::missed`].
    pub fn errors_after(&self, cursor: &mut ErrorCursor) -> Vec<RecentError> {
        self.core.errors_after(cursor)
    }

    /// Returns how many errors of each priority are not in the error log, since the start; the most important first.
    pub fn errors_missing(&self) -> [ErrorsMissing; 4] {
        self.core.errors_missing()
    }

    /// The groups of errors in a window of this length; `None`: since the last reset.
    pub(crate) fn error_groups(&self, window: Option<Duration>) -> ErrorGroups {
        self.core.error_groups(window)
    }

    /// The slowest requests of a window; `None`: since the last reset.
    pub(crate) fn slow_requests(
        &self,
        window: Option<Duration>,
        endpoint: Option<&EndpointName>,
    ) -> SlowRequests {
        self.core.slow_requests(window, endpoint)
    }

    /// Returns the memory of the lists of the slowest requests, in bytes: at most 1.375 MiB, and what recorders listed
    /// in the last second.
    pub fn slow_bytes(&self) -> usize {
        self.core.slow_bytes()
    }

    /// Moves the trends of the groups of errors on, and takes the slowest requests from the recorders.
    pub(crate) fn advance_events(&self) {
        self.core.advance_error_groups();
        self.core.advance_slow();
    }

    /// Returns the entries of the request log after the cursor, oldest first, and moves the cursor to the end.
    ///
    /// Like [`Registry::errors_after`], for the requests that [`Recorder::log_request`] logged: call it about once a
    /// second. Entries that were gone by then are counted in [`RequestCursor::missed`].
    pub fn requests_after(&self, cursor: &mut RequestCursor) -> Vec<RecentRequest> {
        self.core.requests_after(cursor)
    }

    /// Returns the memory of all shards, in bytes: what was allocated, including pages that were never written and so
    /// are not resident. Bounded by the settings and the most recorders that lived at once. Takes up to a few
    /// milliseconds, since it looks at every cell.
    pub fn shard_bytes(&self) -> usize {
        self.recorders.shared().shard_bytes() + self.core.metrics().shard_bytes()
    }

    /// Returns the memory of the groups of errors, in bytes: at most 2 MiB. Takes up to a millisecond.
    pub fn group_bytes(&self) -> usize {
        self.core.group_bytes()
    }

    /// The cumulative state of requests alone: without consumers and the application's own metrics.
    pub(crate) fn snapshot_of_requests(&self) -> Snapshot {
        self.core.snapshot_of_requests()
    }

    /// Like [`Registry::snapshot_of_requests`], with all endpoints together.
    pub(crate) fn requests(&self) -> Requests {
        self.core.requests()
    }

    /// The cumulative figures of all consumers.
    pub(crate) fn consumers_now(&self) -> Vec<ConsumerSnapshot> {
        self.core.consumers_now()
    }

    /// The cumulative state of the application's own metrics.
    pub(crate) fn metrics_now(&self) -> MetricsAt {
        self.core.metrics_now()
    }

    /// The application's own metrics since the last reset, when that was, and how long ago.
    pub(crate) fn metrics_since_reset(&self, now: &MetricsAt) -> (Vec<MetricSnapshot>, SystemTime, Duration) {
        self.core.metrics_since_reset(now)
    }

    /// Whether the application has a metric or a series of this name.
    pub(crate) fn has_metric(&self, name: &str) -> bool {
        self.core.metrics().contains(name)
    }

    /// The time since it was made, by the recording clock.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_nanos(self.recorders.shared().uptime_nanos())
    }

    pub(crate) fn granularity(&self) -> Granularity {
        self.recorders.shared().granularity()
    }

    pub(crate) fn layout(&self) -> Layout {
        self.recorders.shared().layout()
    }

    /// When the current window began, at the last reset or at the start: since the registry was made, by the monotonic
    /// clock, and by the wall clock.
    pub(crate) fn window_began(&self) -> (Duration, SystemTime) {
        self.core.window_began()
    }
}

/// Without the figures, which would be megabytes.
impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("key", &self.recorders.shared().key()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::sync::logged::lines_written;

    #[test]
    fn its_uptime_is_the_time_since_it_was_made() {
        let before = std::time::Instant::now();
        let registry = Registry::new();
        let after = std::time::Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        // Two clocks.
        let (least, error) = (after.elapsed(), Duration::from_millis(2));
        let uptime = registry.uptime();
        assert!(
            (least - error..=before.elapsed() + error).contains(&uptime),
            "{uptime:?}, at least {least:?}"
        );
    }

    /// Small enough for Miri, and runs all `unsafe` code.
    #[test]
    fn no_record_is_lost_when_writers_come_and_go_while_a_reader_resets() {
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

    /// Counted by the log of the atomics in `sync`, not argued: no two writers store into the same cache line.
    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn no_two_threads_write_the_same_cache_line_once_they_have_seen_a_series() {
        const THREADS: usize = 4;
        let registry = Registry::builder().max_series(16).max_consumers(8).build().unwrap();
        let endpoints = ["/a", "/b", "/c"].map(|route| registry.endpoint("GET", route));
        let consumer = registry.consumer("a");
        let (counter, timer) = (registry.counter("events").unwrap(), registry.timer("steps").unwrap());
        let request = |recorder: &Recorder| {
            for (endpoint, status) in endpoints.into_iter().zip([200, 302, 204]) {
                for nanos in [70, 5_000, 1_000_000] {
                    recorder.record_nanos(endpoint, status, nanos);
                    registry.record_nanos(endpoint, status, nanos);
                }
                let outcome = Outcome::from(status);
                let start = recorder.start_method(1);
                recorder.enter(endpoint);
                recorder.leave(endpoint);
                recorder.finish_with_bytes(start, endpoint, outcome, 3, 5);
                recorder.finish(recorder.start(), endpoint, outcome);
                recorder.add_bytes(endpoint, outcome, 1, 2);
                recorder.count_truncated(endpoint, outcome);
                recorder.open_stream();
                recorder.close_stream();
                recorder.record_consumer(consumer, outcome, Duration::from_micros(1));
            }
            recorder.record_nanos(endpoints[0], 500, 5_000);
            counter.increment();
            timer.record(Duration::from_micros(7));
        };
        let all_have_recorders = std::sync::Barrier::new(THREADS);
        let lines: Vec<_> = std::thread::scope(|scope| {
            let write = || {
                let recorder = registry.recorder();
                // Creates the cells and the blocks of all octaves.
                (0..30).for_each(|_| request(&recorder));
                all_have_recorders.wait();
                let written = lines_written(|| (0..30).for_each(|_| request(&recorder)));
                // Until then, no shard is leased to another thread.
                all_have_recorders.wait();
                written
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(write)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut writers = std::collections::BTreeMap::<usize, usize>::new();
        lines.iter().flatten().for_each(|line| *writers.entry(*line).or_default() += 1);
        let shared = writers.values().filter(|&&threads| threads > 1).count();
        println!("{} lines, {shared} of them written by more than one thread", writers.len());
        assert_eq!(shared, 0);
        // Each thread wrote its cells, their buckets, and the counts of its shard.
        assert!(lines.iter().all(|lines| lines.len() > 20), "{lines:?}");
    }

    #[test]
    fn a_word_that_two_threads_write_is_in_the_logs_of_both() {
        let word = crate::sync::AtomicU64::new(0);
        let write = || lines_written(|| crate::sync::add(&word, 1));
        let other = std::thread::scope(|scope| scope.spawn(write).join().unwrap());
        assert_eq!((write(), other.len()), (other, 1));
    }
}
