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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family<'a> {
    /// Without a counter's `_total`.
    pub(crate) name: Name<'a>,
    pub(crate) kind: Kind,
    /// The last word of the name, where it is a unit.
    pub(crate) unit: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// A family's name, in three parts, so that none has to be put together for a metric of the application's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a>(pub(crate) [&'a str; 3]);

impl<'a> Name<'a> {
    const fn whole(name: &'a str) -> Self {
        Self(["", name, ""])
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    }

    pub(crate) fn len(self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> + Clone + use<'a> {
        self.0.into_iter().flat_map(str::bytes)
    }
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

    /// What a family's samples have behind its name, in any format; and nothing, for itself.
    pub(crate) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["", "_total", "_created"],
            Self::Gauge => &[""],
            Self::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        }
    }
}

/// A label's name and its value, not escaped.
pub(crate) type Label<'a> = (&'a str, &'a str);

/// The label of an exemplar. With its value 40 of the 128 characters that OpenMetrics allows.
pub(crate) const TRACE_ID: &str = "trace_id";

/// Names that no constant label may have.
pub(crate) const RESERVED: [&str; 14] = [
    "consumer",
    "error_type",
    "exporter",
    "http_request_method",
    "http_response_status_code",
    "http_route",
    "le",
    "method",
    "outcome",
    "quantile",
    "result",
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

    pub(crate) fn duration(self) -> &'static Family<'static> {
        match self {
            Self::Prometheus => &DURATION,
            Self::OpenTelemetry => &OTEL_DURATION,
        }
    }

    pub(crate) fn in_flight(self) -> &'static Family<'static> {
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

const fn counter(name: &'static str, help: &'static str) -> Family<'static> {
    Family { name: Name::whole(name), kind: Kind::Counter, unit: None, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family<'static> {
    Family { name: Name::whole(name), kind: Kind::Gauge, unit: None, help }
}

const fn with_unit(family: Family<'static>, unit: &'static str) -> Family<'static> {
    Family { unit: Some(unit), ..family }
}

const DURATION_HELP: &str = "How long requests took. Counts all, also those that were aborted or panicked.";
const IN_FLIGHT_HELP: &str = "Requests that are under way.";

static DURATION: Family<'static> = Family {
    name: Name::whole("http_request_duration_seconds"),
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: DURATION_HELP,
};
static OTEL_DURATION: Family<'static> = Family {
    name: Name::whole("http_server_request_duration_seconds"),
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: DURATION_HELP,
};
static IN_FLIGHT: Family<'static> = gauge("http_requests_in_flight", IN_FLIGHT_HELP);
static OTEL_ACTIVE: Family<'static> = gauge("http_server_active_requests", IN_FLIGHT_HELP);

pub(crate) static REQUESTS: Family<'static> =
    counter("http_requests", "Requests that got a response, by its status.");
pub(crate) static ABORTED: Family<'static> =
    counter("http_requests_aborted", "Requests whose client went away before there was a response.");
pub(crate) static PANICKED: Family<'static> =
    counter("http_requests_panicked", "Requests that panicked before there was a response.");
pub(crate) static REQUEST_BYTES: Family<'static> =
    with_unit(counter("http_request_body_bytes", "Bytes of the requests' bodies, as announced."), "bytes");
pub(crate) static RESPONSE_BYTES: Family<'static> =
    with_unit(counter("http_response_body_bytes", "Bytes of the responses' bodies."), "bytes");
pub(crate) static TRUNCATED: Family<'static> = counter(
    "http_responses_truncated",
    "Responses whose body broke off. They are counted by their status, too.",
);
pub(crate) static OPEN_STREAMS: Family<'static> =
    gauge("http_open_streams", "Responses that stay open, such as server-sent events and WebSockets.");
pub(crate) static CONSUMER_REQUESTS: Family<'static> =
    counter("http_consumer_requests", "Requests of the consumers with the most of them.");
pub(crate) static CONSUMER_ERRORS: Family<'static> = counter(
    "http_consumer_errors",
    "4xx, 5xx and panics among the requests of the consumers with the most of them.",
);
pub(crate) static CONSUMER_SECONDS: Family<'static> = with_unit(
    counter(
        "http_consumer_duration_seconds",
        "How long the requests of the consumers with the most of them took.",
    ),
    "seconds",
);
pub(crate) static ENDPOINTS: Family<'static> =
    gauge("metrics_core_endpoints", "Endpoints in use, without the one for those that did not fit.");
pub(crate) static MAX_ENDPOINTS: Family<'static> = gauge("metrics_core_endpoints_max", "Endpoints that fit.");
pub(crate) static ENDPOINTS_REFUSED: Family<'static> =
    counter("metrics_core_endpoints_refused", "Times an endpoint was asked for that did not fit.");
pub(crate) static CONSUMERS: Family<'static> = gauge("metrics_core_consumers", "Consumers known by name.");
pub(crate) static MAX_CONSUMERS: Family<'static> = gauge("metrics_core_consumers_max", "Consumers that fit.");
pub(crate) static CONSUMERS_REFUSED: Family<'static> =
    counter("metrics_core_consumers_refused", "Times a consumer was asked for that did not fit.");
pub(crate) static SHARDS: Family<'static> =
    gauge("metrics_core_shards", "Shards: the most recorders that lived at once.");
pub(crate) static ERRORS_EVICTED: Family<'static> =
    counter("metrics_core_errors_evicted", "Entries that newer ones pushed out of the error log.");
pub(crate) static ERRORS_THINNED: Family<'static> =
    counter("metrics_core_errors_thinned", "Errors that were counted but came too fast for the error log.");
pub(crate) static CLAMPED: Family<'static> =
    counter("metrics_core_durations_clamped", "Durations over 68.7 s, which share the last native bucket.");
pub(crate) static METRICS_HIDDEN: Family<'static> = gauge(
    "metrics_core_metrics_hidden",
    "Metrics of the application's own that are left out, since their family would be called as another one's.",
);
pub(crate) static EXPORTER_WINDOWS: Family<'static> =
    counter("metrics_exporter_windows", "Windows for a destination, by what became of them.");
pub(crate) static EXPORTER_WINDOWS_WAITING: Family<'static> =
    gauge("metrics_exporter_windows_waiting", "Windows that wait for a destination, or are being sent.");
pub(crate) static EXPORTER_ERRORS: Family<'static> =
    counter("metrics_exporter_errors", "Entries of the error log for a destination, by what became of them.");
pub(crate) static EXPORTER_ERRORS_WAITING: Family<'static> = gauge(
    "metrics_exporter_errors_waiting",
    "Entries of the error log that wait for a destination, or are being sent.",
);
pub(crate) static EXPORTER_REQUESTS: Family<'static> =
    counter("metrics_exporter_requests", "Single requests for a destination, by what became of them.");
pub(crate) static EXPORTER_REQUESTS_WAITING: Family<'static> = gauge(
    "metrics_exporter_requests_waiting",
    "Single requests that wait for a destination, or are being sent.",
);
pub(crate) static EXPORTER_CALLS_DROPPED: Family<'static> =
    counter("metrics_exporter_calls_dropped", "Requests in the windows that were dropped.");
pub(crate) static EXPORTER_REJECTED: Family<'static> = counter(
    "metrics_exporter_rejected",
    "Data points, documents and the like that a destination did not take out of windows that it took.",
);
pub(crate) static EXPORTER_ATTEMPTS_FAILED: Family<'static> =
    counter("metrics_exporter_attempts_failed", "Attempts to send that failed.");
pub(crate) static EXPORTER_FAILING: Family<'static> = gauge(
    "metrics_exporter_failing_attempts",
    "Attempts to send that failed since the last one that did not.",
);
pub(crate) static EXPORTER_LAST_SENT: Family<'static> = with_unit(
    gauge(
        "metrics_exporter_last_sent_timestamp_seconds",
        "When a destination last took a window, in seconds since 1970; 0 before the first time.",
    ),
    "seconds",
);
pub(crate) static TICKS: Family<'static> =
    counter("metrics_core_ticks", "Times that the history was kept and the process looked at.");
pub(crate) static TICK_SECONDS: Family<'static> =
    with_unit(counter("metrics_core_tick_duration_seconds", "How long that took."), "seconds");
pub(crate) static CPU_SECONDS: Family<'static> = with_unit(
    counter("process_cpu_seconds", "Processor time that the process took, of the user and of the system."),
    "seconds",
);
pub(crate) static RESIDENT_BYTES: Family<'static> =
    with_unit(gauge("process_resident_memory_bytes", "Resident memory."), "bytes");
pub(crate) static VIRTUAL_BYTES: Family<'static> =
    with_unit(gauge("process_virtual_memory_bytes", "Virtual memory."), "bytes");
pub(crate) static OPEN_FILES: Family<'static> = gauge("process_open_fds", "Open file descriptors.");
pub(crate) static MAX_FILES: Family<'static> = gauge("process_max_fds", "File descriptors that may be open.");
pub(crate) static THREADS: Family<'static> = gauge("process_threads", "Threads of the process.");
pub(crate) static START_TIME: Family<'static> = with_unit(
    gauge("process_start_time_seconds", "When the process began, in seconds since 1970."),
    "seconds",
);
pub(crate) static NETWORK_RECEIVED: Family<'static> = with_unit(
    counter("host_network_receive_bytes", "Bytes that the host received, over all of its interfaces."),
    "bytes",
);
pub(crate) static NETWORK_SENT: Family<'static> = with_unit(
    counter("host_network_transmit_bytes", "Bytes that the host sent, over all of its interfaces."),
    "bytes",
);
pub(crate) static EVENT_LOOP_LAG: Family<'static> = with_unit(
    gauge(
        "event_loop_lag_seconds",
        "The longest by which a worker's event loop was late within the last minute.",
    ),
    "seconds",
);
