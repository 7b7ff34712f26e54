//! The query strings of all endpoints.

use metrics_core::{EndpointName, Outcome, ParseWindowError, Window};
use serde::Deserialize;

/// Consumers in an answer, unless the request says otherwise.
const DEFAULT_TOP: usize = 20;

/// Consumers, or other rows, in an answer at most.
const MAX_TOP: usize = 1_000;

/// The parameters that an endpoint may have. Others are refused, so that a misspelt one is noticed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    window: Option<String>,
    pub(crate) step: Option<String>,
    method: Option<String>,
    route: Option<String>,
    metric: Option<String>,
    top: Option<String>,
    page: Option<String>,
    status: Option<String>,
    group: Option<String>,
    consumer: Option<String>,
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

/// Which errors an answer has. Each part that is set has to match.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ErrorFilter {
    pub(crate) method: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) status: Option<Statuses>,
    pub(crate) group: Option<u64>,
    pub(crate) consumer: Option<String>,
}

impl ErrorFilter {
    /// Whether it allows all errors.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A status, or several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Statuses {
    One(u16),
    /// Those of a class, such as 5 for 5xx.
    Class(u16),
    Panicked,
}

impl Statuses {
    fn parse(text: &str) -> Result<Self, String> {
        let status = match text {
            "panicked" => Some(Self::Panicked),
            "4xx" => Some(Self::Class(4)),
            "5xx" => Some(Self::Class(5)),
            _ => text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::One),
        };
        status.ok_or_else(|| "status is unknown; allowed: 100 to 599, 4xx, 5xx, panicked".to_owned())
    }

    /// Whether an outcome is among them. A panic is a server error, so it is among 5xx.
    pub(crate) fn include(self, outcome: Outcome) -> bool {
        match self {
            Self::One(status) => outcome == Outcome::Status(status),
            Self::Class(4) => outcome.is_client_error(),
            Self::Class(_) => outcome.is_server_error(),
            Self::Panicked => outcome == Outcome::Panicked,
        }
    }
}

impl Query {
    /// Reads a query string. The error says what is wrong with it.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        serde_urlencoded::from_str(query)
            .map_err(|error| format!("{error}; allowed: known parameters, each once"))
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

    /// The endpoint, if there is one.
    pub(crate) fn endpoint(&mut self) -> Result<Option<EndpointName>, String> {
        match self.of()? {
            Of::All => Ok(None),
            Of::Endpoint(name) => Ok(Some(name)),
            Of::Metric(_) => Err("metric is unknown here; allowed: method and route".to_owned()),
        }
    }

    /// The window, if there is one.
    pub(crate) fn window(&self) -> Result<Option<Window>, String> {
        self.window.as_ref().map(|_| self.window_or(Window::SinceReset)).transpose()
    }

    /// Which errors.
    pub(crate) fn errors(&mut self) -> Result<ErrorFilter, String> {
        let status = self.status.as_deref().map(Statuses::parse).transpose()?;
        let group = self.group.as_deref().map(|group| {
            let id = u64::from_str_radix(group, 16).ok().filter(|_| group.len() == 16);
            id.ok_or_else(|| {
                "group is not an id; allowed: 16 hexadecimal digits, as in GET errors/groups".to_owned()
            })
        });
        Ok(ErrorFilter {
            method: self.method.take(),
            route: self.route.take(),
            status,
            group: group.transpose()?,
            consumer: self.consumer.take(),
        })
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
        self.top_or(DEFAULT_TOP)
    }

    /// How many rows, or this many.
    pub(crate) fn top_or(&self, default: usize) -> Result<usize, String> {
        let Some(top) = &self.top else { return Ok(default) };
        let top = top.parse().ok().filter(|top| (1..=MAX_TOP).contains(top));
        top.ok_or_else(|| format!("top is out of range; allowed: 1 to {MAX_TOP}"))
    }
}
