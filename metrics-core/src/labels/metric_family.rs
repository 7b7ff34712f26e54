//! One of the application's own metrics: its series, and where the figures of each are.
//!
//! # Synchronization
//!
//! Series are found under a lock that is shared, and made under one that is not, off the recording path; handles hold
//! what they found. A metric has at most [`MAX_LABEL_SETS`] and two series, so it is soon only read. `extended` is set
//! once and orders nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::labels::endpoint::EndpointId;
use crate::labels::label_set::{Chosen, LabelSet};
use crate::labels::metric_kind::MetricKind;
use crate::labels::metric_room::{MAX_LABEL_SETS, MetricRoom};
use crate::sync::AtomicU64;

/// The number of a gauge that was never set: a zero that no sum of others is.
const NEVER_SET: f64 = -0.0;

/// Makes the endpoint of the timer with a number. Not called for other kinds.
pub(crate) type MakeTimer<'a> = &'a dyn Fn(usize) -> EndpointId;

/// A metric.
#[derive(Debug)]
pub(crate) struct MetricFamily {
    name: Arc<str>,
    kind: MetricKind,
    /// Without labels.
    plain: Arc<Series>,
    labelled: RwLock<Labelled>,
    room: Arc<MetricRoom>,
}

#[derive(Debug, Default)]
struct Labelled {
    by_labels: HashMap<LabelSet, Arc<Series>, foldhash::fast::RandomState>,
    /// What counts what does not fit, one of `by_labels`. If there is one, no more fit.
    other: Option<Arc<Series>>,
}

/// One series of a metric.
#[derive(Debug)]
pub(crate) struct Series {
    labels: LabelSet,
    storage: Storage,
    /// Whether a handle with more labels was made from a handle of this.
    extended: AtomicBool,
}

/// Where the figures of a series are.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    /// In a row of each shard's counters.
    Counter { row: usize },
    /// Here, for all threads: the bits of a finite `f64`.
    Gauge { value: Arc<AtomicU64> },
    /// At an endpoint of the timers' shards.
    Timer { timer: EndpointId },
    /// In two rows of each shard's counters, the hits in the first.
    HitRatio { hits: usize },
    /// In a row of each shard's distinct values.
    UniqueCount { row: usize },
}

impl MetricFamily {
    /// A metric with a series without labels.
    pub(crate) fn new(name: Arc<str>, kind: MetricKind, room: Arc<MetricRoom>, timer: MakeTimer<'_>) -> Self {
        let plain = Series::new(LabelSet::default(), kind, &room, timer);
        Self { name, kind, plain, labelled: RwLock::default(), room }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn kind(&self) -> MetricKind {
        self.kind
    }

    /// The series without labels.
    pub(crate) fn plain(&self) -> &Arc<Series> {
        &self.plain
    }

    /// The series with the labels of `from` and these, made at the first call. What does not fit is `_other`, and is
    /// counted as refused. Allocates nothing if the series is known.
    pub(crate) fn with<'a>(
        &self,
        from: &'a Series,
        labels: &mut dyn Iterator<Item = (&'a str, &'a str)>,
        timer: MakeTimer<'_>,
    ) -> Arc<Series> {
        let mut chosen = Chosen::default();
        from.labels.iter().chain(labels).for_each(|(name, value)| chosen.set(name, value));
        if chosen.left_out() > 0 {
            self.room.refuse(&self.name);
        }
        let found = chosen.with_text(|text| self.known(text)).unwrap_or_else(|| {
            let mut all = self.labelled.write().unwrap_or_else(PoisonError::into_inner);
            all.make(chosen.to_set(), self, timer)
        });
        if !std::ptr::eq(&*found, from) && !from.is_extended() {
            // ORDERING: Relaxed; a snapshot that does not see it yet shows one series more.
            from.extended.store(true, Ordering::Relaxed);
        }
        found
    }

    /// A series that there is, or `_other` if no more fit.
    fn known(&self, text: &str) -> Option<Arc<Series>> {
        if text.is_empty() {
            return Some(Arc::clone(&self.plain));
        }
        let all = self.labelled.read().unwrap_or_else(PoisonError::into_inner);
        all.by_labels.get(text).cloned().or_else(|| {
            let other = all.other.clone()?;
            self.room.refuse(&self.name);
            Some(other)
        })
    }

    /// All series, by their labels.
    pub(crate) fn all(&self) -> Vec<Arc<Series>> {
        let labelled = self.labelled.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            std::iter::once(&self.plain).chain(labelled.by_labels.values()).cloned().collect();
        all.sort_unstable_by(|one, other| one.labels.cmp(&other.labels));
        all
    }
}

impl Labelled {
    fn make(
        &mut self,
        labels: LabelSet,
        MetricFamily { name, kind, room, .. }: &MetricFamily,
        timer: MakeTimer<'_>,
    ) -> Arc<Series> {
        // Another thread may have been faster.
        if let Some(known) = self.by_labels.get(&labels) {
            return Arc::clone(known);
        }
        let fits =
            self.other.is_none() && self.by_labels.len() < MAX_LABEL_SETS && room.take_label_set(*kind);
        let labels = if fits { labels } else { labels.other() };
        let make = || Series::new(labels.clone(), *kind, room, timer);
        if fits {
            return Arc::clone(self.by_labels.entry(labels.clone()).or_insert_with(make));
        }
        room.refuse(name);
        let by_labels = &mut self.by_labels;
        let other = self
            .other
            .get_or_insert_with(|| Arc::clone(by_labels.entry(labels.clone()).or_insert_with(make)));
        Arc::clone(other)
    }
}

impl Series {
    fn new(labels: LabelSet, kind: MetricKind, room: &MetricRoom, timer: MakeTimer<'_>) -> Arc<Self> {
        let storage = match kind {
            MetricKind::Counter => Storage::Counter { row: room.take_counter_rows(1) },
            MetricKind::Gauge => Storage::Gauge { value: Arc::new(AtomicU64::new(NEVER_SET.to_bits())) },
            MetricKind::Timer => Storage::Timer { timer: timer(room.take_timer()) },
            MetricKind::HitRatio => Storage::HitRatio { hits: room.take_counter_rows(2) },
            MetricKind::UniqueCount => Storage::UniqueCount { row: room.take_unique() },
        };
        Arc::new(Self { labels, storage, extended: AtomicBool::new(false) })
    }

    pub(crate) fn labels(&self) -> &LabelSet {
        &self.labels
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Whether it is of interest only once something was counted in it: handles with more labels were made from its
    /// handles.
    pub(crate) fn is_extended(&self) -> bool {
        // ORDERING: Relaxed; see `with`.
        self.extended.load(Ordering::Relaxed)
    }
}

/// A gauge's number from its bits; `None` if it was never set.
pub(crate) fn gauge_value(bits: u64) -> Option<f64> {
    (bits != NEVER_SET.to_bits()).then(|| f64::from_bits(bits))
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::read::summary::metrics::MetricFigures;
    use crate::registry::Registry;

    fn figures(registry: &Registry) -> BTreeMap<String, MetricFigures> {
        let business = registry.summary().business;
        business.into_iter().map(|metric| (metric.series().into_owned(), metric.figures)).collect()
    }

    fn counted(registry: &Registry) -> BTreeMap<String, u64> {
        figures(registry).into_iter().map(|(series, figures)| (series, figures.count().unwrap())).collect()
    }

    #[test]
    fn the_same_labels_in_any_order_are_one_series_of_each_kind() {
        let registry = Registry::new();
        let jobs = registry.counter("jobs").unwrap();
        jobs.with_labels([("queue", "mail"), ("to", "x")]).add(2);
        jobs.with("to", "x").with("queue", "mail").increment();
        jobs.with("queue", "mail").with("queue", "").add(5);
        let depth = registry.gauge("depth").unwrap();
        depth.with("queue", "mail").set(4.0);
        depth.with("queue", "mail").add(-1.5);
        assert_eq!(depth.with("queue", "mail").value(), 2.5);
        let work = registry.timer("work").unwrap().with("queue", "mail");
        work.record(Duration::from_millis(2));
        assert_eq!(work.time(|| 7), 7);
        let cache = registry.hit_ratio("cache").unwrap().with("name", "users");
        cache.hit();
        cache.miss();
        let figures = figures(&registry);
        assert_eq!(figures[r#"jobs{queue="mail",to="x"}"#], MetricFigures::Counter(3));
        assert_eq!(figures["jobs"], MetricFigures::Counter(5));
        assert_eq!(figures[r#"depth{queue="mail"}"#], MetricFigures::Gauge(2.5));
        assert_eq!(figures[r#"work{queue="mail"}"#].count(), Some(2));
        assert_eq!(figures[r#"cache{name="users"}"#], MetricFigures::HitRatio { hits: 1, misses: 1 });
        assert_eq!((registry.health().label_sets_refused, registry.labels_refused_of()), (0, None));
    }

    #[test]
    fn a_series_that_others_were_made_from_is_shown_once_something_was_counted_in_it() {
        let registry = Registry::new();
        let (jobs, depth) = (registry.counter("jobs").unwrap(), registry.gauge("depth").unwrap());
        let (work, cache) = (registry.timer("work").unwrap(), registry.hit_ratio("cache").unwrap());
        let names = || figures(&registry).into_keys().collect::<Vec<_>>();
        assert_eq!(names(), ["cache", "depth", "jobs", "work"]);
        jobs.with("a", "1").with("b", "2");
        depth.with("a", "1");
        work.with("a", "1");
        cache.with("a", "1");
        let labelled = [r#"cache{a="1"}"#, r#"depth{a="1"}"#, r#"jobs{a="1",b="2"}"#, r#"work{a="1"}"#];
        assert_eq!(names(), labelled);
        // What is known already does not show it, either.
        jobs.with("a", "1");
        assert_eq!(names(), labelled);
        depth.set(0.0);
        jobs.increment();
        work.record(Duration::ZERO);
        cache.miss();
        jobs.with("a", "1").increment();
        registry.reset();
        assert_eq!(names().len(), labelled.len() + 5);
    }

    #[test]
    fn what_does_not_fit_is_counted_under_other_and_told() {
        let registry = Registry::new();
        let jobs = registry.counter("jobs").unwrap();
        for i in 0..MAX_LABEL_SETS + 10 {
            jobs.with_labels([("queue", &*i.to_string()), ("to", "x")]).increment();
        }
        // A set of other labels, one that is known, and one that is called like what does not fit.
        jobs.with("from", "y").increment();
        jobs.with_labels([("to", "x"), ("queue", "7")]).increment();
        let other = jobs.with_labels([("queue", "_other"), ("to", "_other")]);
        other.increment();
        assert_eq!(other.labels().series("jobs"), r#"jobs{queue="_other",to="_other"}"#);
        let counted = counted(&registry);
        assert_eq!(counted.len(), MAX_LABEL_SETS + 1);
        assert_eq!(counted[r#"jobs{queue="_other",to="_other"}"#], 12);
        assert_eq!(counted[r#"jobs{queue="7",to="x"}"#], 2);
        assert_eq!(registry.health().label_sets_refused, 11);
        assert_eq!(registry.labels_refused_of().as_deref(), Some("jobs"));
        // Another metric has room of its own, and a fifth label is told, too.
        let many =
            registry.counter("other").unwrap().with_labels(["a", "b", "c", "d", "e"].map(|name| (name, "x")));
        assert_eq!(many.labels().len(), 4);
        assert_eq!(registry.health().label_sets_refused, 12);
    }

    #[test]
    fn a_set_that_is_called_other_before_anything_did_not_fit_is_the_same_series() {
        let registry = Registry::new();
        let jobs = registry.counter("jobs").unwrap();
        jobs.with("queue", "_other").increment();
        (0..MAX_LABEL_SETS).for_each(|i| jobs.with("queue", &i.to_string()).increment());
        assert_eq!(counted(&registry)[r#"jobs{queue="_other"}"#], 2);
    }

    #[test]
    #[cfg_attr(miri, ignore = "too slow")]
    fn all_metrics_of_a_kind_at_their_caps_count_each_event_once() {
        let registry = Registry::new();
        let name = |i: usize| i.to_string();
        for metric in 0..128 {
            let (of_kind, metric) = (|kind: &str| format!("{kind}_{metric}"), metric);
            let counter = registry.counter(&of_kind("counter")).unwrap();
            let ratio = registry.hit_ratio(&of_kind("ratio")).unwrap();
            let gauge = registry.gauge(&of_kind("gauge")).unwrap();
            let timer = registry.timer(&of_kind("timer")).unwrap();
            for set in 0..if metric < 8 { 140 } else { 20 } {
                counter.with("set", &name(set)).increment();
                ratio.with("set", &name(set)).hit();
                gauge.with("set", &name(set)).set(1.0);
                timer.with("set", &name(set)).record(Duration::from_micros(5));
            }
            counter.increment();
            ratio.miss();
            timer.record(Duration::ZERO);
        }
        let asked = 8 * 140 + 120 * 20 + 128;
        let (mut sums, mut series) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, usize>::new());
        for metric in registry.summary().business {
            *sums.entry(metric.figures.kind()).or_default() += metric.figures.count().unwrap_or(0);
            *series.entry(metric.figures.kind()).or_default() += 1;
        }
        let sums: Vec<_> = sums.into_iter().collect();
        assert_eq!(
            sums,
            [
                (MetricKind::Counter, asked),
                (MetricKind::Gauge, 0),
                (MetricKind::Timer, asked),
                (MetricKind::HitRatio, asked)
            ]
        );
        // Counters came first to the rows that they share with hit ratios; each metric has its own `_other`.
        let series: Vec<_> = series.into_values().collect();
        assert!(series.iter().all(|&number| number <= 128 + 1_024 + 128), "{series:?}");
        assert_eq!(series[2], 128 + 512 + 128);
        // A row of each shard's counters is never used twice.
        assert_eq!(registry.counter("counter_0").unwrap().value(), 1);
    }

    #[test]
    fn threads_that_count_the_same_and_other_labels_while_others_reset_lose_nothing() {
        let rounds = if cfg!(miri) { 30 } else { 3_000_u64 };
        let registry = Registry::new();
        let closed = std::sync::Mutex::new(BTreeMap::<String, u64>::new());
        let add = |business: Vec<crate::MetricSummary>| {
            let mut closed = closed.lock().unwrap();
            for metric in business {
                *closed.entry(metric.series().into_owned()).or_default() += metric.figures.count().unwrap();
            }
        };
        // These have room, whatever the threads find first.
        let jobs = registry.counter("jobs").unwrap();
        (0..4).for_each(|thread| drop(jobs.with("thread", &thread.to_string())));
        (0..7).for_each(|queue| drop(jobs.with("queue", &queue.to_string())));
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let registry = &registry;
                scope.spawn(move || {
                    let jobs = registry.counter("jobs").unwrap();
                    let work = registry.timer("work").unwrap();
                    let own = jobs.with("thread", &thread.to_string());
                    for round in 0..rounds {
                        own.increment();
                        jobs.with("queue", &(round % 7).to_string()).add(2);
                        // More than fit.
                        jobs.with("set", &(thread * rounds + round).to_string()).increment();
                        work.with("queue", &(round % 3).to_string()).record(Duration::from_nanos(round));
                    }
                });
            }
            scope.spawn(|| (0..20).for_each(|_| add(registry.reset().business)));
        });
        add(registry.summary().business);
        let closed = closed.into_inner().unwrap();
        let sum = |begin: &str| {
            closed.iter().filter(|(series, _)| series.starts_with(begin)).map(|(_, count)| count).sum::<u64>()
        };
        (0..4).for_each(|thread| assert_eq!(closed[&format!("jobs{{thread=\"{thread}\"}}")], rounds));
        assert_eq!(sum("jobs{queue"), 4 * rounds * 2);
        assert_eq!(sum("jobs{"), 4 * rounds * 4);
        assert_eq!(sum("work{queue"), 4 * rounds);
    }
}
