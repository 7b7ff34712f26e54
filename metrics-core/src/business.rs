//! Metrics of the application's own: what it counts, times and keeps, beside its requests.
//!
//! # Synchronization
//!
//! Counters and distinct values are written to the calling thread's shard and added up by readers, as requests are; timers
//! have shards of their own, in which each is an endpoint. A gauge is one number for all threads: the last `set` wins.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::hyperloglog::{day_of, hash};
use crate::labels::endpoint::EndpointId;
use crate::record::local::LocalRecorders;
use crate::sync::{AtomicU64, Ordering};

/// Counts something, from any thread. Cheap to clone; clones are the same counter.
///
/// A count costs the look-up of a thread-local and a plain add.
#[derive(Debug, Clone)]
pub struct Counter {
    recorders: LocalRecorders,
    row: usize,
}

/// Keeps a number that goes up and down. Cheap to clone; clones are the same gauge.
#[derive(Debug, Clone)]
pub struct Gauge {
    /// The bits of a finite `f64`.
    value: Arc<AtomicU64>,
}

/// Times something, from any thread, with the precision of the registry. Cheap to clone; clones are the same timer.
///
/// ```
/// let registry = metrics_core::Registry::new();
/// let db = registry.timer("db_query").unwrap();
/// let rows = db.time(|| 7); // a closure
/// {
///     let _timing = db.start(); // until it is dropped
/// }
/// db.record(std::time::Duration::from_millis(3)); // what was measured elsewhere
/// # assert_eq!(rows, 7);
/// # let metrics_core::MetricFigures::Timer(figures) = &registry.summary().business[0].figures else { panic!() };
/// # assert_eq!(figures.calls, 3);
/// ```
#[derive(Debug, Clone)]
pub struct Timer {
    /// Those of timers, not those of requests.
    timers: LocalRecorders,
    timer: EndpointId,
}

/// Times from when it was made until it is dropped.
#[derive(Debug)]
#[must_use = "it times until it is dropped"]
pub struct Timing<'a> {
    timer: &'a Timer,
    start: u64,
}

/// Counts how often something is found, such as in a cache. Cheap to clone; clones are the same metric.
#[derive(Debug, Clone)]
pub struct HitRatio {
    hits: Counter,
    misses: Counter,
}

/// Counts the distinct values of a day (UTC), such as its users. Cheap to clone; clones are the same metric.
///
/// A HyperLogLog of 8,192 registers: the estimate's standard error is 1.15 %. Values are not kept, only hashes of them, of
/// which no value can be told. It takes 16 KiB for each thread that inserts.
#[derive(Debug, Clone)]
pub struct UniqueCount {
    recorders: LocalRecorders,
    row: usize,
}

impl Counter {
    pub(crate) fn new(recorders: LocalRecorders, row: usize) -> Self {
        Self { recorders, row }
    }

    /// Adds 1.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.recorders.with(|recorder| recorder.metrics().add(self.row, amount));
    }

    /// What was added since the start, whatever was reset.
    ///
    /// Adds up what each thread counted, so it costs more than a count, and more with each thread. What the calling thread
    /// added is in it, and so is what others added before they were synchronised with it.
    pub fn value(&self) -> u64 {
        let shards = self.recorders.shared().shards();
        shards.iter().fold(0, |sum, shard| sum.wrapping_add(shard.metrics().counter(self.row)))
    }
}

impl Gauge {
    pub(crate) fn new(value: Arc<AtomicU64>) -> Self {
        Self { value }
    }

    /// Puts another number in. One that is not finite is not taken.
    pub fn set(&self, value: f64) {
        if value.is_finite() {
            // ORDERING: Relaxed, here and below; a figure by itself.
            self.value.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// Adds to the number in it. What would not be finite is not taken.
    pub fn add(&self, amount: f64) {
        let mut now = self.value.load(Ordering::Relaxed);
        loop {
            let sum = f64::from_bits(now) + amount;
            if !sum.is_finite() {
                return;
            }
            match self.value.compare_exchange_weak(now, sum.to_bits(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Takes off the number in it.
    pub fn sub(&self, amount: f64) {
        self.add(-amount);
    }

    /// The number in it.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }
}

/// Every time is counted under this status.
const TIMED: u16 = 200;

impl Timer {
    pub(crate) fn new(timers: LocalRecorders, timer: EndpointId) -> Self {
        Self { timers, timer }
    }

    /// Records what was measured elsewhere.
    #[inline]
    pub fn record(&self, elapsed: Duration) {
        self.timers.with(|recorder| recorder.record(self.timer, TIMED, elapsed));
    }

    /// Times until what it gives is dropped, panic and cancellation included.
    #[inline]
    pub fn start(&self) -> Timing<'_> {
        Timing { timer: self, start: self.timers.shared().clock().raw() }
    }

    /// Times a closure.
    #[inline]
    pub fn time<R>(&self, run: impl FnOnce() -> R) -> R {
        let _timing = self.start();
        run()
    }

    /// Times a future, from its first poll to its end, or until it is dropped.
    pub async fn time_async<F: Future>(&self, future: F) -> F::Output {
        let _timing = self.start();
        future.await
    }
}

impl Timing<'_> {
    /// Records nothing.
    pub fn discard(self) {
        std::mem::forget(self);
    }
}

impl Drop for Timing<'_> {
    #[inline]
    fn drop(&mut self) {
        let Timer { timers, timer } = self.timer;
        let clock = timers.shared().clock();
        let nanos = clock.nanos(self.start, clock.raw());
        timers.with(|recorder| recorder.record_nanos(*timer, TIMED, nanos));
    }
}

impl HitRatio {
    pub(crate) fn new(hits: Counter, misses: Counter) -> Self {
        Self { hits, misses }
    }

    /// Something was found.
    #[inline]
    pub fn hit(&self) {
        self.hits.increment();
    }

    /// Something was not found.
    #[inline]
    pub fn miss(&self) {
        self.misses.increment();
    }
}

impl UniqueCount {
    pub(crate) fn new(recorders: LocalRecorders, row: usize) -> Self {
        Self { recorders, row }
    }

    /// Counts a value, unless it was counted today already.
    pub fn insert(&self, value: impl AsRef<[u8]>) {
        let (hash, day) = (hash(value.as_ref()), day_of(SystemTime::now()));
        self.recorders.with(|recorder| recorder.metrics().insert(self.row, hash, day));
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::read::summary::metrics::MetricFigures;
    use crate::registry::Registry;
    use std::collections::BTreeMap;

    fn figures(registry: &Registry) -> BTreeMap<String, MetricFigures> {
        let business = registry.summary().business;
        business.into_iter().map(|metric| (metric.name.to_string(), metric.figures)).collect()
    }

    #[test]
    fn what_every_thread_counted_is_added_up() {
        let registry = Registry::new();
        let counter = registry.counter("analysis_requests").unwrap();
        let cache = registry.hit_ratio("cache").unwrap();
        let (db, queue) = (registry.timer("db_query").unwrap(), registry.gauge("queue_length").unwrap());
        let users = registry.unique("daily_active_users").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (counter, cache, db, queue, users) = (&counter, &cache, &db, &queue, &users);
                scope.spawn(move || {
                    for i in 0..100_u64 {
                        counter.add(2);
                        if i % 4 == 0 {
                            cache.miss()
                        } else {
                            cache.hit()
                        }
                        db.record(Duration::from_micros(100 + i));
                        queue.add(1.0);
                        users.insert((thread * 50 + i).to_le_bytes());
                    }
                    queue.sub(50.0);
                });
            }
        });
        let figures = figures(&registry);
        assert_eq!(figures["analysis_requests"], MetricFigures::Counter(800));
        assert_eq!(counter.value(), 800);
        assert_eq!(figures["cache"], MetricFigures::HitRatio { hits: 300, misses: 100 });
        assert_eq!(figures["queue_length"], MetricFigures::Gauge(200.0));
        let MetricFigures::Timer(times) = &figures["db_query"] else { panic!("{figures:?}") };
        assert_eq!((times.calls, times.errors), (400, 0));
        assert_eq!((times.min, times.max), (Duration::from_micros(100), Duration::from_micros(199)));
        let MetricFigures::UniqueCount { today, yesterday } = figures["daily_active_users"] else { panic!() };
        // The day can turn between two inserts.
        assert!((240..=260).contains(&(today + yesterday)), "{today} {yesterday}");
        assert_eq!(registry.summary().total.calls, 0);
    }

    #[test]
    fn a_reset_begins_a_window_for_what_is_counted_and_keeps_what_is_kept() {
        let registry = Registry::new();
        let (counter, gauge) = (registry.counter("jobs").unwrap(), registry.gauge("depth").unwrap());
        let timer = registry.timer("work").unwrap();
        counter.add(3);
        gauge.set(7.5);
        gauge.set(f64::NAN);
        assert_eq!(timer.time(|| 5), 5);
        timer.start().discard();
        let closed = registry.reset().business;
        assert_eq!(closed[1].figures, MetricFigures::Counter(3));
        counter.increment();
        let figures = figures(&registry);
        assert_eq!(figures["jobs"], MetricFigures::Counter(1));
        assert_eq!(counter.value(), 4);
        assert_eq!(figures["depth"], MetricFigures::Gauge(7.5));
        assert_eq!(figures["work"], MetricFigures::Timer(Box::default()));
    }
}
