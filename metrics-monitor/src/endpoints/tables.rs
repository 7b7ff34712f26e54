//! What an open page shows beside the figures of each second, as further events of its connection, so that it needs
//! few other requests. Each event has the name and the data of an endpoint, except `sparkline`.

use std::time::UNIX_EPOCH;

use metrics_core::{Point, Window};
use metrics_export::json::{BusinessBody, MetricHistoryBody, RoutesBody};
use serde::Serialize;

use super::answer::event;
use super::errors::{errors_of, groups_of};
use super::figures::{alerts_of, consumers_of, exporters_of, objectives_of, resources_of, slow_of};
use crate::state::State;

/// Sparklines at most: those of the endpoints with the most calls.
const MAX_SPARKLINES: usize = 40;

/// Trends of the application's own metrics at most: the page has as many charts.
const MAX_TRENDS: usize = 24;

/// Groups of errors at most: the page shows as many.
const MAX_GROUPS: usize = 50;

/// Consumers at most: the page shows as many.
const TOP: usize = 10;

/// The calls of an endpoint over the window.
#[derive(Debug, Serialize)]
struct Sparkline<'a> {
    method: &'a str,
    route: &'a str,
    /// The end of each step in milliseconds since 1970, its length in seconds, requests per second, and server errors.
    points: Vec<(u64, f64, f64, u64)>,
}

/// The tables and lists, every few seconds. What clients sent is `null` for those who may not see it.
pub(super) fn lists(state: &State, window: Window, shows_private: bool) -> Vec<u8> {
    let history = &state.history;
    let mut events = vec![
        event("routes", &RoutesBody::from(&history.endpoints(window))),
        event("errors", &shows_private.then(|| errors_of(state))),
        event("groups", &shows_private.then(|| groups_of(state, window, MAX_GROUPS))),
        event("slow", &shows_private.then(|| slow_of(state, window, None))),
        event("exporters", &exporters_of(state, shows_private)),
        event("alerts", &alerts_of(state, shows_private)),
        event("business", &BusinessBody::from(&history.business(window))),
    ];
    if !state.objectives.is_empty() {
        events.push(event("objectives", &objectives_of(state)));
    }
    if state.policy.consumers.is_some() {
        events.push(event("consumers", &shows_private.then(|| consumers_of(state, TOP))));
    }
    events.concat()
}

/// What changes slowly, once a connection: resources, trends of the application's own metrics, and sparklines.
pub(super) fn trends(state: &State, window: Window) -> Vec<u8> {
    let history = &state.history;
    let mut events = vec![event("resources", &resources_of(state, window))];
    let (resets, gaps) = (history.resets(), history.gaps());
    for metric in history.business(window).metrics.iter().take(MAX_TRENDS) {
        if let Ok(Some(trend)) = history.metric_trend(window, None, &metric.series()) {
            events.push(event("history", &MetricHistoryBody::new(&trend, &resets, &gaps)));
        }
    }
    for endpoint in history.endpoints(window).endpoints.iter().take(MAX_SPARKLINES) {
        if let Ok(trend) = history.trend(window, None, Some(&endpoint.name)) {
            let points = trend.points.iter().map(sparkline_point).collect();
            events.push(event(
                "sparkline",
                &Sparkline { method: &endpoint.name.method, route: &endpoint.name.route, points },
            ));
        }
    }
    events.concat()
}

fn sparkline_point(point: &Point) -> (u64, f64, f64, u64) {
    let end = point.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let seconds = point.span.as_secs_f64();
    let rate = if seconds > 0.0 { point.figures.calls as f64 / seconds } else { 0.0 };
    (end, seconds, rate, point.figures.server_errors)
}
