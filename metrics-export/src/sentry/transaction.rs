//! A sampled request as a transaction: <https://develop.sentry.dev/sdk/data-model/event-payloads/transaction/>.

use std::borrow::Cow;

use metrics_core::RecentRequest;
use sentry_types::protocol::v7::{Context, DynamicSamplingContext, Transaction};

use super::origin::Origin;
use super::request::{contexts, in_range, name, place, request, root, sdk, span, tags};

/// The transaction of a request, without inner spans.
pub(super) fn transaction(origin: &Origin, recent: &RecentRequest) -> Transaction<'static> {
    let (endpoint, outcome) = (&*recent.endpoint, recent.outcome);
    let trace = recent.trace.map_or_else(|| root(outcome), |trace| span(trace, outcome));
    Transaction {
        name: Some(name(&place(endpoint))),
        release: origin.release.clone().map(Cow::Owned),
        environment: origin.environment.clone().map(Cow::Owned),
        tags: tags(endpoint, outcome),
        sdk: Some(Cow::Owned(sdk())),
        // Sentry's name for compiled programs; it has none for Rust.
        platform: Cow::Borrowed("native"),
        timestamp: Some(in_range(recent.time)),
        start_timestamp: in_range(recent.time.checked_sub(recent.response_time).unwrap_or(recent.time)),
        contexts: contexts(outcome, Some(trace)),
        request: request(endpoint),
        server_name: origin.server_name.clone().map(Cow::Owned),
        ..Transaction::default()
    }
}

/// The sample rate, which Sentry uses to extrapolate, and the project's key.
pub(super) fn sampling(transaction: &Transaction<'_>, key: &str, rate: f64) -> DynamicSamplingContext {
    let mut sampling = DynamicSamplingContext::new()
        .with_public_key(key.to_owned())
        .with_sample_rate(rate as f32)
        .with_sampled(true);
    if let Some(Context::Trace(trace)) = transaction.contexts.get("trace") {
        sampling = sampling.with_trace_id(trace.trace_id);
    }
    if let Some(release) = &transaction.release {
        sampling = sampling.with_release(release.clone().into_owned());
    }
    if let Some(environment) = &transaction.environment {
        sampling = sampling.with_environment(environment.clone().into_owned());
    }
    match &transaction.name {
        Some(name) => sampling.with_transaction(name.clone()),
        None => sampling,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use metrics_core::{EndpointName, Outcome, SpanId, TraceContext, TraceId};
    use serde_json::{Value, json};

    use super::*;

    fn recent(outcome: Outcome, trace: Option<TraceContext>) -> RecentRequest {
        let endpoint = EndpointName { method: "GET".into(), route: "/items/{id}".into() };
        RecentRequest {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_750),
            endpoint: Arc::new(endpoint),
            outcome,
            response_time: Duration::from_millis(1_500),
            trace,
            randomness: 0.1,
        }
    }

    fn of(recent: &RecentRequest) -> Value {
        let origin = Origin {
            release: Some("shop@1.2.3".to_owned()),
            environment: Some("prod".to_owned()),
            server_name: Some("node-1".to_owned()),
            trace_url: None,
        };
        let transaction = transaction(&origin, recent);
        let sampling = serde_json::to_value(sampling(&transaction, "key", 0.25)).unwrap();
        let mut sent = serde_json::to_value(transaction).unwrap();
        assert_eq!(sampling["trace_id"], sent["contexts"]["trace"]["trace_id"]);
        let rest = json!({
            "trace_id": sampling["trace_id"], "public_key": "key", "sample_rate": "0.25", "sampled": "true",
            "release": "shop@1.2.3", "environment": "prod", "transaction": "GET /items/{id}",
        });
        assert_eq!(sampling, rest);
        sent.as_object_mut().unwrap().remove("event_id");
        sent
    }

    #[test]
    fn a_transaction_is_a_child_of_the_callers_span() {
        let trace =
            TraceContext { trace: TraceId::new(0xab).unwrap(), parent: SpanId::new(0xcd), sampled: false };
        let mut sent = of(&recent(Outcome::Status(503), Some(trace)));
        let span = sent["contexts"]["trace"].as_object_mut().unwrap().remove("span_id").unwrap();
        assert!(span.as_str().unwrap().len() == 16 && span != "00000000000000cd");
        let expected = json!({
            "transaction": "GET /items/{id}",
            "platform": "native",
            "release": "shop@1.2.3",
            "environment": "prod",
            "server_name": "node-1",
            "start_timestamp": 999.25,
            "timestamp": "1970-01-01T00:16:40.75Z",
            "request": {"method": "GET"},
            "contexts": {
                "response": {"type": "response", "status_code": 503},
                "trace": {
                    "type": "trace", "op": "http.server", "origin": "auto.http.metrics", "status": "unavailable",
                    "trace_id": format!("{:032x}", 0xab), "parent_span_id": format!("{:016x}", 0xcd),
                },
            },
            "tags": {"http.method": "GET", "http.route": "/items/{id}", "http.status_code": "503"},
            "sdk": {"name": "metrics-export", "version": env!("CARGO_PKG_VERSION")},
            "spans": [],
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_transaction_without_a_caller_starts_a_trace() {
        let traces = [Outcome::Status(200), Outcome::Aborted]
            .map(|outcome| of(&recent(outcome, None))["contexts"]["trace"].clone());
        assert_ne!(traces[0]["trace_id"], traces[1]["trace_id"]);
        assert_eq!([&traces[0]["status"], &traces[1]["status"]], ["ok", "cancelled"]);
        assert_eq!(traces[0]["parent_span_id"], Value::Null);
    }
}
