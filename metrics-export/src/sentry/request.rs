//! What events and transactions say about a request: what the monitor knows, and nothing else.

use std::collections::BTreeMap;
use std::time::SystemTime;

use metrics_core::{EndpointName, Outcome, TraceContext as Trace, is_hidden};
use sentry_types::protocol::v7::{
    ClientSdkInfo, Context, Request, ResponseContext, SpanId, SpanStatus, TraceContext, TraceId,
};

use super::origin::{SDK_NAME, SDK_VERSION};

/// The longest tag and the longest name of a transaction, in characters. Sentry cuts or drops longer ones.
const MAX_NAME: usize = 200;

/// An endpoint as a text: `GET /items/{id}`.
pub(super) fn place(endpoint: &EndpointName) -> String {
    format!("{} {}", endpoint.method, endpoint.route)
}

/// Makes a text one line without surrounding blanks, and cuts it to the longest name.
pub(super) fn name(text: &str) -> String {
    let line: String = text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect();
    let cut: String = line.trim().chars().take(MAX_NAME).collect();
    cut.trim_end().to_owned()
}

/// A time that Sentry accepts: not before 1970.
pub(super) fn in_range(time: SystemTime) -> SystemTime {
    time.max(SystemTime::UNIX_EPOCH)
}

pub(super) fn tags(endpoint: &EndpointName, outcome: Outcome) -> BTreeMap<String, String> {
    let status = outcome.status().map(|status| status.to_string());
    let tags = [
        ("http.method", name(&endpoint.method)),
        ("http.route", name(&endpoint.route)),
        ("http.status_code", status.unwrap_or_default()),
    ];
    // Sentry accepts no tag without a value.
    let tags = tags.into_iter().filter(|(_, value)| !value.is_empty());
    tags.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The request with its method, unless Sentry would not accept the method, such as our `_OTHER`.
pub(super) fn request(endpoint: &EndpointName) -> Option<Request> {
    let method = &*endpoint.method;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    is_method.then(|| Request { method: Some(method.to_owned()), ..Request::default() })
}

/// The response, if there was one, and the place in a trace, if known.
pub(super) fn contexts(outcome: Outcome, trace: Option<TraceContext>) -> BTreeMap<String, Context> {
    let response = outcome.status().map(|status| {
        let response = ResponseContext { status_code: Some(status.into()), ..ResponseContext::default() };
        ("response".to_owned(), Context::from(response))
    });
    let trace = trace.map(|trace| ("trace".to_owned(), Context::from(trace)));
    response.into_iter().chain(trace).collect()
}

/// The request's span, a child of its caller's.
pub(super) fn span(trace: Trace, outcome: Outcome) -> TraceContext {
    TraceContext {
        trace_id: TraceId::from(trace.trace.bits().to_be_bytes()),
        parent_span_id: trace.parent.map(|parent| SpanId::from(parent.bits().to_be_bytes())),
        ..root(outcome)
    }
}

/// The first span of a trace.
pub(super) fn root(outcome: Outcome) -> TraceContext {
    TraceContext {
        op: Some("http.server".to_owned()),
        status: status(outcome),
        origin: Some("auto.http.metrics".to_owned()),
        ..TraceContext::default()
    }
}

/// Sentry's status for an outcome: <https://develop.sentry.dev/sdk/telemetry/traces/opentelemetry/#span-status>.
fn status(outcome: Outcome) -> Option<SpanStatus> {
    Some(match outcome {
        Outcome::Aborted => SpanStatus::Cancelled,
        Outcome::Panicked => SpanStatus::InternalError,
        Outcome::Other => return None,
        Outcome::Status(status) => match status {
            ..=399 => SpanStatus::Ok,
            401 => SpanStatus::Unauthenticated,
            403 => SpanStatus::PermissionDenied,
            404 => SpanStatus::NotFound,
            409 => SpanStatus::AlreadyExists,
            429 => SpanStatus::ResourceExhausted,
            400..=499 => SpanStatus::InvalidArgument,
            501 => SpanStatus::Unimplemented,
            503 => SpanStatus::Unavailable,
            504 => SpanStatus::DeadlineExceeded,
            _ => SpanStatus::InternalError,
        },
    })
}

pub(super) fn sdk() -> ClientSdkInfo {
    ClientSdkInfo {
        name: SDK_NAME.to_owned(),
        version: SDK_VERSION.to_owned(),
        integrations: Vec::new(),
        packages: Vec::new(),
    }
}
