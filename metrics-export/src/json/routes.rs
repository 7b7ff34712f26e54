//! The body of `GET routes`.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_core::{EndpointSummary, Summary};
use serde::Serialize;

use super::figures::{CoreFigures, DetailedFigures, per_second, statuses};
use super::time::Time;

/// The body of `GET routes`: each endpoint's figures, those with the most calls first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoutesBody {
    routes: Vec<RouteBody>,
    since: Time,
    window_seconds: f64,
}

impl From<&Summary> for RoutesBody {
    fn from(summary: &Summary) -> Self {
        Self {
            routes: summary.endpoints.iter().map(|route| RouteBody::new(route, summary.window)).collect(),
            since: Time(summary.since),
            window_seconds: summary.window.as_secs_f64(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RouteBody {
    method: String,
    route: String,
    #[serde(flatten)]
    first: CoreFigures,
    #[serde(flatten)]
    more: DetailedFigures,
    /// Always 0 for a route without a marker.
    in_flight: u64,
    requests_per_second: f64,
    request_bytes: u64,
    response_bytes: u64,
    statuses: BTreeMap<String, u64>,
}

impl RouteBody {
    fn new(route: &EndpointSummary, window: Duration) -> Self {
        let figures = &route.figures;
        Self {
            method: route.name.method.to_string(),
            route: route.name.route.to_string(),
            first: CoreFigures::from(figures),
            more: DetailedFigures::from(figures),
            in_flight: route.in_flight,
            requests_per_second: per_second(figures.calls, window),
            request_bytes: figures.request_bytes,
            response_bytes: figures.response_bytes,
            statuses: statuses(figures),
        }
    }
}
