//! What exporters see of the application's own metrics.

use crate::business::{MetricKind, MetricSnapshot, MetricState};
use crate::read::snapshot::GroupSnapshot;

/// What a metric holds: cumulative in a cumulative snapshot, else what was counted in its span.
#[derive(Debug, Clone, Copy)]
pub enum MetricReading<'a> {
    /// By how much it grew.
    Counter(u64),
    /// What is in it at the end of the span.
    Gauge(f64),
    /// Times that ended, all of them in one group; `None` if there were none.
    Timer(Option<&'a GroupSnapshot>),
    /// Hits and misses.
    HitRatio {
        /// How often something was found.
        hits: u64,
        /// How often it was not.
        misses: u64,
    },
    /// How many distinct values there were. Standard error: 1.15 %.
    UniqueCount {
        /// On the day (UTC) on which the span ends.
        today: u64,
        /// On the day before.
        yesterday: u64,
    },
}

impl MetricSnapshot {
    /// What the metric is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the metric is.
    pub fn kind(&self) -> MetricKind {
        match self.state {
            MetricState::Counter(_) => MetricKind::Counter,
            MetricState::Gauge(_) => MetricKind::Gauge,
            MetricState::Timer(_) => MetricKind::Timer,
            MetricState::HitRatio { .. } => MetricKind::HitRatio,
            MetricState::UniqueCount { .. } => MetricKind::UniqueCount,
        }
    }

    /// What it holds. Estimating a count of distinct values takes some microseconds, all else nothing.
    pub fn reading(&self) -> MetricReading<'_> {
        match &self.state {
            &MetricState::Counter(count) => MetricReading::Counter(count),
            &MetricState::Gauge(value) => MetricReading::Gauge(value),
            MetricState::Timer(times) => MetricReading::Timer(times.as_deref()),
            &MetricState::HitRatio { hits, misses } => MetricReading::HitRatio { hits, misses },
            MetricState::UniqueCount { today, yesterday } => {
                MetricReading::UniqueCount { today: today.estimate(), yesterday: yesterday.estimate() }
            }
        }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn a_reading_is_what_was_counted_since_the_start() {
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
}
