//! The body of an event of `GET events`, which the dashboard gets once a second.

use std::time::{Duration, SystemTime};

use metrics_core::{Health, Point, Summary, Window};
use serde::Serialize;

use super::figures::{CoreFigures, DetailedFigures, per_second};
use super::history::WholePoint;
use super::time::Time;

/// The data of one event of `GET events`: the figures of a window, without the recent errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveBody {
    /// When the figures were read.
    time: Time,
    window: String,
    window_seconds: f64,
    #[serde(flatten)]
    first: CoreFigures,
    #[serde(flatten)]
    more: DetailedFigures,
    requests_per_second: f64,
    in_flight: u64,
    open_streams: u64,
    /// The latest second of the history; `null` before the first one.
    point: Option<WholePoint>,
    /// When the figures were last reset; `null` if never.
    last_reset: Option<Time>,
    monitor: MonitorBody,
}

impl LiveBody {
    /// Creates the data from the figures of a window, the newest point of the history, the time of the last reset, and
    /// the monitor's own cost.
    pub fn new(
        window: Window,
        summary: &Summary,
        newest: Option<&Point>,
        last_reset: Option<SystemTime>,
        cost: MonitorCost,
    ) -> Self {
        let total = &summary.total;
        Self {
            time: Time(SystemTime::now()),
            window: window.to_string(),
            window_seconds: summary.window.as_secs_f64(),
            first: CoreFigures::from(total),
            more: DetailedFigures::from(total),
            requests_per_second: per_second(total.calls, summary.window),
            in_flight: summary.in_flight,
            open_streams: summary.open_streams,
            point: newest.map(WholePoint::from),
            last_reset: last_reset.map(Time),
            monitor: MonitorBody::new(&summary.health, cost),
        }
    }
}

/// What the monitor itself costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MonitorCost {
    /// The memory of the history and of the samples of resources, in bytes.
    pub history_bytes: usize,
    /// The memory of all shards, in bytes.
    pub shard_bytes: usize,
    /// The duration of one recording with its two clock readings, as measured on this machine; `None` before the
    /// measurement.
    pub record: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct MonitorBody {
    history_bytes: usize,
    shard_bytes: usize,
    /// `null` before the measurement.
    record_seconds: Option<f64>,
    shards: u64,
    series: u64,
    max_series: u64,
}

impl MonitorBody {
    fn new(health: &Health, cost: MonitorCost) -> Self {
        Self {
            history_bytes: cost.history_bytes,
            shard_bytes: cost.shard_bytes,
            record_seconds: cost.record.map(|record| record.as_secs_f64()),
            shards: health.shards,
            series: health.endpoints,
            max_series: health.max_series,
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_core::{History, Registry};

    use super::*;

    #[test]
    fn an_event_has_the_figures_of_the_window_the_newest_point_and_the_monitors_cost() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        registry.record(registry.endpoint("GET", "/"), 500, Duration::from_millis(2));
        history.tick();
        let summary = history.summary(Window::OneMinute);
        let cost = MonitorCost {
            history_bytes: history.heap_bytes(),
            shard_bytes: registry.shard_bytes(),
            record: Some(Duration::from_nanos(36)),
        };
        let reset = SystemTime::UNIX_EPOCH;
        let newest = history.newest();
        let body = LiveBody::new(Window::OneMinute, &summary, newest.as_ref(), Some(reset), cost);
        let body = serde_json::to_value(body).unwrap();
        assert_eq!((&body["window"], &body["total_calls"]), (&"1m".into(), &1.into()));
        assert_eq!((&body["server_errors"], &body["point"]["server_errors"]), (&1.into(), &1.into()));
        assert_eq!(body["monitor"]["series"], 1);
        assert!(body["monitor"]["history_bytes"].as_u64() > Some(0));
        assert!(body["monitor"]["shard_bytes"].as_u64() > Some(1_000));
        assert_eq!(body["monitor"]["record_seconds"], 3.6e-8);
        assert_eq!(body["last_reset"], "1970-01-01T00:00:00.000Z");
        assert!(body.get("recent_errors").is_none());
    }
}
