//! The application's own metrics: counters, gauges, timers, hit ratios, unique counts.
//!
//! # Synchronization
//!
//! Counters and distinct values are written to the calling thread's shard and added up by readers, as requests are.
//! Timers have their own shards, in which each timer is an endpoint. A gauge is one number for all threads: the last
//! `set` wins.
//!
//! A handle with labels is like any other: it knows where its series is, so a write through it costs the same.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::core::metrics::{no_timer, timer_endpoint};
use crate::hyperloglog::{day_of, hash};
use crate::labels::endpoint::EndpointId;
use crate::labels::label_set::LabelSet;
use crate::labels::metric_family::{MakeTimer, MetricFamily, Series, Storage, gauge_value};
use crate::record::local::LocalRecorders;
use crate::sync::{AtomicU64, Ordering};

/// Which series of which metric a handle is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    metric: Arc<MetricFamily>,
    series: Arc<Series>,
}

/// A count that any thread can add to. Cheap to clone; clones are the same counter.
///
/// Adding costs the look-up of a thread-local and a plain add.
///
/// ```
/// let registry = metrics_core::Registry::new();
/// let jobs = registry.counter("jobs")?;
/// let mail = jobs.with("queue", "mail"); // look it up once, and keep it
/// let urgent = jobs.with_labels([("queue", "mail"), ("priority", "high")]);
/// mail.increment();
/// urgent.add(2);
/// let series: Vec<_> = registry.summary().business.iter().map(|metric| metric.series().into_owned()).collect();
/// assert_eq!(series, [r#"jobs{priority="high",queue="mail"}"#, r#"jobs{queue="mail"}"#]);
/// # Ok::<(), metrics_core::MetricError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Counter {
    recorders: LocalRecorders,
    row: usize,
    identity: Identity,
}

/// A number that goes up and down. Cheap to clone; clones are the same gauge.
#[derive(Debug, Clone)]
pub struct Gauge {
    /// The bits of a finite `f64`.
    value: Arc<AtomicU64>,
    identity: Identity,
}

/// Measures how long something takes, from any thread, with the precision of the registry. Cheap to clone; clones are
/// the same timer.
///
/// ```
/// let registry = metrics_core::Registry::new();
/// let db = registry.timer("db_query").unwrap();
/// let rows = db.time(|| 7); // a closure
/// {
///     let _timing = db.start(); // until it is dropped
/// }
/// db.record(std::time::Duration::from_millis(3)); // measured elsewhere
/// # assert_eq!(rows, 7);
/// # let metrics_core::MetricFigures::Timer(figures) = &registry.summary().business[0].figures else { panic!() };
/// # assert_eq!(figures.calls, 3);
/// ```
#[derive(Debug, Clone)]
pub struct Timer {
    /// The timers' recorders, not those of requests.
    timers: LocalRecorders,
    timer: EndpointId,
    identity: Identity,
}

/// A measurement that ends when this is dropped.
#[derive(Debug)]
#[must_use = "the measurement ends when this is dropped"]
pub struct Timing<'a> {
    timer: &'a Timer,
    start: u64,
}

/// How often something is found, such as in a cache. Cheap to clone; clones are the same metric.
#[derive(Debug, Clone)]
pub struct HitRatio {
    recorders: LocalRecorders,
    hits: usize,
    identity: Identity,
}

/// The number of distinct values in a day (UTC), such as users. Cheap to clone; clones are the same metric.
///
/// A HyperLogLog of 8,192 registers: the standard error of the estimate is 1.15 %. It keeps no values, and none can be
/// recovered from it. Each series takes 16 KiB for each thread that inserts into it, so there are few sets of labels.
///
/// ```
/// let registry = metrics_core::Registry::new();
/// let users = registry.unique("users")?;
/// users.with("plan", "free").insert("Ann");
/// users.with("plan", "pro").insert("Ann");
/// let count = |figures: &_| match figures {
///     metrics_core::MetricFigures::UniqueCount { today, yesterday } => today + yesterday,
///     other => panic!("{other:?}"),
/// };
/// let snapshot = registry.snapshot();
/// let each: Vec<_> = snapshot.summary().business.iter().map(|metric| count(&metric.figures)).collect();
/// let together: Vec<_> = snapshot.metric_totals().iter().map(|metric| count(&metric.figures)).collect();
/// assert_eq!((each, together), (vec![1, 1], vec![1]));
/// # Ok::<(), metrics_core::MetricError>(())
/// ```
#[derive(Debug, Clone)]
pub struct UniqueCount {
    recorders: LocalRecorders,
    row: usize,
    identity: Identity,
}

impl Identity {
    /// The series of a metric without labels.
    pub(crate) fn plain(metric: Arc<MetricFamily>) -> Self {
        Self { series: Arc::clone(metric.plain()), metric }
    }

    fn with<'a>(
        &'a self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        timer: MakeTimer<'_>,
    ) -> Self {
        let series = self.metric.with(&self.series, &mut labels.into_iter(), timer);
        Self { metric: Arc::clone(&self.metric), series }
    }
}

/// The methods of handles of metrics that have labels.
macro_rules! labelled {
    ($handle:ident) => {
        impl $handle {
            /// Returns the handle of the series with this label and those of this handle.
            ///
            /// For several labels, call [`with_labels`](Self::with_labels) once: each set of labels takes room. Names
            /// and values are made valid as described at [`LabelSet`], so this never fails.
            ///
            /// A metric has up to 128 sets of labels, and those of a registry take up to 1,024 rows of counters (a hit
            /// ratio takes two), 1,024 gauges, 512 timers and 32 unique counts. What does not fit goes to the series
            /// whose labels are all `_other`, and
            /// [`Health::label_sets_refused`](crate::Health::label_sets_refused) counts such look-ups.
            ///
            /// If the labels are known, a look-up takes a lock that it shares with other such look-ups, and allocates
            /// nothing. It costs about 0.1 µs, as much as dozens of writes, so keep the handle where you can.
            pub fn with(&self, name: &str, value: &str) -> Self {
                self.with_labels([(name, value)])
            }

            /// Returns the labels of this handle's series: those that were passed, or those of `_other`.
            pub fn labels(&self) -> &LabelSet {
                self.identity.series.labels()
            }
        }
    };
}

labelled!(Counter);
labelled!(Gauge);
labelled!(Timer);
labelled!(HitRatio);
labelled!(UniqueCount);

impl Counter {
    pub(crate) fn new(recorders: LocalRecorders, identity: Identity) -> Self {
        let &Storage::Counter { row } = identity.series.storage() else {
            unreachable!("a counter has a row")
        };
        Self { recorders, row, identity }
    }

    /// Like [`with`](Self::with), with several labels at once. Of more than [`MAX_LABELS`](crate::MAX_LABELS), the last
    /// are left out.
    pub fn with_labels<'a>(&'a self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(self.recorders.clone(), self.identity.with(labels, &no_timer))
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

    /// Returns the total added since the start. Resets do not affect it.
    ///
    /// It sums up the counts of all threads, so it costs more with each thread. It includes everything that the calling
    /// thread added, and everything that other threads added before they synchronised with it.
    pub fn value(&self) -> u64 {
        let shards = self.recorders.shared().shards();
        shards.iter().fold(0, |sum, shard| sum.wrapping_add(shard.metrics().counter(self.row)))
    }
}

impl Gauge {
    pub(crate) fn new(identity: Identity) -> Self {
        let Storage::Gauge { value } = identity.series.storage() else {
            unreachable!("a gauge has a number")
        };
        Self { value: Arc::clone(value), identity }
    }

    /// Like [`Counter::with_labels`].
    pub fn with_labels<'a>(&'a self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(self.identity.with(labels, &no_timer))
    }

    /// Sets the number. Ignores one that is not finite.
    pub fn set(&self, value: f64) {
        if value.is_finite() {
            // ORDERING: Relaxed, here and below; the number orders nothing else.
            self.value.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// Adds to the number. Ignores an amount whose sum would not be finite.
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

    /// Subtracts from the number. Ignores an amount whose difference would not be finite.
    pub fn sub(&self, amount: f64) {
        self.add(-amount);
    }

    /// Returns the number.
    pub fn value(&self) -> f64 {
        gauge_value(self.value.load(Ordering::Relaxed)).unwrap_or(0.0)
    }
}

/// All durations of timers are recorded with this status.
const TIMED: u16 = 200;

impl Timer {
    pub(crate) fn new(timers: LocalRecorders, identity: Identity) -> Self {
        let &Storage::Timer { timer } = identity.series.storage() else {
            unreachable!("a timer has an endpoint")
        };
        Self { timers, timer, identity }
    }

    /// Like [`Counter::with_labels`].
    pub fn with_labels<'a>(&'a self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let identity = self.identity.with(labels, &|number| timer_endpoint(&self.timers, number));
        Self::new(self.timers.clone(), identity)
    }

    /// Records a duration that was measured elsewhere.
    #[inline]
    pub fn record(&self, elapsed: Duration) {
        self.timers.with(|recorder| recorder.record(self.timer, TIMED, elapsed));
    }

    /// Starts a measurement that ends when the returned guard is dropped, also by a panic or a cancellation.
    #[inline]
    pub fn start(&self) -> Timing<'_> {
        Timing { timer: self, start: self.timers.shared().clock().raw() }
    }

    /// Measures a closure.
    #[inline]
    pub fn time<R>(&self, run: impl FnOnce() -> R) -> R {
        let _timing = self.start();
        run()
    }

    /// Measures a future, from its first poll until it ends or is dropped.
    pub async fn time_async<F: Future>(&self, future: F) -> F::Output {
        let _timing = self.start();
        future.await
    }
}

impl Timing<'_> {
    /// Ends the measurement without recording it.
    pub fn discard(self) {
        std::mem::forget(self);
    }
}

impl Drop for Timing<'_> {
    #[inline]
    fn drop(&mut self) {
        let Timer { timers, timer, .. } = self.timer;
        let clock = timers.shared().clock();
        let nanos = clock.nanos(self.start, clock.raw());
        timers.with(|recorder| recorder.record_nanos(*timer, TIMED, nanos));
    }
}

impl HitRatio {
    pub(crate) fn new(recorders: LocalRecorders, identity: Identity) -> Self {
        let &Storage::HitRatio { hits } = identity.series.storage() else { unreachable!("hits have a row") };
        Self { recorders, hits, identity }
    }

    /// Like [`Counter::with_labels`].
    pub fn with_labels<'a>(&'a self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(self.recorders.clone(), self.identity.with(labels, &no_timer))
    }

    /// Counts something that was found.
    #[inline]
    pub fn hit(&self) {
        self.recorders.with(|recorder| recorder.metrics().add(self.hits, 1));
    }

    /// Counts something that was not found.
    #[inline]
    pub fn miss(&self) {
        self.recorders.with(|recorder| recorder.metrics().add(self.hits + 1, 1));
    }
}

impl UniqueCount {
    pub(crate) fn new(recorders: LocalRecorders, identity: Identity) -> Self {
        let &Storage::UniqueCount { row } = identity.series.storage() else {
            unreachable!("values have a row")
        };
        Self { recorders, row, identity }
    }

    /// Like [`Counter::with_labels`].
    pub fn with_labels<'a>(&'a self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(self.recorders.clone(), self.identity.with(labels, &no_timer))
    }

    /// Counts a value, unless it was already counted today.
    pub fn insert(&self, value: impl AsRef<[u8]>) {
        let (hash, day) = (hash(value.as_ref()), day_of(SystemTime::now()));
        self.recorders.with(|recorder| recorder.metrics().insert(self.row, hash, day));
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests;
