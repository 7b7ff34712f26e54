//! What families and labels are called.

use metrics_core::{Outcome, StatusGroup};

/// Whose names families and labels bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Names {
    /// `http_request_duration_seconds{method,route,status_class}`, `http_requests_in_flight`. The default.
    #[default]
    Prometheus,
    /// Those of OpenTelemetry's semantic conventions for HTTP, as they reach Prometheus:
    /// `http_server_request_duration_seconds{http_request_method,http_route,http_response_status_code}` and
    /// `http_server_active_requests`. Families that the conventions do not have keep their names, with these labels.
    ///
    /// The histogram is by status only where the registry keeps [`Granularity::Exact`](metrics_core::Granularity::Exact);
    /// else its label is `status_class`. Requests without a response have `error_type` instead, `aborted` or `panicked`.
    OpenTelemetry,
}

/// What is known of a family, whatever series it has.
#[derive(Debug)]
pub(crate) struct Family {
    /// Without a counter's `_total`.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The last word of the name, where it is a unit.
    pub(crate) unit: Option<&'static str>,
    pub(crate) help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// As the text formats call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label's name and its value, not escaped.
pub(crate) type Label<'a> = (&'static str, &'a str);

/// Names that no constant label may have.
pub(crate) const RESERVED: [&str; 11] = [
    "consumer",
    "error_type",
    "http_request_method",
    "http_response_status_code",
    "http_route",
    "le",
    "method",
    "quantile",
    "route",
    "status",
    "status_class",
];

impl Names {
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Prometheus => "method",
            Self::OpenTelemetry => "http_request_method",
        }
    }

    pub(crate) fn route(self) -> &'static str {
        match self {
            Self::Prometheus => "route",
            Self::OpenTelemetry => "http_route",
        }
    }

    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Prometheus => "status",
            Self::OpenTelemetry => "http_response_status_code",
        }
    }

    /// In which series of the histogram a group of statuses is. Several groups can be in one.
    pub(crate) fn class(self, group: StatusGroup) -> Class {
        match (group, self) {
            (StatusGroup::Success, _) => Class::Named("success"),
            (StatusGroup::Error, _) => Class::Named("error"),
            (StatusGroup::Status(status), Self::OpenTelemetry) => Class::Status(status),
            (StatusGroup::Status(status), Self::Prometheus) => Class::Named(first_digit(status / 100)),
            (StatusGroup::Class(digit), _) => Class::Named(first_digit(digit.into())),
            (StatusGroup::Other, _) => Class::Named("other"),
            (StatusGroup::Aborted, _) => Class::NoResponse("aborted"),
            (StatusGroup::Panicked, _) => Class::NoResponse("panicked"),
        }
    }

    pub(crate) fn duration(self) -> &'static Family {
        match self {
            Self::Prometheus => &DURATION,
            Self::OpenTelemetry => &OTEL_DURATION,
        }
    }

    pub(crate) fn in_flight(self) -> &'static Family {
        match self {
            Self::Prometheus => &IN_FLIGHT,
            Self::OpenTelemetry => &OTEL_ACTIVE,
        }
    }
}

/// What tells an endpoint's series of the histogram apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Named(&'static str),
    Status(u16),
    NoResponse(&'static str),
}

impl Class {
    /// The label; a number is written into `digits`.
    pub(crate) fn label<'a>(self, names: Names, digits: &'a mut itoa::Buffer) -> Label<'a> {
        match (self, names) {
            (Self::Status(status), _) => (names.status(), digits.format(status)),
            (Self::NoResponse(how), Names::OpenTelemetry) => ("error_type", how),
            (Self::Named(class) | Self::NoResponse(class), _) => ("status_class", class),
        }
    }
}

fn first_digit(digit: u16) -> &'static str {
    match digit {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}

/// The value of the status label, if there was a response; a number is written into `digits`.
pub(crate) fn status(outcome: Outcome, digits: &mut itoa::Buffer) -> Option<&str> {
    match outcome {
        Outcome::Status(status) => Some(digits.format(status)),
        Outcome::Other => Some("other"),
        Outcome::Aborted | Outcome::Panicked => None,
    }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, unit: None, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, unit: None, help }
}

const fn with_unit(family: Family, unit: &'static str) -> Family {
    Family { unit: Some(unit), ..family }
}

const DURATION_HELP: &str = "How long requests took. Counts all, also those that were aborted or panicked.";
const IN_FLIGHT_HELP: &str = "Requests that are under way.";

static DURATION: Family = Family {
    name: "http_request_duration_seconds",
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: DURATION_HELP,
};
static OTEL_DURATION: Family = Family {
    name: "http_server_request_duration_seconds",
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: DURATION_HELP,
};
static IN_FLIGHT: Family = gauge("http_requests_in_flight", IN_FLIGHT_HELP);
static OTEL_ACTIVE: Family = gauge("http_server_active_requests", IN_FLIGHT_HELP);

pub(crate) static REQUESTS: Family = counter("http_requests", "Requests that got a response, by its status.");
pub(crate) static ABORTED: Family =
    counter("http_requests_aborted", "Requests whose client went away before there was a response.");
pub(crate) static PANICKED: Family =
    counter("http_requests_panicked", "Requests that panicked before there was a response.");
pub(crate) static REQUEST_BYTES: Family =
    with_unit(counter("http_request_body_bytes", "Bytes of the requests' bodies, as announced."), "bytes");
pub(crate) static RESPONSE_BYTES: Family =
    with_unit(counter("http_response_body_bytes", "Bytes of the responses' bodies."), "bytes");
pub(crate) static TRUNCATED: Family = counter(
    "http_responses_truncated",
    "Responses whose body broke off. They are counted by their status, too.",
);
pub(crate) static OPEN_STREAMS: Family =
    gauge("http_open_streams", "Responses that stay open, such as server-sent events and WebSockets.");
pub(crate) static CONSUMER_REQUESTS: Family =
    counter("http_consumer_requests", "Requests of the consumers with the most of them.");
pub(crate) static CONSUMER_ERRORS: Family = counter(
    "http_consumer_errors",
    "4xx, 5xx and panics among the requests of the consumers with the most of them.",
);
pub(crate) static CONSUMER_SECONDS: Family = with_unit(
    counter(
        "http_consumer_duration_seconds",
        "How long the requests of the consumers with the most of them took.",
    ),
    "seconds",
);
pub(crate) static ENDPOINTS: Family =
    gauge("metrics_core_endpoints", "Endpoints in use, without the one for those that did not fit.");
pub(crate) static MAX_ENDPOINTS: Family = gauge("metrics_core_endpoints_max", "Endpoints that fit.");
pub(crate) static ENDPOINTS_REFUSED: Family =
    counter("metrics_core_endpoints_refused", "Times an endpoint was asked for that did not fit.");
pub(crate) static CONSUMERS: Family = gauge("metrics_core_consumers", "Consumers known by name.");
pub(crate) static MAX_CONSUMERS: Family = gauge("metrics_core_consumers_max", "Consumers that fit.");
pub(crate) static CONSUMERS_REFUSED: Family =
    counter("metrics_core_consumers_refused", "Times a consumer was asked for that did not fit.");
pub(crate) static SHARDS: Family =
    gauge("metrics_core_shards", "Shards: the most recorders that lived at once.");
pub(crate) static ERRORS_EVICTED: Family =
    counter("metrics_core_errors_evicted", "Entries that newer ones pushed out of the error log.");
pub(crate) static ERRORS_THINNED: Family =
    counter("metrics_core_errors_thinned", "Errors that were counted but came too fast for the error log.");
pub(crate) static CLAMPED: Family =
    counter("metrics_core_durations_clamped", "Durations over 68.7 s, which share the last native bucket.");
