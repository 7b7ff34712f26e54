//! The body of `GET business`.

use metrics_core::{Business, LabelSet, MetricSummary};
use serde::Serialize;

use super::figures::per_second;
use super::metric::MetricBody;
use super::time::Time;

/// The body of `GET business`: the series of the application's own metrics in a window, by name and labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BusinessBody {
    metrics: Vec<NamedMetricBody>,
    since: Time,
    window_seconds: f64,
}

impl From<&Business> for BusinessBody {
    fn from(business: &Business) -> Self {
        let named = |metric: &MetricSummary| NamedMetricBody {
            name: metric.name.to_string(),
            labels: metric.labels.clone(),
            metric: MetricBody::from(&metric.figures),
            per_second: metric.figures.count().map(|count| per_second(count, business.window)),
        };
        Self {
            metrics: business.metrics.iter().map(named).collect(),
            since: Time(business.since),
            window_seconds: business.window.as_secs_f64(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct NamedMetricBody {
    name: String,
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    labels: LabelSet,
    #[serde(flatten)]
    metric: MetricBody,
    /// For metrics that count or time.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::Registry;

    use super::super::summary::SummaryBody;
    use super::*;

    #[test]
    fn the_applications_metrics_are_by_name_in_a_summary_and_a_list_in_their_own_body() {
        let registry = Registry::new();
        registry.counter("analysis_requests").unwrap().add(3);
        registry.gauge("queue_length").unwrap().set(1.5);
        registry.timer("db_query").unwrap().record(Duration::from_millis(20));
        let cache = registry.hit_ratio("cache").unwrap();
        (0..3).for_each(|_| cache.hit());
        cache.miss();
        let summary = registry.summary();
        let body = serde_json::to_value(SummaryBody::from(&summary)).unwrap();
        let business = &body["business"];
        assert_eq!(business["analysis_requests"], serde_json::json!({"kind": "counter", "value": 3}));
        assert_eq!(business["queue_length"]["value"], 1.5);
        assert_eq!(
            (&business["db_query"]["calls"], &business["db_query"]["avg_time"]),
            (&1.into(), &0.02.into())
        );
        assert_eq!((&business["cache"]["hit_rate"], &business["cache"]["misses"]), (&75.0.into(), &1.into()));
        let in_window = Business {
            metrics: summary.business.clone(),
            totals: Vec::new(),
            since: summary.since,
            window: Duration::from_secs(8),
        };
        let list = serde_json::to_value(BusinessBody::from(&in_window)).unwrap();
        assert_eq!(
            list["metrics"][1],
            serde_json::json!({"name": "cache", "kind": "hit_ratio", "value": 75.0,
            "hits": 3, "misses": 1, "hit_rate": 75.0, "per_second": 0.5})
        );
        assert_eq!(
            list["metrics"][3],
            serde_json::json!({"name": "queue_length", "kind": "gauge", "value": 1.5})
        );
        assert_eq!(list["window_seconds"], 8.0);
    }

    #[test]
    fn labels_are_an_object_in_the_list_and_in_the_name_of_a_series_in_a_summary() {
        let registry = Registry::new();
        let jobs = registry.counter("jobs").unwrap();
        jobs.add(2);
        jobs.with_labels([("queue", "a \"b\""), ("to", "x")]).add(3);
        let summary = registry.summary();
        let body = serde_json::to_value(SummaryBody::from(&summary)).unwrap();
        let labelled = serde_json::json!({"kind": "counter", "value": 3});
        assert_eq!(body["business"]["jobs"]["value"], 2);
        assert_eq!(body["business"][r#"jobs{queue="a \"b\"",to="x"}"#], labelled);
        let in_window = Business {
            metrics: summary.business.clone(),
            totals: Vec::new(),
            since: summary.since,
            window: Duration::from_secs(1),
        };
        let list = serde_json::to_value(BusinessBody::from(&in_window)).unwrap();
        assert_eq!(
            list["metrics"],
            serde_json::json!([
                {"name": "jobs", "kind": "counter", "value": 2, "per_second": 2.0},
                {"name": "jobs", "labels": {"queue": "a \"b\"", "to": "x"}, "kind": "counter", "value": 3,
                 "per_second": 3.0},
            ])
        );
    }
}
