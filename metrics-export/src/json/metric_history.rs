//! The body of `GET history?metric=...`.

use std::time::SystemTime;

use metrics_core::{Gap, MetricPoint, MetricTrend};
use serde::Serialize;

use super::figures::per_second;
use super::history::GapBody;
use super::metric::MetricBody;
use super::time::Time;

/// The body of `GET history?metric=...`: one of the application's own metrics in a window, step by step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricHistoryBody {
    metric: String,
    window: String,
    step: &'static str,
    points: Vec<MetricPointBody>,
    /// When the figures were reset.
    resets: Vec<Time>,
    /// When no process counted.
    gaps: Vec<GapBody>,
}

impl MetricHistoryBody {
    /// Creates the body from a trend, and the resets and gaps of its history.
    pub fn new(trend: &MetricTrend, resets: &[SystemTime], gaps: &[Gap]) -> Self {
        Self {
            metric: trend.name.to_string(),
            window: trend.window.to_string(),
            step: trend.step,
            points: trend.points.iter().map(MetricPointBody::from).collect(),
            resets: resets.iter().copied().map(Time).collect(),
            gaps: gaps.iter().map(GapBody::from).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct MetricPointBody {
    /// When the step ended.
    time: Time,
    /// How long the step took.
    seconds: f64,
    #[serde(flatten)]
    metric: MetricBody,
    /// For metrics that count or time.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
}

impl From<&MetricPoint> for MetricPointBody {
    fn from(point: &MetricPoint) -> Self {
        Self {
            time: Time(point.time),
            seconds: point.span.as_secs_f64(),
            metric: MetricBody::from(&point.figures),
            per_second: point.figures.count().map(|count| per_second(count, point.span)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::{MetricFigures, Window};

    use super::*;

    #[test]
    fn a_metrics_history_is_step_by_step() {
        let point = |at: u64, figures| MetricPoint {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
            span: Duration::from_secs(10),
            figures,
        };
        let trend = MetricTrend {
            name: "cache".into(),
            window: Window::FiveMinutes,
            step: "10s",
            points: vec![
                point(10, MetricFigures::HitRatio { hits: 3, misses: 1 }),
                point(20, MetricFigures::HitRatio { hits: 0, misses: 0 }),
            ],
        };
        let body = serde_json::to_value(MetricHistoryBody::new(&trend, &[], &[])).unwrap();
        assert_eq!(
            (&body["metric"], &body["window"], &body["step"]),
            (&"cache".into(), &"5m".into(), &"10s".into())
        );
        assert_eq!(
            body["points"][0],
            serde_json::json!({"time": "1970-01-01T00:00:10.000Z", "seconds": 10.0, "kind": "hit_ratio",
            "value": 75.0, "hits": 3, "misses": 1, "hit_rate": 75.0, "per_second": 0.4})
        );
        assert_eq!(body["points"][1]["hits"], 0);
    }
}
