//! Sentry's own programs read what is sent: its types, and the normaliser of its Relay, PyPI's sentry-relay.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, error, rt};
use metrics_actix::push::Engine;
use metrics_actix::sentry::{Sentry, SentryBuilder};
use metrics_actix::{Metrics, Service};
use metrics_core::{Outcome, Registry};
use serde_json::{Value, json};
use tests::{Fault, Folder, Server, Stub, python};

use crate::ecs::HOSTILE;

/// A text that must not be sent anywhere.
const CANARY: &str = "hunter2";

/// The trace of all requests.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The DSN of a project on a stub.
pub(crate) fn dsn(stub: &Stub) -> String {
    format!("{}/42", stub.url().replacen("://", "://key@", 1))
}

/// What arrived, events and transactions by their ids.
#[derive(Default)]
pub(crate) struct Received {
    events: HashMap<String, Value>,
    transactions: HashMap<String, Value>,
    /// Exited, errored and crashed.
    sessions: [u64; 3],
    left_out: u64,
}

impl Received {
    pub(crate) fn take(&mut self, body: &[u8]) {
        let lines: Vec<Value> = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("each line is JSON"))
            .collect();
        let [header, item, payload] = lines.try_into().expect("an envelope has one item");
        assert!(header["sent_at"].is_string() && header["dsn"].is_null(), "{header}");
        match item["type"].as_str().unwrap() {
            kind @ ("event" | "transaction") => {
                let id = payload["event_id"].as_str().unwrap().to_owned();
                assert_eq!(header["event_id"].as_str().unwrap().replace('-', ""), id);
                let all = if kind == "event" { &mut self.events } else { &mut self.transactions };
                if let Some(before) = all.insert(id, payload.clone()) {
                    assert_eq!(before, payload, "it came again as another one");
                }
            }
            "sessions" => {
                assert_eq!(payload["attrs"]["release"], "shop@1.2.3");
                for aggregate in payload["aggregates"].as_array().unwrap() {
                    let names = ["exited", "errored", "crashed"];
                    for (sum, name) in self.sessions.iter_mut().zip(names) {
                        *sum += aggregate[name].as_u64().unwrap_or(0);
                    }
                }
            }
            "client_report" => {
                let discarded = payload["discarded_events"].as_array().unwrap();
                self.left_out += discarded.iter().map(|item| item["quantity"].as_u64().unwrap()).sum::<u64>();
            }
            other => panic!("{other}"),
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.sessions.iter().sum()
    }

    pub(crate) fn errored(&self) -> u64 {
        self.sessions[1]
    }
}

pub(crate) type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

/// A stub that keeps what it receives, and an exporter to it.
pub(crate) fn keeping() -> (Stub, Bodies, SentryBuilder) {
    let bodies = Bodies::default();
    let stub = Stub::start(Fault::None, {
        let bodies = Arc::clone(&bodies);
        move |body| {
            bodies.lock().unwrap().push(body.to_vec());
            Vec::new()
        }
    });
    let builder = Sentry::builder().dsn(dsn(&stub));
    (stub, bodies, builder)
}

fn service() -> Service {
    Service::new("shop").version("1.2.3").environment("test").instance("node-1")
}

fn received(bodies: &[Vec<u8>]) -> Received {
    let mut received = Received::default();
    bodies.iter().for_each(|body| received.take(body));
    received
}

async fn broken<B: MessageBody>(
    _: ServiceRequest,
    _: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    Err(error::ErrorInternalServerError("the middleware is broken"))
}

pub(crate) fn shop(config: &mut ServiceConfig) {
    // Each reads its whole request, and fails.
    let order = |request: HttpRequest, body: Bytes| async move {
        assert!(body.ends_with(CANARY.as_bytes()) && request.query_string().ends_with(CANARY));
        Err::<HttpResponse, _>(error::ErrorServiceUnavailable("order 17 has no stock"))
    };
    let panics = |body: Bytes| async move {
        if !body.is_empty() {
            panic!("a test panics");
        }
        ""
    };
    config
        .route("/orders/{id}", web::post().to(order))
        .route("/panics/{id}", web::post().to(panics))
        .route("/refuses/{id}", web::post().to(|| async { HttpResponse::Forbidden().finish() }))
        .route("/fine/{id}", web::post().to(|| async { "a chair" }))
        .service(web::scope("/broken").wrap(from_fn(broken)).route("/{id}", web::post().to(|| async { "" })));
}

/// Sends requests with secrets everywhere to a service. Returns what was sent to Sentry.
fn bodies_of_a_service() -> Vec<Vec<u8>> {
    let (_stub, bodies, builder) = keeping();
    let sentry = builder.traces_sample_rate(1.0).build().unwrap();
    let metrics = Metrics::builder("shop").version("1.2.3").environment("test").instance("node-1");
    let metrics = metrics.exporter(sentry).build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let mut calls = 0;
    for path in ["orders", "panics", "refuses", "fine", "broken"] {
        for round in 0..3 {
            let mut client = server.raw();
            client.write(format!(
                "POST /{path}/{CANARY}-{round}?token={CANARY} HTTP/1.1\r\nhost: test\r\n\
                 authorization: Bearer {CANARY}\r\ntraceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\
                 cookie: session={CANARY}\r\nx-api-key: {CANARY}\r\nreferer: http://test/?{CANARY}\r\n\
                 user-agent: {CANARY}\r\nconnection: close\r\ncontent-length: {}\r\n\r\nbody={CANARY}",
                5 + CANARY.len()
            ));
            let _ = client.read_while(|_| true);
            calls += 1;
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while metrics.registry().summary().total.calls < calls {
        assert!(Instant::now() < deadline, "{:?}", metrics.registry().summary().total);
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(server);
    assert!(rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
    let counts = metrics.exporters().remove(0);
    assert_eq!((counts.rejected, counts.errors_dropped, counts.last_error), (0, 0, None));
    std::mem::take(&mut *bodies.lock().unwrap())
}

#[test]
fn a_service_sends_its_failures_and_nothing_of_its_requests() {
    let bodies = bodies_of_a_service();
    for body in &bodies {
        let text = String::from_utf8_lossy(body);
        assert!(!text.contains(CANARY), "{text}");
    }
    let received = received(&bodies);
    // Successes and 4xx; 503 and errors of the middleware; panics.
    assert_eq!(received.sessions, [6, 6, 3]);
    let mut fingerprints: Vec<_> =
        received.events.values().map(|event| event["fingerprint"].to_string()).collect();
    fingerprints.sort();
    fingerprints.dedup();
    let expected = [
        json!(["POST /orders/{id}", "503", "order <num> has no stock"]),
        json!(["POST _unmatched", "500", "the middleware is broken"]),
        json!(["POST _unmatched", "panicked", ""]),
    ];
    assert_eq!((received.events(), fingerprints), (9, expected.map(|of| of.to_string()).to_vec()));
    // Including those without a response.
    assert_eq!(received.transactions.len(), 15);
    // The headers of panics and of errors of inner middleware are unknown, since the service made no response.
    let all = received.events.values().chain(received.transactions.values());
    let (unmatched, matched): (Vec<_>, Vec<_>) =
        all.partition(|sent| sent["transaction"] == "POST _unmatched");
    assert_eq!((unmatched.len(), matched.len()), (6 + 6, 3 + 9));
    for sent in matched {
        let trace = &sent["contexts"]["trace"];
        assert_eq!([&trace["trace_id"], &trace["parent_span_id"]], [TRACE, "b7ad6b7169203331"], "{sent}");
    }
}

/// Records errors of all kinds, with hostile texts in all places. Returns what was sent to Sentry.
fn bodies_of_hostile_texts() -> Vec<Vec<u8>> {
    let (_stub, bodies, builder) = keeping();
    let sentry = builder.client_errors(true).traces_sample_rate(1.0).build().unwrap();
    let registry = Registry::builder().error_log_capacity(1_000).build().unwrap();
    let engine = Engine::builder(registry.clone(), service()).exporter(sentry).start().unwrap();
    let long = "é".repeat(300);
    for (i, text) in HOSTILE.iter().chain([&long.as_str(), &"{{ default }}"]).enumerate() {
        for (method, route) in [("GET", "/items/{id}"), ("GET", text), (text, "/")] {
            let outcome = [Outcome::Status(404), Outcome::Status(503), Outcome::Panicked][i % 3];
            let endpoint = registry.endpoint(method, route);
            let took = Duration::from_micros(350);
            registry.record_error(endpoint, outcome, took, text);
            registry.with_recorder(|recorder| recorder.log_request(endpoint, outcome, took, None, 0.5));
        }
    }
    assert!(engine.shutdown(Duration::from_secs(60)));
    assert_eq!(engine.counts()[0].last_error, None);
    std::mem::take(&mut *bodies.lock().unwrap())
}

/// Runs events and transactions through Relay's normaliser, and returns their number.
fn normalise(bodies: &[Vec<u8>]) -> usize {
    let folder = Folder::new("sentry");
    for (i, body) in bodies.iter().enumerate() {
        fs::write(folder.path().join(format!("{i}.envelope")), body).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exporters/read_sentry.py");
    let output = python("python").arg(script).arg(folder.path()).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "needs python with sentry-relay"]
fn relays_normaliser_finds_no_error_and_drops_nothing() {
    for bodies in [bodies_of_a_service(), bodies_of_hostile_texts()] {
        let received = received(&bodies);
        let (events, transactions) = (received.events.len(), received.transactions.len());
        assert!(events >= 9 && transactions >= 15);
        assert_eq!(normalise(&bodies), events + transactions);
    }
}

#[test]
fn events_over_the_limits_are_counted_and_reported() {
    let (_stub, bodies, builder) = keeping();
    let registry = Registry::builder().error_log_capacity(1_000).build().unwrap();
    let engine =
        Engine::builder(registry.clone(), service()).exporter(builder.build().unwrap()).start().unwrap();
    let endpoint = registry.endpoint("GET", "/items/{id}");
    for i in 0..300 {
        let message = format!("item {i} is gone");
        registry.record_error(endpoint, Outcome::Status(500), Duration::ZERO, &message);
    }
    assert!(engine.shutdown(Duration::from_secs(60)));
    let (counts, received) = (engine.counts().remove(0), received(&bodies.lock().unwrap()));
    // Ten a minute; a minute may have ended meanwhile.
    assert!((10..=20).contains(&received.events()), "{}", received.events());
    let left_out = 300 - received.events();
    assert_eq!((counts.rejected, received.left_out), (left_out, left_out));
    assert_eq!((received.sessions(), received.errored()), (300, 300));
}
