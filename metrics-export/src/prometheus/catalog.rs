//! Our own families, with their help texts.

use super::family::{Family, Kind, Name};

const fn counter(name: &'static str, help: &'static str) -> Family<'static> {
    Family { name: Name::whole(name), kind: Kind::Counter, unit: None, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family<'static> {
    Family { name: Name::whole(name), kind: Kind::Gauge, unit: None, help }
}

const fn with_unit(family: Family<'static>, unit: &'static str) -> Family<'static> {
    Family { unit: Some(unit), ..family }
}

const DURATION_HELP: &str = "Durations of requests, including aborted and panicked ones.";
const IN_FLIGHT_HELP: &str = "Requests in flight.";

pub(crate) static DURATION: Family<'static> = Family {
    name: Name::whole("http_request_duration_seconds"),
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: DURATION_HELP,
};
pub(crate) static OTEL_DURATION: Family<'static> = Family {
    name: Name::whole("http_server_request_duration_seconds"),
    kind: Kind::Histogram,
    unit: Some("seconds"),
    help: DURATION_HELP,
};
pub(crate) static IN_FLIGHT: Family<'static> = gauge("http_requests_in_flight", IN_FLIGHT_HELP);
pub(crate) static OTEL_ACTIVE: Family<'static> = gauge("http_server_active_requests", IN_FLIGHT_HELP);

pub(crate) static REQUESTS: Family<'static> =
    counter("http_requests", "Requests that got a response, by status.");
pub(crate) static ABORTED: Family<'static> =
    counter("http_requests_aborted", "Requests whose client disconnected before the response.");
pub(crate) static PANICKED: Family<'static> =
    counter("http_requests_panicked", "Requests that panicked before the response.");
pub(crate) static REQUEST_BYTES: Family<'static> =
    with_unit(counter("http_request_body_bytes", "Bytes of request bodies that the service read."), "bytes");
pub(crate) static RESPONSE_BYTES: Family<'static> =
    with_unit(counter("http_response_body_bytes", "Bytes of response bodies."), "bytes");
pub(crate) static TRUNCATED: Family<'static> =
    counter("http_responses_truncated", "Responses whose body broke off. They also count by their status.");
pub(crate) static OPEN_STREAMS: Family<'static> =
    gauge("http_open_streams", "Open responses, such as server-sent events and WebSockets.");
pub(crate) static CONSUMER_REQUESTS: Family<'static> =
    counter("http_consumer_requests", "Requests of the consumers with the most requests.");
pub(crate) static CONSUMER_ERRORS: Family<'static> =
    counter("http_consumer_errors", "4xx, 5xx and panics of the consumers with the most requests.");
pub(crate) static CONSUMER_SECONDS: Family<'static> = with_unit(
    counter(
        "http_consumer_duration_seconds",
        "Total duration of the requests of the consumers with the most requests.",
    ),
    "seconds",
);
pub(crate) static OBJECTIVE_VALID: Family<'static> =
    counter("http_objective_valid", "Requests that count for an objective.");
pub(crate) static OBJECTIVE_GOOD: Family<'static> =
    counter("http_objective_good", "Requests that count for an objective and were good.");
pub(crate) static OBJECTIVE_TARGET: Family<'static> =
    gauge("http_objective_target_ratio", "The share of requests that has to be good, from 0 to 1.");
pub(crate) static APDEX: Family<'static> =
    counter("http_apdex_requests", "Requests by how satisfied users are with their durations.");
pub(crate) static APDEX_TARGET: Family<'static> =
    with_unit(gauge("http_apdex_target_seconds", "The duration up to which users are satisfied."), "seconds");
pub(crate) static ENDPOINTS: Family<'static> =
    gauge("metrics_core_endpoints", "Endpoints in use, without the overflow endpoint.");
pub(crate) static MAX_ENDPOINTS: Family<'static> =
    gauge("metrics_core_endpoints_max", "Maximum number of endpoints.");
pub(crate) static ENDPOINTS_REFUSED: Family<'static> =
    counter("metrics_core_endpoints_refused", "Look-ups of new endpoints beyond the maximum.");
pub(crate) static CONSUMERS: Family<'static> = gauge("metrics_core_consumers", "Consumers in use.");
pub(crate) static MAX_CONSUMERS: Family<'static> =
    gauge("metrics_core_consumers_max", "Maximum number of consumers.");
pub(crate) static CONSUMERS_REFUSED: Family<'static> =
    counter("metrics_core_consumers_refused", "Look-ups of new consumers beyond the maximum.");
pub(crate) static SHARDS: Family<'static> =
    gauge("metrics_core_shards", "Shards: the most recorders that were alive at the same time.");
pub(crate) static ERRORS_EVICTED: Family<'static> =
    counter("metrics_core_errors_evicted", "Entries that newer ones evicted from the error log.");
pub(crate) static ERRORS_THINNED: Family<'static> =
    counter("metrics_core_errors_thinned", "Errors that were counted but came too fast for the error log.");
pub(crate) static LABEL_SETS_REFUSED: Family<'static> = counter(
    "metrics_core_label_sets_refused",
    "Look-ups of labels of the application's own metrics that did not fit, and were counted as _other or left out.",
);
pub(crate) static CLAMPED: Family<'static> =
    counter("metrics_core_durations_clamped", "Durations over 68.7 s, which share the last native bucket.");
pub(crate) static METRICS_HIDDEN: Family<'static> = gauge(
    "metrics_core_metrics_hidden",
    "Metrics of the application that are left out because of a name clash with another one.",
);
pub(crate) static EXPORTER_OFF: Family<'static> = gauge(
    "metrics_exporter_off",
    "1 if an exporter sends nothing, because of an environment variable; 0 if it is on.",
);
pub(crate) static EXPORTER_WINDOWS: Family<'static> =
    counter("metrics_exporter_windows", "Windows for an exporter, by outcome.");
pub(crate) static EXPORTER_WINDOWS_WAITING: Family<'static> =
    gauge("metrics_exporter_windows_waiting", "Windows queued for an exporter or being sent.");
pub(crate) static EXPORTER_ERRORS: Family<'static> =
    counter("metrics_exporter_errors", "Errors for an exporter, by outcome.");
pub(crate) static EXPORTER_ERRORS_WAITING: Family<'static> =
    gauge("metrics_exporter_errors_waiting", "Errors queued for an exporter or being sent.");
pub(crate) static EXPORTER_REQUESTS: Family<'static> =
    counter("metrics_exporter_requests", "Captured requests for an exporter, by outcome.");
pub(crate) static EXPORTER_REQUESTS_WAITING: Family<'static> =
    gauge("metrics_exporter_requests_waiting", "Captured requests queued for an exporter or being sent.");
pub(crate) static EXPORTER_CALLS_DROPPED: Family<'static> =
    counter("metrics_exporter_calls_dropped", "Requests in dropped windows.");
pub(crate) static EXPORTER_REJECTED: Family<'static> = counter(
    "metrics_exporter_rejected",
    "Data points, documents and the like that a destination rejected from windows it accepted.",
);
pub(crate) static EXPORTER_ATTEMPTS_FAILED: Family<'static> =
    counter("metrics_exporter_attempts_failed", "Failed attempts to send.");
pub(crate) static EXPORTER_FAILING: Family<'static> =
    gauge("metrics_exporter_failing_attempts", "Failed attempts to send since the last success.");
pub(crate) static EXPORTER_LAST_SENT: Family<'static> = with_unit(
    gauge(
        "metrics_exporter_last_sent_timestamp_seconds",
        "When a destination last accepted a window, in seconds since 1970; 0 before the first time.",
    ),
    "seconds",
);
pub(crate) static DENIED: Family<'static> =
    counter("metrics_denied", "Refused requests to the monitor's endpoints, by reason.");
pub(crate) static TICKS: Family<'static> =
    counter("metrics_core_ticks", "Samples that the monitor took of the history and the process.");
pub(crate) static TICK_SECONDS: Family<'static> = with_unit(
    counter("metrics_core_tick_duration_seconds", "Total time that these samples took."),
    "seconds",
);
pub(crate) static SCRAPES_KEPT_BYTES: Family<'static> = with_unit(
    gauge("metrics_core_scrapes_kept_bytes", "Memory of text that scrapes keep for reuse."),
    "bytes",
);
pub(crate) static HISTORY_BYTES: Family<'static> = with_unit(
    gauge("metrics_core_history_bytes", "Memory of the history and of the samples of the process."),
    "bytes",
);
pub(crate) static SHARD_BYTES: Family<'static> =
    with_unit(gauge("metrics_core_shard_bytes", "Memory of all shards."), "bytes");
pub(crate) static ERROR_GROUPS_BYTES: Family<'static> =
    with_unit(gauge("metrics_core_error_groups_bytes", "Memory of error groups."), "bytes");
pub(crate) static CPU_SECONDS: Family<'static> =
    with_unit(counter("process_cpu_seconds", "Total user and system CPU time of the process."), "seconds");
pub(crate) static RESIDENT_BYTES: Family<'static> =
    with_unit(gauge("process_resident_memory_bytes", "Resident memory of the process."), "bytes");
pub(crate) static VIRTUAL_BYTES: Family<'static> =
    with_unit(gauge("process_virtual_memory_bytes", "Virtual memory of the process."), "bytes");
pub(crate) static OPEN_FILES: Family<'static> = gauge("process_open_fds", "Open file descriptors.");
pub(crate) static MAX_FILES: Family<'static> =
    gauge("process_max_fds", "Maximum number of open file descriptors.");
pub(crate) static THREADS: Family<'static> = gauge("process_threads", "Number of threads of the process.");
pub(crate) static START_TIME: Family<'static> = with_unit(
    gauge("process_start_time_seconds", "When the process started, in seconds since 1970."),
    "seconds",
);
pub(crate) static NETWORK_RECEIVED: Family<'static> = with_unit(
    counter("host_network_receive_bytes", "Bytes that the host received over all interfaces."),
    "bytes",
);
pub(crate) static NETWORK_SENT: Family<'static> = with_unit(
    counter("host_network_transmit_bytes", "Bytes that the host sent over all interfaces."),
    "bytes",
);
pub(crate) static EVENT_LOOP_LAG: Family<'static> = with_unit(
    gauge("event_loop_lag_seconds", "Longest delay of a worker's event loop in the last minute."),
    "seconds",
);
