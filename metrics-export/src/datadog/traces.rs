//! Single requests as traces of one span each, in the MessagePack of the Agent's `/v0.4/traces`, with the fields of
//! <https://github.com/DataDog/datadog-agent/blob/main/pkg/proto/datadog/trace/span.proto>.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointName, Outcome, SpanId, TraceContext};
use serde::Serialize;

use super::origin::{LANGUAGE, Origin};
use super::stats::{is_error, resource};
use crate::push::{PushSettings, Window};

/// The sampling priority `USER_KEEP`, with which the Agent keeps a trace whatever its sample rate: only selected
/// requests are sent.
const KEEP: f64 = 2.0;

/// Who selected the trace: `-3` is a rule such as `DD_TRACE_SAMPLE_RATE`, `-4` is the sender.
const DECISION_MAKER: &str = "_dd.p.dm";

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

/// Why a request is traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reason {
    /// It failed.
    Failed,
    /// It was slow.
    Slow,
    /// It is in the random sample, of this share of all requests.
    Sampled(f64),
}

/// A request to trace.
#[derive(Debug, Clone)]
pub(super) struct Traced<'a> {
    reason: Reason,
    time: SystemTime,
    endpoint: &'a EndpointName,
    outcome: Outcome,
    took: Duration,
    trace: Option<TraceContext>,
    /// The error's message.
    message: &'a str,
}

/// Returns the requests of a window to trace: 5xx and panics first, then slow and sampled ones.
pub(super) fn traced<'a>(window: &'a Window, settings: &PushSettings) -> Vec<Traced<'a>> {
    let errors = window.errors.iter().filter(|error| is_error(error.outcome)).map(|error| Traced {
        reason: Reason::Failed,
        time: error.time,
        endpoint: &error.endpoint,
        outcome: error.outcome,
        took: error.response_time,
        trace: error.trace,
        message: &error.message,
    });
    // Failed requests are already among the errors.
    let requests = window.requests.iter().filter(|request| !is_error(request.outcome));
    let requests = requests.map(|request| Traced {
        reason: match settings.slow {
            Some(slow) if request.response_time >= slow => Reason::Slow,
            _ => Reason::Sampled(settings.sample_rate),
        },
        time: request.time,
        endpoint: &request.endpoint,
        outcome: request.outcome,
        took: request.response_time,
        trace: request.trace,
        message: "",
    });
    errors.chain(requests).collect()
}

/// Encodes a trace for each request. Ids are hashes of the window's number and the request's place in it, so that a
/// window that is sent again has the same ids.
pub(super) fn payload(
    origin: &Origin,
    requests: &[Traced<'_>],
    ids: &impl BuildHasher,
    sequence: u64,
) -> Vec<u8> {
    let traces: Vec<[Span<'_>; 1]> = (0_u64..)
        .zip(requests)
        .map(|(place, request)| [span(origin, request, |part| ids.hash_one((sequence, place, part)).max(1))])
        .collect();
    rmp_serde::to_vec_named(&traces).expect("writing to a Vec does not fail")
}

fn span<'a>(origin: &'a Origin, request: &Traced<'_>, id: impl Fn(u8) -> u64) -> Span<'a> {
    // The Agent reads signed numbers; a larger one would make it reject all traces.
    let nanos =
        |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(i64::MAX as u64);
    let end = request.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let failed = is_error(request.outcome);
    let (method, route) = (&*request.endpoint.method, &*request.endpoint.route);
    let mut meta: BTreeMap<&str, String> =
        origin.tags.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let mut tag = |key, value: &str| {
        if !value.is_empty() {
            meta.insert(key, value.to_owned());
        }
    };
    tag("env", &origin.env);
    tag("version", &origin.version);
    tag("language", LANGUAGE);
    tag("runtime-id", &origin.runtime_id);
    tag("span.kind", "server");
    tag("http.method", method);
    tag("http.route", route);
    if let Some(status) = request.outcome.status() {
        tag("http.status_code", &status.to_string());
    }
    if failed {
        tag("error.type", &request.outcome.to_string());
        tag("error.message", request.message);
    }
    let mut metrics = BTreeMap::from([("_dd.top_level", 1.0), ("_sampling_priority_v1", KEEP)]);
    match request.reason {
        Reason::Failed | Reason::Slow => tag(DECISION_MAKER, "-4"),
        Reason::Sampled(share) => {
            tag(DECISION_MAKER, "-3");
            metrics.insert("_dd.rule_psr", share);
        }
    }
    // Datadog's trace ids have 64 bits; a tag has the upper half of longer ones. A lower half of 0 is not an id.
    let known = request.trace.filter(|context| context.trace.bits() as u64 != 0);
    let (upper, trace_id) = known
        .map_or((0, id(0)), |TraceContext { trace, .. }| ((trace.bits() >> 64) as u64, trace.bits() as u64));
    if upper != 0 {
        tag("_dd.p.tid", &format!("{upper:016x}"));
    }
    Span {
        service: &origin.service,
        name: &origin.operation,
        resource: resource(method, route),
        r#type: "web",
        trace_id,
        span_id: id(1),
        parent_id: known.and_then(|context| context.parent).map_or(0, SpanId::bits),
        start: nanos(end.saturating_sub(request.took)),
        duration: nanos(request.took),
        error: i32::from(failed),
        meta,
        metrics,
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;
    use std::sync::Arc;

    use metrics_core::{ErrorCursor, Registry, RequestCursor, TraceId};
    use serde_json::Value;

    use super::*;
    use crate::push::Process;

    fn origin() -> Origin {
        Origin {
            service: "shop".to_owned(),
            env: "prod".to_owned(),
            version: String::new(),
            tags: vec![("team".to_owned(), "orders".to_owned()), ("env".to_owned(), "other".to_owned())],
            operation: "http.server.request".to_owned(),
            runtime_id: "an id".to_owned(),
        }
    }

    const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

    fn context(trace: u128, parent: u64) -> Option<TraceContext> {
        Some(TraceContext { trace: TraceId::new(trace)?, parent: SpanId::new(parent), sampled: true })
    }

    fn window() -> Window {
        let registry = Registry::new();
        let (endpoint, recorder) = (registry.endpoint("GET", "/items/{id}"), registry.recorder());
        for (outcome, millis, trace) in [
            (Outcome::Status(404), 1, None),
            (Outcome::Status(503), 20, context(TRACE, 7)),
            (Outcome::Panicked, 5, None),
        ] {
            recorder.log_error(endpoint, outcome, Duration::from_millis(millis), "no stock", trace);
        }
        for (status, millis, trace, randomness) in [
            (409, 900, context(9, 0), 0.9),
            (503, 20, context(TRACE, 7), 0.1),
            (200, 1, context(1 << 64, 7), 0.1),
        ] {
            let elapsed = Duration::from_millis(millis);
            recorder.log_request(endpoint, Outcome::Status(status), elapsed, trace, randomness);
        }
        let figures = registry.snapshot();
        Window {
            total: Arc::new(figures.clone()),
            figures,
            errors: registry.errors_after(&mut ErrorCursor::default()),
            errors_missed: 0,
            requests: registry.requests_after(&mut RequestCursor::default()),
            requests_missed: 0,
            process: Process::default(),
        }
    }

    fn settings() -> PushSettings {
        PushSettings { slow: Some(Duration::from_millis(900)), sample_rate: 0.25, ..PushSettings::default() }
    }

    fn spans(sequence: u64) -> Vec<Value> {
        let window = window();
        let sent = payload(&origin(), &traced(&window, &settings()), &RandomState::new(), sequence);
        let sent: Vec<Vec<Value>> = rmp_serde::from_slice(&sent).unwrap();
        assert!(sent.iter().all(|trace| trace.len() == 1));
        sent.into_iter().flatten().collect()
    }

    #[test]
    fn the_services_errors_come_first_and_each_comes_once() {
        let window = window();
        let requests = traced(&window, &settings());
        let requests: Vec<_> =
            requests.iter().map(|request| (request.outcome.to_string(), request.reason)).collect();
        let expected = [
            ("503", Reason::Failed),
            ("panicked", Reason::Failed),
            ("409", Reason::Slow),
            ("200", Reason::Sampled(0.25)),
        ];
        assert_eq!(requests, expected.map(|(outcome, reason)| (outcome.to_owned(), reason)));
    }

    #[test]
    fn a_trace_is_one_span_with_the_error() {
        let spans = spans(1);
        let span = &spans[0];
        assert_eq!((&span["resource"], &span["type"]), (&"GET /items/{id}".into(), &"web".into()));
        assert_eq!((&span["duration"], &span["error"]), (&20_000_000.into(), &1.into()));
        let meta = |key: &str| span["meta"][key].as_str();
        assert_eq!([meta("http.status_code"), meta("error.message")], [Some("503"), Some("no stock")]);
        // Unified tags win over others, and unknown ones are left out.
        assert_eq!([meta("env"), meta("team"), meta("version")], [Some("prod"), Some("orders"), None]);
        assert_eq!((&spans[1]["meta"]["http.status_code"], &spans[1]["error"]), (&Value::Null, &1.into()));
        assert_eq!((&spans[2]["meta"]["error.message"], &spans[2]["error"]), (&Value::Null, &0.into()));
    }

    #[test]
    fn a_span_begins_with_its_request() {
        let window = window();
        let sent = payload(&origin(), &traced(&window, &settings()), &RandomState::new(), 1);
        let sent: Value = rmp_serde::from_slice(&sent).unwrap();
        let end = window.errors[1].time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        assert_eq!(u128::from(sent[0][0]["start"].as_u64().unwrap()) + 20_000_000, end);
    }

    #[test]
    fn a_span_is_a_child_of_the_span_that_its_request_came_with() {
        let spans = spans(1);
        let ids = |i: usize| {
            let span: &Value = &spans[i];
            let [trace, parent] = ["trace_id", "parent_id"].map(|id| span[id].as_u64().unwrap());
            (trace, parent, span["meta"]["_dd.p.tid"].as_str())
        };
        assert_eq!(ids(0), (TRACE as u64, 7, Some("0af7651916cd43dd")));
        assert_eq!(ids(2), (9, 0, None));
        // A request without a trace, and one whose trace has no id for Datadog.
        for i in [1, 3] {
            let (trace, parent, upper) = ids(i);
            assert_eq!((trace > 9, parent, upper), (true, 0, None));
        }
    }

    #[test]
    fn a_span_says_who_selected_it() {
        let chosen = |span: &Value| {
            let metrics = &span["metrics"];
            let (by, share) = (span["meta"]["_dd.p.dm"].as_str().unwrap(), metrics["_dd.rule_psr"].as_f64());
            (by.to_owned(), share, metrics["_sampling_priority_v1"].as_f64())
        };
        let chosen: Vec<_> = spans(1).iter().map(chosen).collect();
        let by_hand = ("-4".to_owned(), None, Some(2.0));
        let by_rule = ("-3".to_owned(), Some(0.25), Some(2.0));
        assert_eq!(chosen, [by_hand.clone(), by_hand.clone(), by_hand, by_rule]);
    }

    #[test]
    fn a_window_that_is_sent_again_has_the_same_ids_and_no_other_has_them() {
        let (window, ids) = (window(), RandomState::new());
        let requests = traced(&window, &settings());
        let of = |sequence| payload(&origin(), &requests, &ids, sequence);
        assert_eq!(of(1), of(1));
        let ids = |sent: Vec<u8>| {
            let sent: Vec<Vec<Value>> = rmp_serde::from_slice(&sent).unwrap();
            sent.into_iter().map(|trace| trace[0]["span_id"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        let mut all = [ids(of(1)), ids(of(2))].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }
}
