//! The query strings of all endpoints.

use std::time::{Duration, SystemTime};

use metrics_core::{EndpointName, Outcome, ParseWindowError, Period, Window};
use serde::Deserialize;

/// Consumers in an answer, unless the request says otherwise.
const DEFAULT_TOP: usize = 20;

/// Consumers, or other rows, in an answer at most.
const MAX_TOP: usize = 1_000;

/// The longest query, in bytes: that of a metric with four long labels has 2 KiB. Questions that wait are kept.
const MAX_BYTES: usize = 4_096;

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
    from: Option<String>,
    until: Option<String>,
    /// Of a fleet; elsewhere it changes nothing.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no fleet without Redis"))]
    instance: Option<String>,
}

/// What a history is of.
#[derive(Debug, Clone)]
pub(crate) enum Of {
    /// All requests, or those of one endpoint, or of some statuses.
    Requests(Option<EndpointName>, Option<Statuses>),
    /// The errors of one group.
    Group(u64),
    /// The requests of one consumer.
    Consumer(String),
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
        status.ok_or_else(|| {
            let text: String = text.chars().take(32).collect();
            format!("status is {text:?}; allowed: 100 to 599, 4xx, 5xx, panicked")
        })
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
        if query.len() > MAX_BYTES {
            return Err(format!("the query has {} bytes; allowed: up to {MAX_BYTES}", query.len()));
        }
        serde_urlencoded::from_str(query).map_err(|error| {
            // Serde says "field", and what it expected.
            let error = error.to_string().replacen("field", "parameter", 1);
            match error.split_once(", expected one of ") {
                Some((what, known)) => format!("{what}; allowed: {known}"),
                None => format!("{error}; allowed: each parameter once"),
            }
        })
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
        let statuses = self.statuses()?;
        let group = self.group()?;
        let (consumer, metric) = (self.consumer.take(), self.metric.take());
        let endpoint = self.named_endpoint()?;
        match (endpoint, statuses, group, consumer, metric) {
            (endpoint, statuses, None, None, None) => Ok(Of::Requests(endpoint, statuses)),
            (None, None, Some(group), None, None) => Ok(Of::Group(group)),
            (None, None, None, Some(consumer), None) => Ok(Of::Consumer(consumer)),
            (None, None, None, None, Some(metric)) => Ok(Of::Metric(metric)),
            (Some(_), _, _, _, Some(_)) => {
                Err("metric excludes method and route; allowed: metric, or method and route".to_owned())
            }
            _ => Err("the history does not keep this combination; allowed: status with or without an endpoint, or \
                      one of group, consumer, metric, or method and route"
                .to_owned()),
        }
    }

    /// The period of a history: a window, or what is between two moments in milliseconds since 1970.
    pub(crate) fn period(&mut self, default: Window) -> Result<Period, String> {
        let moment = |text: String| {
            let millis = text.parse().ok().filter(|millis| *millis < 1 << 48);
            let at =
                millis.and_then(|millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
            at.ok_or_else(|| "from or until is not a time; allowed: milliseconds since 1970".to_owned())
        };
        match (&self.window, self.from.take(), self.until.take()) {
            (_, None, None) => self.window_or(default).map(Period::Window),
            (None, Some(from), Some(until)) => match (moment(from)?, moment(until)?) {
                (from, until) if from < until => Ok(Period::Between { from, until }),
                _ => Err("until is not after from; allowed: a later time".to_owned()),
            },
            _ => Err("window, from and until do not fit; allowed: window, or from and until".to_owned()),
        }
    }

    /// The endpoint that lists are of, if of one.
    pub(crate) fn endpoint(&mut self) -> Result<Option<EndpointName>, String> {
        match self.metric {
            None => self.named_endpoint(),
            Some(_) => Err("metric is unknown here; allowed: method and route".to_owned()),
        }
    }

    /// The endpoint, if there is one.
    fn named_endpoint(&mut self) -> Result<Option<EndpointName>, String> {
        match (self.method.take(), self.route.take()) {
            (Some(method), Some(route)) => {
                Ok(Some(EndpointName { method: method.into(), route: route.into() }))
            }
            (None, None) => Ok(None),
            _ => Err("method and route belong together; allowed: both or none".to_owned()),
        }
    }

    fn statuses(&self) -> Result<Option<Statuses>, String> {
        self.status.as_deref().map(Statuses::parse).transpose()
    }

    fn group(&self) -> Result<Option<u64>, String> {
        let parse = |group: &str| {
            let id = u64::from_str_radix(group, 16).ok().filter(|_| group.len() == 16);
            id.ok_or_else(|| {
                "group is not an id; allowed: 16 hexadecimal digits, as in GET errors/groups".to_owned()
            })
        };
        self.group.as_deref().map(parse).transpose()
    }

    /// The name of an instance of the fleet, if there is one.
    #[cfg(feature = "redis")]
    pub(crate) fn instance(&mut self) -> Option<String> {
        self.instance.take()
    }

    /// The window, if there is one.
    pub(crate) fn window(&self) -> Result<Option<Window>, String> {
        self.window.as_ref().map(|_| self.window_or(Window::SinceReset)).transpose()
    }

    /// Which errors.
    pub(crate) fn errors(&mut self) -> Result<ErrorFilter, String> {
        let (status, group) = (self.statuses()?, self.group()?);
        Ok(ErrorFilter {
            method: self.method.take(),
            route: self.route.take(),
            status,
            group,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_is_longer_than_any_name_is_refused() {
        let query = |length| format!("metric={}", "x".repeat(length - "metric=".len()));
        assert!(Query::parse(&query(MAX_BYTES)).is_ok());
        let error = Query::parse(&query(MAX_BYTES + 1)).unwrap_err();
        assert_eq!(error, "the query has 4097 bytes; allowed: up to 4096");
    }
}
