//! The query strings of all endpoints.

use metrics_core::{EndpointName, ParseWindowError, Window};
use serde::Deserialize;

/// Consumers in an answer, unless the request says otherwise.
const DEFAULT_TOP: usize = 20;

/// Consumers in an answer at most.
const MAX_TOP: usize = 1_000;

/// The parameters that an endpoint may have. Unknown ones are ignored.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Query {
    window: Option<String>,
    pub(crate) step: Option<String>,
    method: Option<String>,
    route: Option<String>,
    metric: Option<String>,
    top: Option<String>,
    page: Option<String>,
}

/// What a history is of.
#[derive(Debug, Clone)]
pub(crate) enum Of {
    /// All requests.
    All,
    /// Those of one endpoint.
    Endpoint(EndpointName),
    /// One of the application's own metrics.
    Metric(String),
}

impl Query {
    /// Reads a query string. The error says what is wrong with it.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        serde_urlencoded::from_str(query).map_err(|error| format!("{error}; allowed: each parameter once"))
    }

    /// The window, or this one.
    pub(crate) fn window_or(&self, default: Window) -> Result<Window, String> {
        match &self.window {
            Some(window) => window.parse().map_err(|error: ParseWindowError| error.to_string()),
            None => Ok(default),
        }
    }

    /// What a history is of.
    pub(crate) fn of(&mut self) -> Result<Of, String> {
        match (self.method.take(), self.route.take(), self.metric.take()) {
            (Some(method), Some(route), None) => {
                Ok(Of::Endpoint(EndpointName { method: method.into(), route: route.into() }))
            }
            (None, None, Some(metric)) => Ok(Of::Metric(metric)),
            (None, None, None) => Ok(Of::All),
            (_, _, Some(_)) => {
                Err("metric excludes method and route; allowed: metric, or method and route".to_owned())
            }
            _ => Err("method and route belong together; allowed: both or none".to_owned()),
        }
    }

    /// Whether the request is of an open page.
    pub(crate) fn page(&self) -> Result<bool, String> {
        match self.page.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err("page is neither true nor false; allowed: true, false".to_owned()),
        }
    }

    /// How many consumers.
    pub(crate) fn top(&self) -> Result<usize, String> {
        let Some(top) = &self.top else { return Ok(DEFAULT_TOP) };
        let top = top.parse().ok().filter(|top| (1..=MAX_TOP).contains(top));
        top.ok_or_else(|| format!("top is out of range; allowed: 1 to {MAX_TOP}"))
    }
}
