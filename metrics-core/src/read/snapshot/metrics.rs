//! The series of the application's own metrics in a snapshot.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::group::GroupSnapshot;
use crate::hyperloglog::{Registers, day_of};
use crate::labels::label_set::LabelSet;
use crate::labels::metric_kind::{MetricKind, MetricValue};
use crate::read::merge_error::MergeError;

/// The state of one series of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSnapshot {
    pub(crate) name: Arc<str>,
    #[serde(default)]
    pub(crate) labels: LabelSet,
    pub(crate) state: MetricState,
}

/// The cumulative state of a metric. A timer's durations are `None` before the first one.
pub(crate) type MetricState = MetricValue<Option<Box<GroupSnapshot>>, Registers>;

/// The reading of a metric: cumulative in a cumulative snapshot, otherwise the counts of its span.
///
/// A timer's durations are in one group, `None` if there were none. Distinct values are an estimate with a standard
/// error of 1.15 %.
pub type MetricReading<'a> = MetricValue<Option<&'a GroupSnapshot>, u64>;

/// The cumulative state of the application's own metrics at a moment.
#[derive(Debug)]
pub(crate) struct MetricsAt {
    /// Since the registry was made, by the monotonic clock.
    pub(crate) span: Duration,
    /// By the wall clock.
    pub(crate) taken: SystemTime,
    pub(crate) metrics: Vec<MetricSnapshot>,
}

impl MetricSnapshot {
    /// Returns the metric's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the labels that distinguish the series from others of the metric.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// Returns name and labels, as [`LabelSet::series`] writes them.
    pub fn series(&self) -> Cow<'_, str> {
        self.labels.series(&self.name)
    }

    /// Returns the metric's kind.
    pub fn kind(&self) -> MetricKind {
        self.state.kind()
    }

    /// Returns the reading. Estimating distinct values takes a few microseconds; other kinds are free.
    pub fn reading(&self) -> MetricReading<'_> {
        self.state.as_ref().map(Option::as_deref, Registers::estimate)
    }

    /// The counts since an earlier state; gauges and distinct values as they are now.
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
        Self { name: Arc::clone(&self.name), labels: self.labels.clone(), state }
    }

    /// Compares by name, kind and labels. Of two registries, one may have a counter and the other a gauge of the same
    /// name; they stay apart.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let kinds = || self.kind().cmp(&other.kind());
        self.name.cmp(&other.name).then_with(kinds).then_with(|| self.labels.cmp(&other.labels))
    }

    /// Adds another registry's series of the same name, kind and labels.
    fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        match (&mut self.state, &other.state) {
            (MetricState::Counter(ours), MetricState::Counter(theirs)) => {
                *ours = ours.saturating_add(*theirs)
            }
            (MetricState::Gauge(ours), MetricState::Gauge(theirs)) => {
                // Finite, as both are.
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
}

/// Series of one precision in order, each of them once.
pub(super) fn in_order(mut series: Vec<MetricSnapshot>) -> Vec<MetricSnapshot> {
    series.sort_by(MetricSnapshot::order);
    series.dedup_by(|same, kept| {
        let is_same = same.order(kept).is_eq();
        if is_same {
            kept.merge(same).expect("they have the same precision");
        }
        is_same
    });
    series
}

/// The difference of each series from an earlier state. Both are in order.
pub(crate) fn metrics_since(now: &[MetricSnapshot], earlier: &[MetricSnapshot]) -> Vec<MetricSnapshot> {
    let before = |now| Some(&earlier[earlier.binary_search_by(|earlier| earlier.order(now)).ok()?]);
    now.iter().map(|series| series.difference(before(series))).collect()
}

/// All series together of each metric that has any with labels. The series are in order, and of one precision.
pub(crate) fn totals(series: &[MetricSnapshot]) -> Vec<MetricSnapshot> {
    let metrics = series.chunk_by(|one, other| one.name == other.name && one.kind() == other.kind());
    let labelled = metrics.filter(|metric| metric.iter().any(|series| !series.labels.is_empty()));
    let total = |metric: &[MetricSnapshot]| {
        let first = MetricSnapshot { labels: LabelSet::default(), ..metric[0].clone() };
        metric[1..].iter().fold(first, |mut total, series| {
            total.merge(series).expect("they have the same precision");
            total
        })
    };
    labelled.map(total).collect()
}

/// Adds another registry's series to ours, both in order. The times are those of the two snapshots.
pub(crate) fn merge_metrics(
    (ours, our_time): (&mut Vec<MetricSnapshot>, SystemTime),
    (theirs, their_time): (&[MetricSnapshot], SystemTime),
) -> Result<(), MergeError> {
    let (our_day, their_day) = (day_of(our_time), day_of(their_time));
    let newest = our_day.max(their_day);
    ours.iter_mut().for_each(|metric| metric.state.age(newest - our_day));
    let known = ours.len();
    for theirs in theirs {
        let mut theirs = theirs.clone();
        theirs.state.age(newest - their_day);
        match ours[..known].binary_search_by(|ours| ours.order(&theirs)) {
            Ok(at) => ours[at].merge(&theirs)?,
            Err(_) => ours.push(theirs),
        }
    }
    ours.sort_by(MetricSnapshot::order);
    Ok(())
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::hyperloglog::hash;
    use crate::read::snapshot::Snapshot;
    use crate::read::summary::metrics::MetricFigures;
    use crate::record::shard::distinct::Distinct;
    use crate::registry::Registry;

    #[test]
    fn a_reading_has_the_counts_since_the_start() {
        let registry = Registry::new();
        registry.counter("a").unwrap().add(3);
        registry.gauge("b").unwrap().set(-1.5);
        registry.hit_ratio("c").unwrap().hit();
        registry.timer("d").unwrap();
        registry.timer("e").unwrap().record(std::time::Duration::from_millis(2));
        registry.reset();
        let snapshot = registry.snapshot();
        let read: Vec<_> =
            snapshot.metrics().iter().map(|metric| (metric.name(), metric.reading())).collect();
        assert!(matches!(
            read[..4],
            [
                ("a", MetricReading::Counter(3)),
                ("b", MetricReading::Gauge(-1.5)),
                ("c", MetricReading::HitRatio { hits: 1, misses: 0 }),
                ("d", MetricReading::Timer(None)),
            ]
        ));
        let ("e", MetricReading::Timer(Some(times))) = read[4] else { panic!("{read:?}") };
        assert_eq!((times.calls(), times.sum_nanos()), (1, 2_000_000));
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
    fn a_total_is_of_one_metric_and_one_kind_and_needs_labels() {
        let made = |kind: MetricKind, by: u64| {
            let registry = Registry::new();
            let plain = registry.counter("a_plain").unwrap();
            plain.add(by);
            for (queue, times) in [("mail", 1), ("sms", 2)] {
                match kind {
                    MetricKind::Counter => {
                        registry.counter("jobs").unwrap().with("queue", queue).add(times * by)
                    }
                    _ => registry.gauge("jobs").unwrap().with("queue", queue).set((times * by) as f64),
                }
                registry.counter("z_mails").unwrap().with("queue", queue).add(times);
            }
            registry.snapshot()
        };
        // As two instances that run different versions have them.
        let mut merged = made(MetricKind::Counter, 10);
        merged.merge(&made(MetricKind::Gauge, 100)).unwrap();
        let series: Vec<_> = merged.metrics().iter().map(MetricSnapshot::series).collect();
        let (mail, sms) = (r#"jobs{queue="mail"}"#, r#"jobs{queue="sms"}"#);
        let mails = [r#"z_mails{queue="mail"}"#, r#"z_mails{queue="sms"}"#];
        assert_eq!(series, ["a_plain", mail, sms, mail, sms, mails[0], mails[1]]);
        let totals = totals(merged.metrics());
        assert!(totals.iter().all(|total| total.labels().is_empty()));
        let read: Vec<_> = totals.iter().map(|total| (total.name(), total.reading())).collect();
        assert!(
            matches!(
                read[..],
                [
                    ("jobs", MetricReading::Counter(30)),
                    ("jobs", MetricReading::Gauge(300.0)),
                    ("z_mails", MetricReading::Counter(6)),
                ]
            ),
            "{read:?}"
        );
    }

    #[test]
    fn distinct_values_of_two_days_are_not_mixed() {
        let of = |day: u64, values: std::ops::Range<u64>| {
            let registry = Registry::new();
            let users = registry.unique("users").unwrap();
            let mut snapshot = registry.snapshot();
            let distinct = Distinct::new();
            values.for_each(|value| distinct.insert(hash(&value.to_le_bytes()), day));
            let mut today = Registers::default();
            distinct.add_to(day, &mut today);
            drop(users);
            snapshot.metrics[0].state = MetricState::UniqueCount { today, yesterday: Registers::default() };
            snapshot.taken = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + 40);
            snapshot
        };
        let merged = |mut one: Snapshot, other: &Snapshot| {
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
