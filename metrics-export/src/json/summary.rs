//! The body of `GET summary`, and of `POST reset`.

use std::collections::BTreeMap;

use metrics_core::{MetricSummary, Summary};
use serde::Serialize;

use super::errors::ErrorBody;
use super::figures::{CoreFigures, DetailedFigures, per_second, statuses};
use super::metric::MetricBody;
use super::time::Time;

/// The body of `GET summary`, and of `POST reset` for the window that it closed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SummaryBody {
    #[serde(flatten)]
    first: CoreFigures,
    recent_errors: Vec<ErrorBody>,
    #[serde(flatten)]
    more: DetailedFigures,
    in_flight: u64,
    open_streams: u64,
    requests_per_second: f64,
    since: Time,
    window_seconds: f64,
    request_bytes: u64,
    response_bytes: u64,
    /// How often each outcome occurred.
    statuses: BTreeMap<String, u64>,
    /// The application's own metrics, by the name of the series: `jobs`, `jobs{queue="mail"}`.
    business: BTreeMap<String, MetricBody>,
}

impl From<&Summary> for SummaryBody {
    fn from(summary: &Summary) -> Self {
        let total = &summary.total;
        Self {
            first: CoreFigures::from(total),
            recent_errors: summary.recent_errors.iter().map(ErrorBody::from).collect(),
            more: DetailedFigures::from(total),
            in_flight: summary.in_flight,
            open_streams: summary.open_streams,
            requests_per_second: per_second(total.calls, summary.window),
            since: Time(summary.since),
            window_seconds: summary.window.as_secs_f64(),
            request_bytes: total.request_bytes,
            response_bytes: total.response_bytes,
            statuses: statuses(total),
            business: business(summary),
        }
    }
}

impl SummaryBody {
    /// Empties the messages of errors, for a client that may not see them.
    pub fn without_messages(mut self) -> Self {
        self.recent_errors.iter_mut().for_each(ErrorBody::clear_message);
        self
    }
}

/// By the name of the series; at different instances of a fleet, one name may be of several kinds, and these are added
/// to it.
fn business(summary: &Summary) -> BTreeMap<String, MetricBody> {
    let same_names = summary.business.chunk_by(|one, other| one.name == other.name);
    let named = |metrics: &[MetricSummary]| {
        let is_alone = metrics.iter().all(|metric| metric.figures.kind() == metrics[0].figures.kind());
        let key = move |metric: &MetricSummary| {
            let (series, figures) = (metric.series(), &metric.figures);
            let key = if is_alone { series.into_owned() } else { format!("{series} ({})", figures.kind()) };
            (key, MetricBody::from(figures))
        };
        metrics.iter().map(key).collect::<Vec<_>>()
    };
    same_names.flat_map(named).collect()
}

#[cfg(test)]
mod tests {
    use metrics_core::Registry;

    use super::super::envelope::Success;
    use super::super::fixture::summary;
    use super::*;

    #[test]
    fn metrics_of_one_name_and_several_kinds_are_all_there() {
        let (one, other) = (Registry::new(), Registry::new());
        one.counter("jobs").unwrap().add(3);
        one.counter("other").unwrap().add(4);
        other.gauge("jobs").unwrap().set(1.5);
        let mut all = one.snapshot();
        all.merge(&other.snapshot()).unwrap();
        let body = SummaryBody::from(&all.summary());
        let names: Vec<_> = body.business.keys().map(String::as_str).collect();
        assert_eq!(names, ["jobs (counter)", "jobs (gauge)", "other"]);
    }

    #[test]
    fn the_seven_fields_of_existing_clients_come_first_and_in_order() {
        let text = serde_json::to_string(&Success::new(SummaryBody::from(&summary()))).unwrap();
        let names = [
            "total_calls",
            "total_errors",
            "error_rate",
            "avg_response_time",
            "min_response_time",
            "max_response_time",
            "recent_errors",
            "p50_response_time",
        ];
        let positions: Vec<_> =
            names.iter().map(|name| text.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(
            text.starts_with(
                r#"{"success":true,"data":{"total_calls":4,"total_errors":3,"error_rate":75.0,"#
            )
        );
        assert!(positions.is_sorted(), "{text}");
    }

    #[test]
    fn a_summary_is_in_seconds_and_per_cent() {
        let body = serde_json::to_value(SummaryBody::from(&summary())).unwrap();
        assert_eq!(body["min_response_time"], 0.001);
        assert_eq!(body["max_response_time"], 0.123);
        assert_eq!(body["avg_response_time"], 0.0345);
        assert_eq!(body["client_error_rate"], 25.0);
        assert_eq!(body["panicked"], 1);
        assert_eq!(body["requests_per_second"], 2.0);
        assert_eq!(body["since"], "2026-01-28T09:30:00.123Z");
        assert_eq!(body["statuses"]["200"], 1);
        assert_eq!(body["statuses"]["panicked"], 1);
    }

    #[test]
    fn without_messages_the_errors_stay() {
        let with = SummaryBody::from(&summary());
        let mut known = serde_json::to_value(&with).unwrap();
        assert!(known["recent_errors"].as_array().unwrap().iter().any(|error| error["message"] != ""));
        for error in known["recent_errors"].as_array_mut().unwrap() {
            error["message"] = "".into();
        }
        assert_eq!(serde_json::to_value(with.without_messages()).unwrap(), known);
    }

    #[test]
    fn a_summary_of_nothing_is_all_zero() {
        let body = serde_json::to_value(SummaryBody::from(&Registry::new().summary())).unwrap();
        for (name, value) in body.as_object().unwrap() {
            let timed = ["since", "window_seconds"].contains(&name.as_str());
            let zero = value.as_f64() == Some(0.0) || value.as_array().is_some_and(Vec::is_empty);
            let empty = value.as_object().is_some_and(|map| map.is_empty());
            assert!(timed || zero || empty, "{name} is {value}");
        }
    }
}
