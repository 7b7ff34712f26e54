//! Metrics of the application's own: what it counts, times and keeps, beside its requests.
//!
//! # Synchronization
//!
//! Counters and distinct values are written to the calling thread's shard and added up by readers, as requests are; timers
//! are a registry of their own inside of the registry. A gauge is one number for all threads: whoever sets it last wins.
//! Names are interned under a lock, off the recording path; handles hold what they found.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::labels::endpoint::EndpointId;
use crate::read::merge_error::MergeError;
use crate::read::snapshot::GroupSnapshot;
use crate::read::summary::Figures;
use crate::record::shard::Shard;
use crate::record::shard::counters;
use crate::record::shard::distinct::{self, Registers, day_of};
use crate::registry::Registry;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The most metrics of a kind that a registry has, but for those that take much memory.
pub(crate) const MAX_METRICS: usize = 128;

/// The longest name of a metric, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Something that only grows.
    Counter,
    /// Something that goes up and down.
    Gauge,
    /// How long something takes.
    Timer,
    /// How often something is found.
    HitRatio,
    /// How many distinct values there are in a day.
    UniqueCount,
}

/// A metric that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The name is not one that Prometheus takes.
    #[error(
        "metric name is {name:?}; allowed: letters, digits and _, not a digit first, up to {MAX_NAME_BYTES} bytes"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// There is a metric of this name, but of another kind.
    #[error("metric {name:?} is a {known:?} already; allowed: another name for the {asked:?}")]
    Kind {
        /// The name.
        name: String,
        /// What the metric is.
        known: MetricKind,
        /// What it was asked for as.
        asked: MetricKind,
    },
    /// There are as many as fit.
    #[error("metric {name:?} does not fit; allowed: {max} of kind {kind:?}")]
    Full {
        /// The name.
        name: String,
        /// What it was asked for as.
        kind: MetricKind,
        /// How many of that kind fit.
        max: usize,
    },
}

/// Counts something, from any thread. Cheap to clone; clones are the same counter.
///
/// A count costs the look-up of a thread-local and a plain add.
#[derive(Debug, Clone)]
pub struct Counter {
    registry: Registry,
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
    /// The registry of timers, not that of requests.
    timers: Registry,
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
    registry: Registry,
    row: usize,
}

/// The names of a registry's metrics, and what is kept for all threads together.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    named: Mutex<Named>,
}

#[derive(Debug, Default)]
struct Named {
    metrics: BTreeMap<Arc<str>, Metric>,
    /// How many there are, by kind.
    made: HashMap<MetricKind, usize>,
    /// Rows of counters in use, of which a hit ratio takes two.
    rows: usize,
    /// Where the timers are, if there are any.
    timers: Option<Registry>,
}

#[derive(Debug, Clone)]
enum Metric {
    Counter { row: usize },
    Gauge { value: Arc<AtomicU64> },
    Timer { timer: EndpointId, timers: Registry },
    HitRatio { hits: usize },
    UniqueCount { row: usize },
}

impl Metric {
    fn kind(&self) -> MetricKind {
        match self {
            Self::Counter { .. } => MetricKind::Counter,
            Self::Gauge { .. } => MetricKind::Gauge,
            Self::Timer { .. } => MetricKind::Timer,
            Self::HitRatio { .. } => MetricKind::HitRatio,
            Self::UniqueCount { .. } => MetricKind::UniqueCount,
        }
    }
}

impl Named {
    fn get_or_insert(
        &mut self,
        name: &str,
        asked: MetricKind,
        make: impl FnOnce(&mut Self) -> Metric,
    ) -> Result<Metric, MetricError> {
        if let Some(known) = self.metrics.get(name) {
            if known.kind() == asked {
                return Ok(known.clone());
            }
            return Err(MetricError::Kind { name: name.to_owned(), known: known.kind(), asked });
        }
        let starts_right = !name.starts_with(|c: char| c.is_ascii_digit());
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
        if !fits || !starts_right || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(MetricError::Name { name: name.chars().take(MAX_NAME_BYTES).collect() });
        }
        let made = self.made.entry(asked).or_default();
        let max = asked.max();
        if *made == max {
            return Err(MetricError::Full { name: name.to_owned(), kind: asked, max });
        }
        *made += 1;
        let metric = make(self);
        self.metrics.insert(name.into(), metric.clone());
        Ok(metric)
    }

    /// The next free rows of counters.
    fn counter_rows(&mut self, rows: usize) -> usize {
        let row = self.rows;
        self.rows += rows;
        row
    }
}

impl MetricKind {
    /// The most metrics of this kind that a registry has.
    fn max(self) -> usize {
        if self == Self::UniqueCount { counters::UNIQUES } else { MAX_METRICS }
    }
}

impl Registry {
    /// The counter of a name, made at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// A name that Prometheus does not take, or that is something else already, or one too many.
    pub fn counter(&self, name: &str) -> Result<Counter, MetricError> {
        let make = |named: &mut Named| Metric::Counter { row: named.counter_rows(1) };
        match self.metric(name, MetricKind::Counter, make)? {
            Metric::Counter { row } => Ok(Counter { registry: self.clone(), row }),
            other => unreachable!("asked for a counter, got {other:?}"),
        }
    }

    /// The gauge of a name, made at the first call, with 0 in it. Keep it.
    ///
    /// # Errors
    ///
    /// As for [`Registry::counter`].
    pub fn gauge(&self, name: &str) -> Result<Gauge, MetricError> {
        let make = |_: &mut Named| Metric::Gauge { value: Arc::default() };
        match self.metric(name, MetricKind::Gauge, make)? {
            Metric::Gauge { value } => Ok(Gauge { value }),
            other => unreachable!("asked for a gauge, got {other:?}"),
        }
    }

    /// The timer of a name, made at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// As for [`Registry::counter`].
    pub fn timer(&self, name: &str) -> Result<Timer, MetricError> {
        let make = |named: &mut Named| {
            let timers = named.timers.get_or_insert_with(|| self.for_timers(MAX_METRICS)).clone();
            Metric::Timer { timer: timers.endpoint("", name), timers }
        };
        match self.metric(name, MetricKind::Timer, make)? {
            Metric::Timer { timer, timers } => Ok(Timer { timers, timer }),
            other => unreachable!("asked for a timer, got {other:?}"),
        }
    }

    /// The hit ratio of a name, made at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// As for [`Registry::counter`].
    pub fn hit_ratio(&self, name: &str) -> Result<HitRatio, MetricError> {
        let make = |named: &mut Named| Metric::HitRatio { hits: named.counter_rows(2) };
        match self.metric(name, MetricKind::HitRatio, make)? {
            Metric::HitRatio { hits } => {
                let counter = |row| Counter { registry: self.clone(), row };
                Ok(HitRatio { hits: counter(hits), misses: counter(hits + 1) })
            }
            other => unreachable!("asked for a hit ratio, got {other:?}"),
        }
    }

    /// The count of distinct values of a name, made at the first call. Keep it.
    ///
    /// # Errors
    ///
    /// As for [`Registry::counter`].
    pub fn unique(&self, name: &str) -> Result<UniqueCount, MetricError> {
        let make = |named: &mut Named| Metric::UniqueCount { row: named.made[&MetricKind::UniqueCount] - 1 };
        match self.metric(name, MetricKind::UniqueCount, make)? {
            Metric::UniqueCount { row } => Ok(UniqueCount { registry: self.clone(), row }),
            other => unreachable!("asked for a count of distinct values, got {other:?}"),
        }
    }

    fn metric(
        &self,
        name: &str,
        asked: MetricKind,
        make: impl FnOnce(&mut Named) -> Metric,
    ) -> Result<Metric, MetricError> {
        lock(&self.metrics().named).get_or_insert(name, asked, make)
    }
}

impl Counter {
    /// Adds 1.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.registry.with_recorder(|recorder| recorder.metrics().add(self.row, amount));
    }

    /// What was added since the start, whatever was reset.
    ///
    /// Adds up what each thread counted, so it costs more than a count, and more with each thread. What the calling thread
    /// added is in it, and so is what others added before they were synchronised with it.
    pub fn value(&self) -> u64 {
        let shards = self.registry.shards();
        shards.iter().fold(0, |sum, shard| sum.wrapping_add(shard.metrics().counter(self.row)))
    }
}

impl Gauge {
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
    /// Records what was measured elsewhere.
    #[inline]
    pub fn record(&self, elapsed: Duration) {
        self.timers.record(self.timer, TIMED, elapsed);
    }

    /// Times until what it gives is dropped, panic and cancellation included.
    #[inline]
    pub fn start(&self) -> Timing<'_> {
        Timing { timer: self, start: self.timers.clock().raw() }
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
        let clock = timers.clock();
        timers.record_nanos(*timer, TIMED, clock.nanos(self.start, clock.raw()));
    }
}

impl HitRatio {
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
    /// Counts a value, unless it was counted today already.
    pub fn insert(&self, value: impl AsRef<[u8]>) {
        let (hash, day) = (distinct::hash(value.as_ref()), day_of(SystemTime::now()));
        self.registry.with_recorder(|recorder| recorder.metrics().insert(self.row, hash, day));
    }
}

/// The state of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSnapshot {
    pub(crate) name: Arc<str>,
    pub(crate) state: MetricState,
}

/// What a metric holds, cumulative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricState {
    Counter(u64),
    Gauge(f64),
    /// `None` before the first time.
    Timer(Option<Box<GroupSnapshot>>),
    HitRatio {
        hits: u64,
        misses: u64,
    },
    UniqueCount {
        today: Registers,
        yesterday: Registers,
    },
}

/// One metric's figures in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// What the metric is called.
    pub name: Arc<str>,
    /// Its figures.
    pub figures: MetricFigures,
}

/// The figures of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricFigures {
    /// By how much it grew in the window.
    Counter(u64),
    /// What is in it now.
    Gauge(f64),
    /// Times that ended in the window: `calls` of them, none an error.
    Timer(Box<Figures>),
    /// Hits and misses in the window.
    HitRatio {
        /// How often something was found.
        hits: u64,
        /// How often it was not.
        misses: u64,
    },
    /// How many distinct values there were, whatever the window. Standard error: 1.15 %.
    UniqueCount {
        /// Since midnight (UTC).
        today: u64,
        /// On the day before.
        yesterday: u64,
    },
}

impl MetricSummary {
    /// [`MetricFigures::hit_rate`].
    pub fn hit_rate(&self) -> Option<f64> {
        self.figures.hit_rate()
    }
}

impl MetricFigures {
    /// Hits in per cent of hits and misses; `None` for what is no hit ratio, and 0 where there was neither.
    pub fn hit_rate(&self) -> Option<f64> {
        let &Self::HitRatio { hits, misses } = self else { return None };
        let all = hits.saturating_add(misses);
        Some(if all == 0 { 0.0 } else { hits as f64 * 100.0 / all as f64 })
    }

    /// How much was counted: of a timer its times, of a hit ratio hits and misses; `None` for what is kept and not counted.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Counter(count) => Some(*count),
            Self::Timer(times) => Some(times.calls),
            Self::HitRatio { hits, misses } => Some(hits.saturating_add(*misses)),
            Self::Gauge(_) | Self::UniqueCount { .. } => None,
        }
    }
}

impl MetricSnapshot {
    /// What was counted since an earlier state, and what is kept now.
    fn difference(&self, earlier: Option<&Self>) -> Self {
        let state = match (&self.state, earlier.map(|earlier| &earlier.state)) {
            (MetricState::Counter(now), Some(MetricState::Counter(before))) => {
                MetricState::Counter(now.saturating_sub(*before))
            }
            (MetricState::HitRatio { hits, misses }, Some(MetricState::HitRatio { hits: h, misses: m })) => {
                MetricState::HitRatio { hits: hits.saturating_sub(*h), misses: misses.saturating_sub(*m) }
            }
            (MetricState::Timer(Some(now)), Some(MetricState::Timer(before))) => {
                MetricState::Timer(now.difference(before.as_deref(), None).map(Box::new))
            }
            _ => self.state.clone(),
        };
        Self { name: Arc::clone(&self.name), state }
    }

    pub(crate) fn summary(&self) -> MetricSummary {
        let figures = match &self.state {
            MetricState::Counter(count) => MetricFigures::Counter(*count),
            MetricState::Gauge(value) => MetricFigures::Gauge(*value),
            MetricState::Timer(times) => {
                MetricFigures::Timer(Box::new(Figures::of(times.as_deref().into_iter())))
            }
            &MetricState::HitRatio { hits, misses } => MetricFigures::HitRatio { hits, misses },
            MetricState::UniqueCount { today, yesterday } => {
                MetricFigures::UniqueCount { today: today.estimate(), yesterday: yesterday.estimate() }
            }
        };
        MetricSummary { name: Arc::clone(&self.name), figures }
    }

    /// Makes today's distinct values those of so many days ago.
    fn age(&mut self, days: u64) {
        let MetricState::UniqueCount { today, yesterday } = &mut self.state else { return };
        match days {
            0 => {}
            1 => *yesterday = std::mem::take(today),
            _ => (*today, *yesterday) = Default::default(),
        }
    }

    /// Adds another registry's metric of the same name. One of another kind is left out.
    fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        match (&mut self.state, &other.state) {
            (MetricState::Counter(ours), MetricState::Counter(theirs)) => {
                *ours = ours.saturating_add(*theirs)
            }
            (MetricState::Gauge(ours), MetricState::Gauge(theirs)) => {
                // Finite, as each of them is.
                *ours = (*ours + theirs).clamp(f64::MIN, f64::MAX);
            }
            (MetricState::HitRatio { hits, misses }, MetricState::HitRatio { hits: h, misses: m }) => {
                (*hits, *misses) = (hits.saturating_add(*h), misses.saturating_add(*m));
            }
            (MetricState::Timer(Some(ours)), MetricState::Timer(Some(theirs))) => ours.merge(theirs)?,
            (MetricState::Timer(ours @ None), MetricState::Timer(theirs)) => ours.clone_from(theirs),
            (
                MetricState::UniqueCount { today, yesterday },
                MetricState::UniqueCount { today: t, yesterday: y },
            ) => {
                today.merge(t);
                yesterday.merge(y);
            }
            _ => {}
        }
        Ok(())
    }

    /// The group of statuses that a timer's times are in.
    pub(crate) fn timer_mut(&mut self) -> Option<&mut GroupSnapshot> {
        match &mut self.state {
            MetricState::Timer(times) => times.as_deref_mut(),
            _ => None,
        }
    }
}

/// What each metric counted since an earlier state.
pub(crate) fn metrics_since(now: &[MetricSnapshot], earlier: &[MetricSnapshot]) -> Vec<MetricSnapshot> {
    let before = |name: &Arc<str>| earlier.iter().find(|metric| metric.name == *name);
    now.iter().map(|metric| metric.difference(before(&metric.name))).collect()
}

/// Adds another registry's metrics to these; each of them with the time as of which it is.
pub(crate) fn merge_metrics(
    (ours, our_time): (&mut Vec<MetricSnapshot>, SystemTime),
    (theirs, their_time): (&[MetricSnapshot], SystemTime),
) -> Result<(), MergeError> {
    let (our_day, their_day) = (day_of(our_time), day_of(their_time));
    let newest = our_day.max(their_day);
    ours.iter_mut().for_each(|metric| metric.age(newest - our_day));
    for theirs in theirs {
        let mut theirs = theirs.clone();
        theirs.age(newest - their_day);
        match ours.iter_mut().find(|ours| ours.name == theirs.name) {
            Some(ours) => ours.merge(&theirs)?,
            None => ours.push(theirs),
        }
    }
    ours.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

pub(crate) fn summarise_metrics(metrics: &[MetricSnapshot]) -> Vec<MetricSummary> {
    metrics.iter().map(MetricSnapshot::summary).collect()
}

impl Metrics {
    /// The shards of the timers, if there are any: in bytes.
    pub(crate) fn shard_bytes(&self) -> usize {
        let timers = lock(&self.named).timers.clone();
        timers.map_or(0, |timers| timers.shard_bytes())
    }

    /// Whether there is a metric of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        lock(&self.named).metrics.contains_key(name)
    }

    /// The state of all metrics, by name.
    pub(crate) fn snapshot(&self, shards: &[Arc<Shard>], now: SystemTime) -> Vec<MetricSnapshot> {
        let (metrics, timers) = {
            let named = lock(&self.named);
            if named.metrics.is_empty() {
                return Vec::new();
            }
            (named.metrics.clone(), named.timers.clone())
        };
        let timers = timers.map(|timers| timers.snapshot_of_requests());
        let counter =
            |row| shards.iter().fold(0_u64, |sum, shard| sum.wrapping_add(shard.metrics().counter(row)));
        let distinct = |row, day| {
            let mut sum = Registers::default();
            shards.iter().for_each(|shard| shard.metrics().add_registers(row, day, &mut sum));
            sum
        };
        let timer = |name: &str| {
            let endpoint = timers.as_ref()?.endpoints.iter().find(|timer| &*timer.name.route == name)?;
            endpoint.groups.first().cloned().map(Box::new)
        };
        let today = day_of(now);
        let state = |name: &str, metric| match metric {
            Metric::Counter { row } => MetricState::Counter(counter(row)),
            Metric::Gauge { value } => MetricState::Gauge(f64::from_bits(value.load(Ordering::Relaxed))),
            Metric::Timer { .. } => MetricState::Timer(timer(name)),
            Metric::HitRatio { hits } => {
                MetricState::HitRatio { hits: counter(hits), misses: counter(hits + 1) }
            }
            Metric::UniqueCount { row } => MetricState::UniqueCount {
                today: distinct(row, today),
                yesterday: distinct(row, today.wrapping_sub(1)),
            },
        };
        metrics
            .into_iter()
            .map(|(name, metric)| MetricSnapshot { state: state(&name, metric), name })
            .collect()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

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

    #[test]
    fn a_name_is_one_thing_and_one_that_is_refused_says_what_is_allowed() {
        let registry = Registry::new();
        registry.counter("jobs").unwrap().increment();
        registry.counter("jobs").unwrap().increment();
        assert_eq!(figures(&registry)["jobs"], MetricFigures::Counter(2));
        let kind = registry.timer("jobs").unwrap_err();
        assert_eq!(
            kind.to_string(),
            "metric \"jobs\" is a Counter already; allowed: another name for the Timer"
        );
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for name in ["", "1st", "a-b", "a:b", "caf\u{e9}", long.as_str()] {
            let error = registry.gauge(name).unwrap_err();
            assert!(matches!(error, MetricError::Name { .. }), "{error}");
        }
        for i in 0..MAX_METRICS {
            registry.timer(&format!("timer_{i}")).unwrap().record(Duration::ZERO);
            registry.hit_ratio(&format!("ratio_{i}")).unwrap().miss();
            registry.counter(&format!("counter_{i}")).ok();
        }
        assert_eq!(figures(&registry)["counter_0"], MetricFigures::Counter(0));
        for error in [
            registry.timer("one_more").unwrap_err(),
            registry.counter("one_more").unwrap_err(),
            registry.hit_ratio("one_more").unwrap_err(),
        ] {
            assert!(matches!(error, MetricError::Full { .. }), "{error}");
        }
        assert!(registry.timer("timer_0").is_ok());
    }

    #[test]
    fn metrics_of_two_registries_are_added_by_name() {
        let made = |count, nanos| {
            let registry = Registry::new();
            registry.counter("jobs").unwrap().add(count);
            registry.timer("work").unwrap().record(Duration::from_nanos(nanos));
            registry.unique("users").unwrap().insert(count.to_le_bytes());
            registry.snapshot()
        };
        let mut merged = made(2, 1_000);
        let text = serde_json::to_string(&made(3, 3_000)).unwrap();
        merged.merge(&serde_json::from_str(&text).unwrap()).unwrap();
        let business = merged.summary().business;
        assert_eq!(business[0].figures, MetricFigures::Counter(5));
        let MetricFigures::UniqueCount { today, yesterday } = business[1].figures else { panic!() };
        assert_eq!(today + yesterday, 2);
        let MetricFigures::Timer(times) = &business[2].figures else { panic!() };
        assert_eq!((times.calls, times.sum), (2, Duration::from_nanos(4_000)));
    }

    #[test]
    fn distinct_values_of_two_days_are_not_mixed() {
        let of = |day: u64, values: std::ops::Range<u64>| {
            let registry = Registry::new();
            let users = registry.unique("users").unwrap();
            let mut snapshot = registry.snapshot();
            let distinct = distinct::Distinct::new();
            values.for_each(|value| distinct.insert(distinct::hash(&value.to_le_bytes()), day));
            let mut today = Registers::default();
            distinct.add_to(day, &mut today);
            drop(users);
            snapshot.metrics[0].state = MetricState::UniqueCount { today, yesterday: Registers::default() };
            snapshot.taken = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + 40);
            snapshot
        };
        let merged = |mut one: crate::Snapshot, other: &crate::Snapshot| {
            one.merge(other).unwrap();
            one.summary().business[0].figures.clone()
        };
        let (old, new) = (of(100, 0..7), of(101, 5..10));
        let expected = MetricFigures::UniqueCount { today: 5, yesterday: 7 };
        assert_eq!(merged(old.clone(), &new), expected);
        assert_eq!(merged(new.clone(), &old), expected);
        assert_eq!(merged(of(102, 0..3), &old), MetricFigures::UniqueCount { today: 3, yesterday: 0 });
        assert_eq!(merged(new, &of(101, 8..12)), MetricFigures::UniqueCount { today: 7, yesterday: 0 });
    }
}
