//! The body of `GET history`.

use std::time::{Duration, SystemTime};

use metrics_core::{CountPoint, CountTrend, Gap, Histogram, Point, Trend, Window};
use serde::Serialize;

use super::figures::{CoreFigures, DetailedFigures, per_second};
use super::time::Time;

/// The body of `GET history`: the figures of a window, step by step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryBody {
    /// `null` for another period.
    window: Option<String>,
    step: &'static str,
    points: Vec<PointBody>,
    /// All points as one; `null` without any.
    total: Option<PointBody>,
    /// When the figures were reset.
    resets: Vec<Time>,
    /// When no process counted.
    gaps: Vec<GapBody>,
}

impl HistoryBody {
    /// Creates the body from a trend, and the resets and gaps of its history.
    pub fn new(trend: &Trend, resets: &[SystemTime], gaps: &[Gap]) -> Self {
        let point = |point: &Point| {
            if trend.timed {
                PointBody::Whole(WholePoint::from(point))
            } else {
                PointBody::Counts(PointOfCounts::from(point))
            }
        };
        Self {
            window: trend.window.map(|window| window.to_string()),
            step: trend.step,
            points: trend.points.iter().map(point).collect(),
            total: (!trend.points.is_empty()).then(|| point(&trend.total)),
            resets: resets.iter().copied().map(Time).collect(),
            gaps: gaps.iter().map(GapBody::from).collect(),
        }
    }

    /// Creates the body for a history of which nothing is kept.
    pub fn empty(window: Option<Window>) -> Self {
        Self::of_counts(&CountTrend { window, step: "1m", points: Vec::new() }, &[], &[])
    }

    /// Creates the body from a trend of which only counts are kept.
    pub fn of_counts(trend: &CountTrend, resets: &[SystemTime], gaps: &[Gap]) -> Self {
        let point = |point: &CountPoint| PointBody::Counts(PointOfCounts::from(point));
        let all = trend.points.iter().copied().reduce(|sum, point| CountPoint {
            time: point.time,
            span: sum.span + point.span,
            calls: sum.calls.saturating_add(point.calls),
            errors: sum.errors.saturating_add(point.errors),
            sum: sum.sum.zip(point.sum).map(|(sum, more)| sum.saturating_add(more)),
        });
        Self {
            window: trend.window.map(|window| window.to_string()),
            step: trend.step,
            points: trend.points.iter().map(point).collect(),
            total: all.as_ref().map(point),
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
#[serde(untagged)]
pub(super) enum PointBody {
    Whole(WholePoint),
    Counts(PointOfCounts),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct WholePoint {
    /// When the step ended.
    time: Time,
    /// How long the step took. Rates refer to it.
    seconds: f64,
    #[serde(flatten)]
    first: CoreFigures,
    #[serde(flatten)]
    more: DetailedFigures,
    requests_per_second: f64,
    /// The requests with any status, including these.
    all_calls: u64,
    /// One pair for each octave: its upper end in seconds, which is a power of two of nanoseconds, and the number of
    /// durations from half of it up to it.
    latencies: Vec<(f64, u64)>,
}

/// A point of what only counts are kept of. What is unknown is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PointOfCounts {
    time: Time,
    seconds: f64,
    total_calls: u64,
    total_errors: u64,
    error_rate: f64,
    requests_per_second: f64,
    all_calls: Option<u64>,
    client_errors: Option<u64>,
    server_errors: Option<u64>,
    client_error_rate: Option<f64>,
    server_error_rate: Option<f64>,
    avg_response_time: Option<f64>,
    max_response_time: Option<f64>,
    p50_response_time: Option<f64>,
    p95_response_time: Option<f64>,
    p99_response_time: Option<f64>,
    latencies: Option<()>,
}

impl From<&Point> for WholePoint {
    fn from(point: &Point) -> Self {
        Self {
            time: Time(point.time),
            seconds: point.span.as_secs_f64(),
            first: CoreFigures::from(&point.figures),
            more: DetailedFigures::from(&point.figures),
            requests_per_second: per_second(point.figures.calls, point.span),
            all_calls: point.all_calls,
            latencies: octaves(&point.histogram),
        }
    }
}

impl From<&CountPoint> for PointOfCounts {
    fn from(point: &CountPoint) -> Self {
        let share =
            |count: u64| if point.calls == 0 { 0.0 } else { 100.0 * count as f64 / point.calls as f64 };
        let average =
            |sum: Duration| if point.calls == 0 { 0.0 } else { sum.as_secs_f64() / point.calls as f64 };
        Self {
            time: Time(point.time),
            seconds: point.span.as_secs_f64(),
            total_calls: point.calls,
            total_errors: point.errors,
            error_rate: share(point.errors),
            requests_per_second: per_second(point.calls, point.span),
            all_calls: None,
            client_errors: None,
            server_errors: None,
            client_error_rate: None,
            server_error_rate: None,
            avg_response_time: point.sum.map(average),
            max_response_time: None,
            p50_response_time: None,
            p95_response_time: None,
            p99_response_time: None,
            latencies: None,
        }
    }
}

impl From<&Point> for PointOfCounts {
    fn from(Point { time, span, figures, all_calls, .. }: &Point) -> Self {
        let counts =
            CountPoint { time: *time, span: *span, calls: figures.calls, errors: figures.errors, sum: None };
        Self {
            all_calls: Some(*all_calls),
            client_errors: Some(figures.client_errors),
            server_errors: Some(figures.server_errors),
            client_error_rate: Some(figures.client_error_rate()),
            server_error_rate: Some(figures.server_error_rate()),
            ..Self::from(&counts)
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
    use metrics_core::{Granularity, History, Outcome, Registry, Selection, Window};
    use serde_json::json;

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

    #[test]
    fn what_is_not_kept_is_null_and_never_zero() {
        let registry = Registry::builder().granularity(Granularity::Outcome).build().unwrap();
        let history = History::new(registry.clone());
        for status in [200, 404, 500] {
            registry.record_nanos(registry.endpoint("GET", "/"), status, 1_000);
        }
        history.tick();
        let wanted = |outcome: Outcome| outcome.is_server_error();
        let selection = Selection { endpoint: None, outcomes: Some(&wanted) };
        let trend = history.trend_of(Window::OneMinute, None, selection).unwrap();
        let body = serde_json::to_value(HistoryBody::new(&trend, &[], &[])).unwrap();
        for point in [&body["points"][0], &body["total"]] {
            let counts = ["total_calls", "server_errors", "all_calls"].map(|name| point[name].clone());
            assert_eq!(counts, [json!(1), json!(1), json!(3)]);
            for unknown in ["p50_response_time", "avg_response_time", "max_response_time", "latencies"] {
                assert_eq!(point.get(unknown), Some(&json!(null)), "{unknown}");
            }
        }
        let (time, span) = (SystemTime::UNIX_EPOCH, Duration::from_secs(10));
        let point = CountPoint { time, span, calls: 4, errors: 1, sum: Some(Duration::from_secs(2)) };
        let trend = CountTrend { window: None, step: "10s", points: vec![point; 3] };
        let body = serde_json::to_value(HistoryBody::of_counts(&trend, &[], &[])).unwrap();
        let total = &body["total"];
        let figures =
            ["total_calls", "seconds", "avg_response_time", "error_rate", "p99_response_time", "all_calls"];
        let expected = [json!(12), json!(30.0), json!(0.5), json!(25.0), json!(null), json!(null)];
        assert_eq!(figures.map(|name| total[name].clone()), expected);
        assert_eq!(body["window"], json!(null));
    }
}
