//! The body of `GET history`.

use std::time::SystemTime;

use metrics_core::{Gap, Histogram, Point, Trend};
use serde::Serialize;

use super::figures::{CoreFigures, DetailedFigures, per_second};
use super::time::Time;

/// The body of `GET history`: the figures of a window, step by step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryBody {
    window: String,
    step: &'static str,
    points: Vec<PointBody>,
    /// When the figures were reset.
    resets: Vec<Time>,
    /// When no process counted.
    gaps: Vec<GapBody>,
}

impl HistoryBody {
    /// Takes a trend, and the resets and gaps of its history.
    pub fn new(trend: &Trend, resets: &[SystemTime], gaps: &[Gap]) -> Self {
        Self {
            window: trend.window.to_string(),
            step: trend.step,
            points: trend.points.iter().map(PointBody::from).collect(),
            resets: resets.iter().copied().map(Time).collect(),
            gaps: gaps.iter().map(GapBody::from).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct GapBody {
    from: Time,
    until: Time,
}

impl From<&Gap> for GapBody {
    fn from(gap: &Gap) -> Self {
        Self { from: Time(gap.from), until: Time(gap.until) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PointBody {
    /// When the step ended.
    time: Time,
    /// How long the step took. Rates refer to it.
    seconds: f64,
    #[serde(flatten)]
    first: CoreFigures,
    #[serde(flatten)]
    more: DetailedFigures,
    requests_per_second: f64,
    /// One pair for each octave: its upper end in seconds, which is a power of two of nanoseconds, and the number of
    /// durations from half of it up to it.
    latencies: Vec<(f64, u64)>,
}

impl From<&Point> for PointBody {
    fn from(point: &Point) -> Self {
        Self {
            time: Time(point.time),
            seconds: point.span.as_secs_f64(),
            first: CoreFigures::from(&point.figures),
            more: DetailedFigures::from(&point.figures),
            requests_per_second: per_second(point.figures.calls, point.span),
            latencies: octaves(&point.histogram),
        }
    }
}

/// Counts the durations in each octave.
fn octaves(histogram: &Histogram) -> Vec<(f64, u64)> {
    let mut octaves: Vec<(f64, u64)> = Vec::new();
    for bucket in histogram.buckets() {
        let end = bucket.highest.next_power_of_two() as f64 / 1e9;
        match octaves.last_mut() {
            Some((last, count)) if *last == end => *count = count.saturating_add(bucket.count),
            _ => octaves.push((end, bucket.count)),
        }
    }
    octaves
}

#[cfg(test)]
mod tests {
    use metrics_core::{History, Registry, Window};

    use super::*;

    #[test]
    fn a_history_is_step_by_step_with_latencies_by_octave() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        for nanos in [1_000, 1_020, 1_030, 2_000_000] {
            registry.record_nanos(registry.endpoint("GET", "/"), 200, nanos);
        }
        history.tick();
        let trend = history.trend(Window::OneMinute, None, None).unwrap();
        let body =
            serde_json::to_value(HistoryBody::new(&trend, &history.resets(), &history.gaps())).unwrap();
        assert_eq!((&body["window"], &body["step"]), (&"1m".into(), &"1s".into()));
        assert_eq!(body["gaps"], serde_json::json!([]));
        let history = History::resume(Registry::new(), &history.save(usize::MAX)).unwrap();
        let trend = history.trend(Window::OneMinute, None, None).unwrap();
        let resumed = serde_json::to_value(HistoryBody::new(&trend, &[], &history.gaps())).unwrap();
        assert!(resumed["gaps"][0]["from"].as_str() <= resumed["gaps"][0]["until"].as_str());
        assert_eq!(resumed["points"].as_array().unwrap().len(), 1);
        let point = &body["points"][0];
        assert_eq!(point["total_calls"], 4);
        assert_eq!(point["latencies"], serde_json::json!([[1.024e-6, 2], [2.048e-6, 1], [0.002097152, 1]]));
        assert!(point["seconds"].as_f64().unwrap() > 0.0);
    }
}
