//! What is sent once a second to those who watch.

use std::time::SystemTime;

use metrics_core::{Health, Point, Summary, Window};
use serde::Serialize;

use super::{FirstFigures, MoreFigures, PointBody, Time, per_second};

/// The data of one of the events of `GET events`: the figures of a window, without the recent errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveBody {
    /// When the figures were read.
    time: Time,
    window: String,
    window_seconds: f64,
    #[serde(flatten)]
    first: FirstFigures,
    #[serde(flatten)]
    more: MoreFigures,
    requests_per_second: f64,
    in_flight: u64,
    open_streams: u64,
    /// The last second of the history; `null` before there is one.
    point: Option<PointBody>,
    monitor: MonitorBody,
}

impl LiveBody {
    /// The figures of a window, the newest point of the history, and the history's memory in bytes.
    pub fn new(window: Window, summary: &Summary, newest: Option<&Point>, history_bytes: usize) -> Self {
        let total = &summary.total;
        Self {
            time: Time(SystemTime::now()),
            window: window.to_string(),
            window_seconds: summary.window.as_secs_f64(),
            first: FirstFigures::from(total),
            more: MoreFigures::from(total),
            requests_per_second: per_second(total.calls, summary.window),
            in_flight: summary.in_flight,
            open_streams: summary.open_streams,
            point: newest.map(PointBody::from),
            monitor: MonitorBody::new(&summary.health, history_bytes),
        }
    }
}

/// What the monitor itself takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct MonitorBody {
    history_bytes: usize,
    shards: u64,
    series: u64,
    max_series: u64,
}

impl MonitorBody {
    fn new(health: &Health, history_bytes: usize) -> Self {
        Self { history_bytes, shards: health.shards, series: health.endpoints, max_series: health.max_series }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::{History, Registry};

    use super::*;

    #[test]
    fn a_live_body_has_the_windows_figures_the_newest_point_and_what_the_monitor_takes() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        registry.record(registry.endpoint("GET", "/"), 500, Duration::from_millis(2));
        history.tick();
        let trend = history.trend(Window::OneMinute, None, None).unwrap();
        let summary = history.summary(Window::OneMinute);
        let body = LiveBody::new(Window::OneMinute, &summary, trend.points.last(), history.heap_bytes());
        let body = serde_json::to_value(body).unwrap();
        assert_eq!((&body["window"], &body["total_calls"]), (&"1m".into(), &1.into()));
        assert_eq!((&body["server_errors"], &body["point"]["server_errors"]), (&1.into(), &1.into()));
        assert_eq!(body["monitor"]["series"], 1);
        assert!(body["monitor"]["history_bytes"].as_u64() > Some(0));
        assert!(body.get("recent_errors").is_none());
    }
}
