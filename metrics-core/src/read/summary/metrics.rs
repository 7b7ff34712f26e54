//! The application's own metrics in a summary.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::figures::Figures;
use crate::hyperloglog::Registers;
use crate::labels::label_set::LabelSet;
use crate::labels::metric_kind::MetricValue;
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::metrics::{MetricSnapshot, totals};

/// The figures of one series of a metric in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// The metric's name.
    pub name: Arc<str>,
    /// The labels that distinguish the series from others of the metric.
    #[serde(default)]
    pub labels: LabelSet,
    /// Its figures.
    pub figures: MetricFigures,
}

/// The figures of one metric in a window.
///
/// Counters, timers and hit ratios: the counts in the window; a timer's durations are `calls`, none of them an error.
/// Gauges: the number now. Unique counts: the distinct values of two days, whatever the window, with a standard error
/// of 1.15 %.
pub type MetricFigures = MetricValue<Box<Figures>, u64>;

impl MetricSummary {
    /// Returns name and labels, as [`LabelSet::series`] writes them.
    pub fn series(&self) -> Cow<'_, str> {
        self.labels.series(&self.name)
    }

    /// Returns [`MetricFigures::hit_rate`].
    pub fn hit_rate(&self) -> Option<f64> {
        self.figures.hit_rate()
    }
}

impl MetricFigures {
    /// Returns the hits per hundred hits and misses; 0 if there were neither, `None` for a metric of another kind.
    pub fn hit_rate(&self) -> Option<f64> {
        let &Self::HitRatio { hits, misses } = self else { return None };
        let all = hits.saturating_add(misses);
        Some(if all == 0 { 0.0 } else { hits as f64 * 100.0 / all as f64 })
    }

    /// Returns how much was counted: also a timer's durations, and a hit ratio's hits and misses. `None` for gauges and
    /// unique counts.
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
    /// The figures of the metric.
    pub(crate) fn summary(&self) -> MetricSummary {
        let figures = |times: &Option<Box<_>>| Box::new(Figures::of(times.as_deref().into_iter()));
        let figures = self.state.as_ref().map(figures, Registers::estimate);
        MetricSummary { name: Arc::clone(&self.name), labels: self.labels.clone(), figures }
    }
}

impl Snapshot {
    /// Returns the figures of each own metric that has series with labels, all series together; gauges are added up,
    /// too.
    pub fn metric_totals(&self) -> Vec<MetricSummary> {
        summarise_metrics(&totals(&self.metrics))
    }
}

/// The figures of each series.
pub(crate) fn summarise_metrics(metrics: &[MetricSnapshot]) -> Vec<MetricSummary> {
    metrics.iter().map(MetricSnapshot::summary).collect()
}
