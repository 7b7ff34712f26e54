//! The bound on the sets of labels of a fleet's own metrics: what does not fit is `_other`, as at each instance.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use metrics_core::{Health, LabelSet, MetricKind, MetricParts, MetricSnapshot};

/// The most sets of labels of one metric, without the `_other` of the fleet.
const MAX_OF_METRIC: usize = 512;

/// The same of a count of distinct values, each of which takes 16 KiB.
const MAX_OF_DISTINCT: usize = 64;

/// The most sets of labels of all metrics, without these.
const MAX_OF_FLEET: usize = 8_000;

/// What tells a metric from the others.
type Metric<'a> = (&'a str, MetricKind);

/// The sets of labels of one metric.
#[derive(Debug, Default)]
struct Sets {
    number: usize,
    /// What counts what does not fit.
    other: Option<LabelSet>,
}

/// Changes the labels of series that would be too many beside ours: they are added up as `_other`, and counted in
/// `health`.
pub(super) fn limit(ours: &[MetricSnapshot], more: &mut [MetricParts], health: &mut Health) {
    if more.iter().all(|series| series.labels.is_empty()) {
        return;
    }
    let (mut known, mut metrics) = (HashSet::new(), HashMap::<Metric<'_>, Sets>::new());
    for series in ours.iter().filter(|series| !series.labels().is_empty()) {
        let metric = (series.name(), series.kind());
        known.insert((metric, series.labels()));
        let sets = metrics.entry(metric).or_default();
        sets.number += 1;
        if *series.labels() == series.labels().other() {
            sets.other.get_or_insert_with(|| series.labels().clone());
        }
    }
    let mut number = known.len();
    // The names are borrowed while labels change.
    let names: Vec<Arc<str>> = more.iter().map(|series| Arc::clone(&series.name)).collect();
    for (series, name) in more.iter_mut().zip(&names).filter(|(series, _)| !series.labels.is_empty()) {
        let metric = (&**name, series.state.kind());
        if known.contains(&(metric, &series.labels)) {
            continue;
        }
        let sets = metrics.entry(metric).or_default();
        let most = if metric.1 == MetricKind::UniqueCount { MAX_OF_DISTINCT } else { MAX_OF_METRIC };
        if sets.number < most && number < MAX_OF_FLEET {
            sets.number += 1;
            number += 1;
            continue;
        }
        series.labels = sets.other.get_or_insert_with(|| series.labels.other()).clone();
        health.label_sets_refused = health.label_sets_refused.saturating_add(1);
    }
}
