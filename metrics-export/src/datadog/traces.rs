//! Errors as traces of one span each, in the MessagePack of the Agent's `/v0.4/traces`; its fields are those of
//! <https://github.com/DataDog/datadog-agent/blob/main/pkg/proto/datadog/trace/span.proto>.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

use metrics_core::RecentError;
use serde::Serialize;

use super::service::{LANGUAGE, Service};
use super::stats::{is_error, resource};

/// The sampling priority of what is to be kept, whatever share of traces the Agent keeps: `USER_KEEP`. Only what is worth it is
/// sent at all.
const KEEP: f64 = 2.0;

#[derive(Serialize)]
struct Span<'a> {
    service: &'a str,
    name: &'a str,
    resource: String,
    r#type: &'a str,
    trace_id: u64,
    span_id: u64,
    parent_id: u64,
    /// In nanoseconds since 1970.
    start: u64,
    /// In nanoseconds.
    duration: u64,
    /// 1 or 0.
    error: i32,
    meta: BTreeMap<&'a str, String>,
    metrics: BTreeMap<&'a str, f64>,
}

/// The errors that are worth a trace: 5xx and panics, and 4xx that took at least this long.
pub(super) fn worth(errors: &[RecentError], slow: Option<Duration>) -> Vec<&RecentError> {
    let worth = |error: &&RecentError| {
        is_error(error.outcome) || slow.is_some_and(|slow| error.response_time >= slow)
    };
    errors.iter().filter(worth).collect()
}

/// A trace for each of these. Ids are made of the window's number and the place in it, so that a window that is sent again has
/// the same ones.
pub(super) fn payload(
    service: &Service,
    errors: &[&RecentError],
    ids: &impl BuildHasher,
    sequence: u64,
) -> Vec<u8> {
    let traces: Vec<[Span<'_>; 1]> = (0_u64..)
        .zip(errors)
        .map(|(place, error)| [span(service, error, |part| ids.hash_one((sequence, place, part)).max(1))])
        .collect();
    rmp_serde::to_vec_named(&traces).expect("a Vec takes everything")
}

fn span<'a>(service: &'a Service, error: &'a RecentError, id: impl Fn(u8) -> u64) -> Span<'a> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let end = error.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let failed = is_error(error.outcome);
    let (method, route) = (&*error.endpoint.method, &*error.endpoint.route);
    let mut meta: BTreeMap<&str, String> =
        service.tags.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let mut tag = |key, value: &str| {
        if !value.is_empty() {
            meta.insert(key, value.to_owned());
        }
    };
    tag("env", &service.env);
    tag("version", &service.version);
    tag("language", LANGUAGE);
    tag("runtime-id", &service.runtime_id);
    tag("span.kind", "server");
    tag("http.method", method);
    tag("http.route", route);
    if let Some(status) = error.outcome.status() {
        tag("http.status_code", &status.to_string());
    }
    if failed {
        tag("error.type", &error.outcome.to_string());
        tag("error.message", &error.message);
    }
    // That the trace was chosen by whoever sends it, and by no sampler.
    tag("_dd.p.dm", "-4");
    Span {
        service: &service.name,
        name: &service.operation,
        resource: resource(method, route),
        r#type: "web",
        trace_id: id(0),
        span_id: id(1),
        parent_id: 0,
        start: nanos(end.saturating_sub(error.response_time)),
        duration: nanos(error.response_time),
        error: i32::from(failed),
        meta,
        metrics: BTreeMap::from([("_dd.top_level", 1.0), ("_sampling_priority_v1", KEEP)]),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use metrics_core::{ErrorCursor, Outcome, Registry};
    use serde_json::Value;

    use super::*;

    fn service() -> Service {
        Service {
            name: "shop".to_owned(),
            env: "prod".to_owned(),
            version: String::new(),
            tags: vec![("team".to_owned(), "orders".to_owned()), ("env".to_owned(), "other".to_owned())],
            operation: "http.server.request".to_owned(),
            runtime_id: "an id".to_owned(),
        }
    }

    fn errors() -> Vec<RecentError> {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/items/{id}");
        for (outcome, millis) in [
            (Outcome::Status(404), 1),
            (Outcome::Status(409), 900),
            (Outcome::Status(503), 20),
            (Outcome::Panicked, 5),
        ] {
            registry.record_error(endpoint, outcome, Duration::from_millis(millis), "no stock");
        }
        registry.errors_after(&mut ErrorCursor::default())
    }

    #[test]
    fn errors_of_the_service_and_slow_ones_are_worth_a_trace() {
        let errors = errors();
        let outcomes =
            |slow| worth(&errors, slow).iter().map(|error| error.outcome.to_string()).collect::<Vec<_>>();
        assert_eq!(outcomes(None), ["503", "panicked"]);
        assert_eq!(outcomes(Some(Duration::from_millis(900))), ["409", "503", "panicked"]);
    }

    #[test]
    fn a_trace_is_one_span_that_says_what_failed() {
        let errors = errors();
        let sent = payload(&service(), &worth(&errors, None), &RandomState::new(), 1);
        let sent: Value = rmp_serde::from_slice(&sent).unwrap();
        assert_eq!((sent.as_array().unwrap().len(), sent[0].as_array().unwrap().len()), (2, 1));
        let span = &sent[0][0];
        assert_eq!((&span["resource"], &span["type"]), (&"GET /items/{id}".into(), &"web".into()));
        assert_eq!(
            (&span["duration"], &span["error"], &span["parent_id"]),
            (&20_000_000.into(), &1.into(), &0.into())
        );
        let end = errors[2].time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        assert_eq!(u128::from(span["start"].as_u64().unwrap()) + 20_000_000, end);
        let meta = |key: &str| span["meta"][key].as_str();
        assert_eq!([meta("http.status_code"), meta("error.message")], [Some("503"), Some("no stock")]);
        // Unified tags win over others, and what is not known is left out.
        assert_eq!([meta("env"), meta("team"), meta("version")], [Some("prod"), Some("orders"), None]);
        assert_eq!(span["metrics"]["_sampling_priority_v1"], 2.0);
        assert_eq!(
            (&sent[1][0]["meta"]["http.status_code"], &sent[1][0]["error"]),
            (&Value::Null, &1.into())
        );
    }

    #[test]
    fn what_is_sent_again_has_the_same_ids_and_nothing_else_has() {
        let (errors, ids) = (errors(), RandomState::new());
        let of = |sequence| payload(&service(), &worth(&errors, None), &ids, sequence);
        assert_eq!(of(1), of(1));
        let ids = |sent: Vec<u8>| {
            let sent: Value = rmp_serde::from_slice(&sent).unwrap();
            [0, 1].map(|trace| {
                [&sent[trace][0]["trace_id"], &sent[trace][0]["span_id"]].map(|id| id.as_u64().unwrap())
            })
        };
        let mut all = [ids(of(1)), ids(of(2))].concat().concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }
}
