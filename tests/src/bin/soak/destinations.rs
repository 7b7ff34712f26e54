//! One destination of each kind for one life of an instance, and what arrives there.
//!
//! What a destination can tell apart counts once, as in the real ones: OTLP by the start of its window, Datadog by the
//! number of its window, Elasticsearch and Sentry by the ids of documents and events. Sentry's sessions have no ids.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use libdd_trace_protobuf::pb::ClientStatsPayload;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, Metric};
use prost::Message;
use serde_json::{Value, json};
use tests::{Fault, Stub};

use crate::book::Book;
use crate::mutex::lock;
use crate::recent::{Ids, Windows};

/// The destinations, in the order in which faults take their turns.
pub(crate) const KINDS: [&str; 4] = ["otlp", "elasticsearch", "datadog", "sentry"];

/// What could not be read is told so often for each life.
const STRANGE: usize = 20;

/// The destinations of one life.
#[derive(Debug)]
pub(crate) struct Destinations {
    /// In the order of [`KINDS`].
    stubs: [Stub; 4],
    pub(crate) received: Arc<Received>,
}

/// What arrived at the destinations of one life.
#[derive(Debug, Default)]
pub(crate) struct Received {
    otlp: Mutex<Series>,
    elastic: Mutex<Documents>,
    datadog: Mutex<Stats>,
    sentry: Mutex<Envelopes>,
    /// What could not be read.
    strange: Mutex<Vec<String>>,
}

#[derive(Debug, Default)]
struct Series {
    /// The outcome and the calls of each series.
    windows: Windows<BTreeMap<u64, (String, u64)>>,
    /// Of earlier windows.
    earlier: Book,
}

#[derive(Debug, Default)]
struct Stats {
    windows: Windows<Option<Book>>,
    /// Of earlier windows.
    earlier: Book,
}

#[derive(Debug, Default)]
struct Documents {
    /// Documents of whole windows, and the requests in them.
    windows: Ids,
    calls: u64,
    errors: Ids,
    /// Those that are 5xx or panics.
    server_errors: u64,
}

#[derive(Debug, Default)]
struct Envelopes {
    sessions: u64,
    /// The last sessions.
    last: Value,
    /// Sessions that came again right after the same ones.
    repeated: Vec<u64>,
    events: Ids,
}

impl Destinations {
    pub(crate) fn start() -> Self {
        let received = Arc::new(Received::default());
        let stub = |take: fn(&Received, &[u8]) -> Result<Vec<u8>, String>| {
            let received = Arc::clone(&received);
            Stub::start(Fault::None, move |body| {
                take(&received, body).unwrap_or_else(|strange| {
                    received.complain(strange);
                    Vec::new()
                })
            })
        };
        let stubs =
            [stub(Received::otlp), stub(Received::elastic), stub(Received::datadog), stub(Received::sentry)];
        Self { stubs, received }
    }

    /// Their addresses, for the service.
    pub(crate) fn urls(&self) -> Value {
        let [otlp, elastic, datadog, sentry] = self.stubs.each_ref().map(Stub::url);
        let dsn = format!("{}/42", sentry.replacen("://", "://key@", 1));
        json!({ "otlp": otlp, "elastic": elastic, "datadog": datadog, "sentry": dsn })
    }

    /// Makes the destination with this place in [`KINDS`] go wrong in this way.
    pub(crate) fn set(&self, kind: usize, fault: Fault) {
        self.stubs[kind].set(fault);
    }
}

impl Received {
    fn otlp(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let request = ExportMetricsServiceRequest::decode(body).map_err(|error| error.to_string())?;
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| scope.metrics);
        let Series { windows, earlier } = &mut *lock(&self.otlp);
        for point in metrics.flat_map(points) {
            let series = hash(&format!("{:?}", point.attributes));
            let add = |window: &mut BTreeMap<u64, (String, u64)>| {
                let before = window.entry(series).or_default();
                // A window that is sent again may have grown.
                if point.count > before.1 {
                    *before = (outcome(&point), point.count);
                }
            };
            windows.change(point.start_time_unix_nano, add, |window| add_series(earlier, &window))?;
        }
        Ok(Vec::new())
    }

    fn elastic(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let lines = json_lines(body)?;
        let mut stored = lock(&self.elastic);
        let mut items = Vec::new();
        for pair in lines.chunks_exact(2) {
            let id = hash(pair[0]["create"]["_id"].as_str().ok_or("a document without an id")?);
            let is_new = match pair[1]["event"]["dataset"].as_str() {
                Some("http.errors") => {
                    let is_new = stored.errors.insert(id);
                    stored.server_errors += u64::from(is_new && pair[1]["log"]["level"] == "error");
                    is_new
                }
                Some("http.summary") if pair[1]["labels"].is_null() => {
                    let calls = pair[1]["requests"]["count"].as_u64().ok_or("a window without a count")?;
                    let is_new = stored.windows.insert(id);
                    stored.calls += if is_new { calls } else { 0 };
                    is_new
                }
                _ => true,
            };
            items.push(json!({ "create": { "status": if is_new { 201 } else { 409 } } }));
        }
        let errors = items.iter().any(|item| item["create"]["status"] == 409);
        Ok(json!({ "errors": errors, "items": items }).to_string().into_bytes())
    }

    fn datadog(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        // Stats are a map, traces a list.
        if matches!(body.first(), Some(0x80..=0x8f | 0xde | 0xdf)) {
            let payload: ClientStatsPayload =
                rmp_serde::from_slice(body).map_err(|error| error.to_string())?;
            let mut book = Book::default();
            for group in payload.stats.iter().flat_map(|bucket| &bucket.stats) {
                book.add(&group.http_status_code.to_string(), group.hits);
            }
            let Stats { windows, earlier } = &mut *lock(&self.datadog);
            let mut is_other = false;
            let replace = |window: &mut Option<Book>| {
                is_other = window.as_ref().is_some_and(|before| *before != book);
                *window = Some(book);
            };
            windows.change(payload.sequence, replace, |window| {
                window.iter().for_each(|book| earlier.add_all(book))
            })?;
            if is_other {
                return Err(format!("window {} came again as another one", payload.sequence));
            }
            return Ok(Vec::new());
        }
        let traces: Vec<Vec<Value>> = rmp_serde::from_slice(body).map_err(|error| error.to_string())?;
        let has_id = traces.iter().flatten().all(|span| span["trace_id"].is_u64());
        if has_id { Ok(Vec::new()) } else { Err("a span without a trace".to_owned()) }
    }

    fn sentry(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let lines = json_lines(body)?;
        let [_, item, payload] = &lines[..] else { return Err("not one item in an envelope".to_owned()) };
        let mut envelopes = lock(&self.sentry);
        match item["type"].as_str() {
            Some("event") => {
                envelopes.events.insert(hash(payload["event_id"].as_str().ok_or("an event without an id")?));
            }
            Some("sessions") => {
                let mut sessions = 0;
                for aggregate in payload["aggregates"].as_array().into_iter().flatten() {
                    let counts = ["exited", "errored", "crashed"].map(|name| aggregate[name].as_u64());
                    sessions += counts.into_iter().flatten().sum::<u64>();
                }
                envelopes.sessions += sessions;
                if envelopes.last == *payload {
                    envelopes.repeated.push(sessions);
                }
                envelopes.last = payload.clone();
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    /// The requests by outcome, as OTLP has them.
    pub(crate) fn otlp_book(&self) -> Book {
        let series = lock(&self.otlp);
        let mut book = series.earlier.clone();
        series.windows.values().for_each(|window| add_series(&mut book, window));
        book
    }

    /// The requests by status, as Datadog has them; those without a response are one.
    pub(crate) fn datadog_book(&self) -> Book {
        let stats = lock(&self.datadog);
        let mut book = stats.earlier.clone();
        stats.windows.values().flatten().for_each(|window| book.add_all(window));
        book
    }

    /// The requests that arrived at this destination.
    pub(crate) fn calls(&self, kind: &str) -> u64 {
        match kind {
            "otlp" => self.otlp_book().calls(),
            "datadog" => self.datadog_book().calls(),
            "elasticsearch" => lock(&self.elastic).calls,
            _ => lock(&self.sentry).sessions,
        }
    }

    /// The 5xx and panics among the documents of errors.
    pub(crate) fn server_errors(&self) -> u64 {
        lock(&self.elastic).server_errors
    }

    /// Whether this is how many sessions arrived twice. They have no ids: if an answer is lost, Sentry counts them
    /// twice, and so they came twice in a row. Windows that are alike by chance did so, too.
    pub(crate) fn came_twice(&self, sessions: u64) -> bool {
        let repeated = &lock(&self.sentry).repeated;
        // All sums of some of them; a few windows come twice in hours.
        let sums = repeated.iter().take(12).fold(vec![0], |sums, sessions| {
            let with: Vec<u64> = sums.iter().map(|sum| sum + sessions).collect();
            [sums, with].concat()
        });
        sums.contains(&sessions)
    }

    /// The errors that arrived as documents or events of their own, and may be compared with `errors_sent`.
    pub(crate) fn error_records(&self, kind: &str) -> Option<u64> {
        match kind {
            "elasticsearch" => Some(lock(&self.elastic).errors.count()),
            "sentry" => Some(lock(&self.sentry).events.count()),
            _ => None,
        }
    }

    /// Frees what only tells whether something came twice, which nothing does any more.
    pub(crate) fn forget(&self) {
        let Series { windows, earlier } = &mut *lock(&self.otlp);
        windows.forget(|window| add_series(earlier, &window));
        let Stats { windows, earlier } = &mut *lock(&self.datadog);
        windows.forget(|window| window.iter().for_each(|book| earlier.add_all(book)));
        let mut elastic = lock(&self.elastic);
        elastic.windows.forget();
        elastic.errors.forget();
        let mut sentry = lock(&self.sentry);
        sentry.events.forget();
        sentry.last = Value::Null;
    }

    fn complain(&self, strange: String) {
        let mut complaints = lock(&self.strange);
        if complaints.len() < STRANGE {
            complaints.push(strange);
        }
    }

    /// What could not be read.
    pub(crate) fn strange(&self) -> Vec<String> {
        lock(&self.strange).clone()
    }
}

fn add_series(book: &mut Book, window: &BTreeMap<u64, (String, u64)>) {
    window.values().for_each(|(outcome, calls)| book.add(outcome, *calls));
}

fn points(metric: Metric) -> Vec<ExponentialHistogramDataPoint> {
    match metric.data {
        Some(Data::ExponentialHistogram(histogram)) if metric.name == "http.server.request.duration" => {
            histogram.data_points
        }
        _ => Vec::new(),
    }
}

/// The status, or how a request ended without one.
fn outcome(point: &ExponentialHistogramDataPoint) -> String {
    let attribute = |name: &str| {
        let found = point.attributes.iter().find(|attribute| attribute.key == name)?;
        match found.value.as_ref()?.value.as_ref()? {
            Attribute::IntValue(status) => Some(status.to_string()),
            Attribute::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    };
    attribute("http.response.status_code").or_else(|| attribute("error.type")).unwrap_or_default()
}

fn json_lines(body: &[u8]) -> Result<Vec<Value>, String> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| error.to_string())).collect()
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
