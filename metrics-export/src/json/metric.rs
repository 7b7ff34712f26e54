//! One of the application's own metrics, as every body shows it.

use metrics_core::MetricFigures;
use serde::Serialize;

/// One metric. `value` is the figure that a table of all metrics shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum MetricBody {
    /// The value is the count.
    Counter { value: u64 },
    /// The value is the current one.
    Gauge { value: f64 },
    /// The value is the average. All durations are in seconds.
    Timer {
        value: f64,
        calls: u64,
        avg_time: f64,
        min_time: f64,
        max_time: f64,
        p50_time: f64,
        p95_time: f64,
        p99_time: f64,
    },
    /// The value is the hit rate, in per cent.
    HitRatio { value: f64, hits: u64, misses: u64, hit_rate: f64 },
    /// The value is the count of today (UTC).
    UniqueCount { value: u64, today: u64, yesterday: u64 },
}

impl From<&MetricFigures> for MetricBody {
    fn from(figures: &MetricFigures) -> Self {
        match figures {
            &MetricFigures::Counter(value) => Self::Counter { value },
            &MetricFigures::Gauge(value) => Self::Gauge { value },
            MetricFigures::Timer(times) => Self::Timer {
                value: times.average().as_secs_f64(),
                calls: times.calls,
                avg_time: times.average().as_secs_f64(),
                min_time: times.min.as_secs_f64(),
                max_time: times.max.as_secs_f64(),
                p50_time: times.p50.as_secs_f64(),
                p95_time: times.p95.as_secs_f64(),
                p99_time: times.p99.as_secs_f64(),
            },
            &MetricFigures::HitRatio { hits, misses } => {
                let hit_rate = figures.hit_rate().unwrap_or_default();
                Self::HitRatio { value: hit_rate, hits, misses, hit_rate }
            }
            &MetricFigures::UniqueCount { today, yesterday } => {
                Self::UniqueCount { value: today, today, yesterday }
            }
        }
    }
}
