//! Errors and summaries as documents of ECS, the Elastic Common Schema.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::SystemTime;

use metrics_core::{EndpointName, EndpointSummary, Figures, Outcome, RecentError, TraceId};
use serde::Serialize;

use super::service::ServiceFields;
use crate::json::time::Time;
use crate::push::Window;

/// The version of the schema.
const ECS_VERSION: &str = "9.4.0";

/// Makes the documents of one service.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    pub(crate) service: ServiceFields,
    /// How many endpoints have a summary in each window.
    pub(crate) top_endpoints: usize,
    /// Makes the ids of this process's documents unlike those of all others.
    instance: RandomState,
}

/// One document.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: Time,
    log: LogFields,
    message: String,
    ecs: EcsFields,
    pub(crate) event: Event,
    service: &'a ServiceFields,
    process: ProcessFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<LabelsFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<TraceFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<RequestsFields>,
}

#[derive(Debug, Serialize)]
struct LogFields {
    level: &'static str,
    logger: &'static str,
}

#[derive(Debug, Serialize)]
struct EcsFields {
    version: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Event {
    /// The same each time the document is sent.
    pub(crate) id: String,
    kind: &'static str,
    category: [&'static str; 1],
    #[serde(rename = "type")]
    types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    dataset: &'static str,
    /// The duration of the request or of the window, in nanoseconds.
    duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    end: Time,
}

#[derive(Debug, Serialize)]
struct ProcessFields {
    pid: u32,
}

#[derive(Debug, Serialize)]
struct HttpFields<'a> {
    request: RequestFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseFields>,
}

#[derive(Debug, Serialize)]
struct RequestFields<'a> {
    method: &'a str,
}

#[derive(Debug, Serialize)]
struct ResponseFields {
    status_code: u16,
}

#[derive(Debug, Serialize)]
struct ErrorFields<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize)]
struct TraceFields {
    id: TraceId,
}

#[derive(Debug, Serialize)]
struct LabelsFields<'a> {
    route: &'a str,
}

/// The figures of a window, under a name of our own, since the schema has none. Durations are in seconds.
#[derive(Debug, Serialize)]
struct RequestsFields {
    count: u64,
    per_second: f64,
    errors: u64,
    error_rate: f64,
    client_errors: u64,
    server_errors: u64,
    aborted: u64,
    panicked: u64,
    in_flight: u64,
    request_bytes: u64,
    response_bytes: u64,
    duration: DurationFields,
    /// Errors of the window without a document; only in the summary of all requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors_missed: Option<u64>,
}

#[derive(Debug, Serialize)]
struct DurationFields {
    avg: f64,
    min: f64,
    max: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    p999: f64,
}

impl Document<'_> {
    /// Appends the document as one line.
    pub(crate) fn append_to(&self, lines: &mut Vec<u8>) {
        serde_json::to_writer(&mut *lines, self).expect("a document is numbers, texts and objects");
        lines.push(b'\n');
    }
}

impl Documents {
    pub(crate) fn new(top_endpoints: usize) -> Self {
        Self { service: ServiceFields::default(), top_endpoints, instance: RandomState::new() }
    }

    /// The documents of a window: one for each error and, if there were requests, one for all of them and one for each
    /// of the endpoints with the most calls.
    pub(crate) fn of<'a>(&'a self, window: &'a Window) -> Vec<Document<'a>> {
        let mut seen = HashMap::new();
        let errors = window.errors.iter().map(|error| {
            // Two errors may be equal, even in their times.
            let twin = seen.entry(self.hash(error_key(error))).or_insert(0_u32);
            *twin += 1;
            self.error(error, *twin)
        });
        let mut documents: Vec<_> = errors.collect();
        documents.extend(self.summaries(window));
        documents
    }

    fn error<'a>(&'a self, error: &'a RecentError, twin: u32) -> Document<'a> {
        let EndpointName { method, route } = &*error.endpoint;
        let is_client = matches!(error.outcome, Outcome::Status(400..=499));
        Document {
            timestamp: Time(error.time),
            log: log(if is_client { "warn" } else { "error" }),
            message: format!("{method} {route} {}: {}", error.outcome, error.message),
            ecs: EcsFields { version: ECS_VERSION },
            event: Event {
                id: self.id("e", (error_key(error), twin)),
                kind: "event",
                category: ["web"],
                types: ["error"],
                outcome: Some("failure"),
                dataset: "http.errors",
                duration: nanos(error.response_time),
                start: error.time.checked_sub(error.response_time).map(Time),
                end: Time(error.time),
            },
            service: &self.service,
            process: ProcessFields { pid: std::process::id() },
            http: Some(HttpFields {
                request: RequestFields { method },
                response: error.outcome.status().map(|status_code| ResponseFields { status_code }),
            }),
            error: Some(ErrorFields { message: &error.message, kind: error.outcome.to_string() }),
            labels: Some(LabelsFields { route }),
            trace: error.trace.map(|context| TraceFields { id: context.trace }),
            requests: None,
        }
    }

    fn summaries<'a>(&'a self, window: &'a Window) -> Vec<Document<'a>> {
        let summary = window.figures.summary();
        let total = self.summary(window, None, &summary.total, window.total.in_flight());
        let names: HashMap<_, _> = window.figures.endpoints().map(|of| (of.name(), of.name())).collect();
        let called = summary.endpoints.iter().filter(|endpoint| endpoint.figures.calls > 0);
        let endpoints = called.take(self.top_endpoints).filter_map(|endpoint: &EndpointSummary| {
            let name = names.get(&*endpoint.name)?;
            Some(self.summary(window, Some(name), &endpoint.figures, endpoint.in_flight))
        });
        std::iter::once(total).chain(endpoints).collect()
    }

    fn summary<'a>(
        &'a self,
        window: &Window,
        endpoint: Option<&'a EndpointName>,
        figures: &Figures,
        in_flight: u64,
    ) -> Document<'a> {
        let (since, until) = (window.figures.since(), window.figures.taken());
        let seconds = window.figures.span().as_secs_f64();
        let per_second = if seconds > 0.0 { figures.calls as f64 / seconds } else { 0.0 };
        let of = endpoint.map_or_else(
            || "all requests".to_owned(),
            |EndpointName { method, route }| format!("{method} {route}"),
        );
        let calls = figures.calls;
        let p99 = figures.p99.as_secs_f64() * 1e3;
        Document {
            timestamp: Time(until),
            log: log("info"),
            message: format!(
                "{of}: {calls} calls, {} errors, p99 {p99:.3} ms in {seconds:.1} s",
                figures.errors
            ),
            ecs: EcsFields { version: ECS_VERSION },
            event: Event {
                id: self.id("s", (since, endpoint)),
                kind: "metric",
                category: ["web"],
                types: ["info"],
                outcome: None,
                dataset: "http.summary",
                duration: nanos(window.figures.span()),
                start: Some(Time(since)),
                end: Time(until),
            },
            service: &self.service,
            process: ProcessFields { pid: std::process::id() },
            http: endpoint
                .map(|name| HttpFields { request: RequestFields { method: &name.method }, response: None }),
            error: None,
            labels: endpoint.map(|name| LabelsFields { route: &name.route }),
            trace: None,
            requests: Some(RequestsFields {
                count: calls,
                per_second,
                errors: figures.errors,
                error_rate: figures.error_rate(),
                client_errors: figures.client_errors,
                server_errors: figures.server_errors,
                aborted: figures.aborted,
                panicked: figures.panicked,
                in_flight,
                request_bytes: figures.request_bytes,
                response_bytes: figures.response_bytes,
                duration: DurationFields {
                    avg: figures.average().as_secs_f64(),
                    min: figures.min.as_secs_f64(),
                    max: figures.max.as_secs_f64(),
                    p50: figures.p50.as_secs_f64(),
                    p95: figures.p95.as_secs_f64(),
                    p99: figures.p99.as_secs_f64(),
                    p999: figures.p999.as_secs_f64(),
                },
                errors_missed: endpoint.is_none().then_some(window.errors_missed),
            }),
        }
    }

    /// A unique id: 128 bits, hashed with two random keys.
    fn id(&self, kind: &str, what: impl Hash + Copy) -> String {
        let (high, low) = (self.hash((kind, 0_u8, what)), self.hash((kind, 1_u8, what)));
        format!("{high:016x}{low:016x}")
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.instance.hash_one(what)
    }
}

fn log(level: &'static str) -> LogFields {
    LogFields { level, logger: "metrics" }
}

type ErrorKey<'a> = (SystemTime, &'a EndpointName, Outcome, std::time::Duration, &'a str);

fn error_key(error: &RecentError) -> ErrorKey<'_> {
    (error.time, &error.endpoint, error.outcome, error.response_time, &error.message)
}

fn nanos(duration: std::time::Duration) -> u64 {
    // The largest value of the schema's `long`.
    duration.as_nanos().min(i64::MAX as u128) as u64
}
