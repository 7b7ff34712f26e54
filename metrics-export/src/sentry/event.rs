//! An error as an event: <https://develop.sentry.dev/sdk/data-model/event-payloads/>.

use std::borrow::Cow;
use std::collections::BTreeMap;

use metrics_core::{Outcome, RecentError, message_template};
use sentry_types::protocol::v7::{Event, Exception, Level, Mechanism};

use super::origin::Origin;
use super::request::{contexts, in_range, name, place, request, sdk, span, tags};
use crate::service::trace_link;

/// What groups errors into one issue: route, status, and the message's template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([String; 3]);

impl Fingerprint {
    pub(super) fn of(error: &RecentError) -> Self {
        Self([place(&error.endpoint), error.outcome.to_string(), message_template(message(error))])
    }
}

/// The message of an error; empty for a 4xx, whose message may quote the client.
fn message(error: &RecentError) -> &str {
    match error.outcome {
        Outcome::Status(400..=499) => "",
        _ => &error.message,
    }
}

/// The event of an error; `left_out` events of its kind were left out before it.
pub(super) fn event(
    origin: &Origin,
    error: &RecentError,
    fingerprint: Fingerprint,
    left_out: u64,
) -> Event<'static> {
    let is_panic = error.outcome == Outcome::Panicked;
    let status = error.outcome.status();
    let level = match error.outcome {
        Outcome::Panicked => Level::Fatal,
        Outcome::Status(400..=499) => Level::Warning,
        _ => Level::Error,
    };
    let exception = Exception {
        ty: status.map_or_else(|| "panic".to_owned(), |status| format!("HTTP {status}")),
        value: Some(message(error).to_owned()).filter(|message| !message.is_empty()),
        mechanism: Some(Mechanism {
            ty: if is_panic { "panic" } else { "http" }.to_owned(),
            handled: Some(!is_panic),
            ..Mechanism::default()
        }),
        ..Exception::default()
    };
    // In seconds.
    let mut extra = BTreeMap::from([("response_time".to_owned(), error.response_time.as_secs_f64().into())]);
    if let (Some(url), Some(trace)) = (&origin.trace_url, error.trace) {
        extra.insert("trace_url".to_owned(), trace_link(url, trace.trace).into());
    }
    if left_out > 0 {
        extra.insert("left_out_before".to_owned(), left_out.into());
    }
    Event {
        level,
        fingerprint: Cow::Owned(fingerprint.0.into_iter().map(Cow::Owned).collect()),
        transaction: Some(name(&place(&error.endpoint))),
        logger: Some("metrics".to_owned()),
        // Sentry's name for compiled programs; it has none for Rust.
        platform: Cow::Borrowed("native"),
        timestamp: in_range(error.time),
        server_name: origin.server_name.clone().map(Cow::Owned),
        release: origin.release.clone().map(Cow::Owned),
        environment: origin.environment.clone().map(Cow::Owned),
        request: request(&error.endpoint),
        contexts: contexts(error.outcome, error.trace.map(|trace| span(trace, error.outcome))),
        exception: vec![exception].into(),
        tags: tags(&error.endpoint, error.outcome),
        extra,
        sdk: Some(Cow::Owned(sdk())),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::{ErrorCursor, Registry, SpanId, TraceContext, TraceId};
    use serde_json::{Value, json};

    use super::*;

    fn error(method: &str, route: &str, outcome: Outcome, message: &str) -> RecentError {
        let registry = Registry::new();
        let endpoint = registry.endpoint(method, route);
        registry.record_error(endpoint, outcome, Duration::from_millis(20), message);
        registry.errors_after(&mut ErrorCursor::default()).remove(0)
    }

    fn of(error: &RecentError, left_out: u64) -> Value {
        let origin = Origin {
            release: Some("shop@1.2.3".to_owned()),
            environment: Some("prod".to_owned()),
            server_name: Some("node-1".to_owned()),
            trace_url: Some("https://jaeger.example/{trace_id}".to_owned()),
        };
        serde_json::to_value(event(&origin, error, Fingerprint::of(error), left_out)).unwrap()
    }

    #[test]
    fn an_event_says_what_failed_and_nothing_else_of_the_request() {
        let error = error("GET", "/items/{id}", Outcome::Status(503), "item 17 has no stock");
        let mut event = of(&error, 3);
        let event = event.as_object_mut().unwrap();
        assert_eq!(event.remove("event_id").unwrap().as_str().unwrap().len(), 32);
        let timestamp = event.remove("timestamp").unwrap().as_f64().unwrap();
        let time = error.time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert!((timestamp - time.as_secs_f64()).abs() < 0.001);
        let expected = json!({
            "fingerprint": ["GET /items/{id}", "503", "item <num> has no stock"],
            "transaction": "GET /items/{id}",
            "logger": "metrics",
            "platform": "native",
            "release": "shop@1.2.3",
            "environment": "prod",
            "server_name": "node-1",
            "request": {"method": "GET"},
            "contexts": {"response": {"type": "response", "status_code": 503}},
            "exception": {"values": [{
                "type": "HTTP 503",
                "value": "item 17 has no stock",
                "mechanism": {"type": "http", "handled": true},
            }]},
            "tags": {"http.method": "GET", "http.route": "/items/{id}", "http.status_code": "503"},
            "extra": {"response_time": 0.02, "left_out_before": 3},
            "sdk": {"name": "metrics-export", "version": env!("CARGO_PKG_VERSION")},
        });
        assert_eq!(Value::Object(event.clone()), expected);
    }

    #[test]
    fn a_panic_is_fatal_and_was_not_handled() {
        let event = of(&error("POST", "/orders", Outcome::Panicked, ""), 0);
        assert_eq!(event["level"], "fatal");
        let exception = &event["exception"]["values"][0];
        assert_eq!((&exception["type"], &exception["value"]), (&"panic".into(), &Value::Null));
        assert_eq!(exception["mechanism"], json!({"type": "panic", "handled": false}));
        assert_eq!((&event["contexts"], &event["extra"]["left_out_before"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn the_message_of_a_4xx_which_can_quote_a_client_stays_here() {
        let event = of(&error("GET", "/items/{id}", Outcome::Status(404), "can not parse \"hunter2\""), 0);
        assert!(!event.to_string().contains("hunter2"), "{event}");
        assert_eq!(event["fingerprint"], json!(["GET /items/{id}", "404", ""]));
        assert_eq!(event["exception"]["values"][0]["type"], "HTTP 404");
    }

    #[test]
    fn an_event_is_in_the_trace_of_its_request() {
        let mut error = error("GET", "/", Outcome::Status(500), "no");
        let (trace, parent) = (TraceId::new(7).unwrap(), SpanId::new(8));
        error.trace = Some(TraceContext { trace, parent, sampled: true });
        let event = of(&error, 0);
        assert_eq!(event["extra"]["trace_url"], format!("https://jaeger.example/{:032x}", 7));
        let trace = &event["contexts"]["trace"];
        let expected = [format!("{:032x}", 7), format!("{:016x}", 8)];
        assert_eq!([&trace["trace_id"], &trace["parent_span_id"]], [&expected[0], &expected[1]]);
    }

    #[test]
    fn names_are_as_long_as_they_may_be() {
        let route = format!("/{}\n", "é".repeat(120));
        let event = of(&error("_OTHER", &route, Outcome::Status(500), "no"), 0);
        assert_eq!((&event["request"], &event["level"]), (&Value::Null, &Value::Null));
        let long = "x".repeat(250);
        let event = of(&error("GET", &format!(" {long}"), Outcome::Status(404), "no"), 0);
        assert_eq!(event["tags"]["http.route"], long[..200]);
        assert_eq!(event["transaction"].as_str().unwrap().len(), 200);
        assert_eq!(event["level"], "warning");
    }
}
