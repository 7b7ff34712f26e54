//! Datadog's own programs read what is sent: PyPI's ddapm-test-agent, and libdatadog's types and sketches.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, rt};
use libdd_ddsketch::DDSketch;
use libdd_trace_protobuf::pb::{ClientGroupedStats, ClientStatsPayload};
use metrics_actix::datadog::Datadog;
use metrics_actix::push::Engine;
use metrics_actix::{Metrics, Service};
use metrics_core::{Granularity, Outcome, Registry, Snapshot, StatusGroup};
use serde_json::{Value, json};
use tests::{Fault, Folder, Server, Stub, python};

use crate::agent::Agent;

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// The threshold of slow requests.
const SLOW: Duration = Duration::from_millis(3);

/// The upper half of long trace ids.
const UPPER: &str = "0af7651916cd43dd";

fn datadog(url: &str) -> Datadog {
    Datadog::builder().agent_url(url).build().unwrap()
}

fn service() -> Service {
    Service::new("shop").environment("test").version("1.2")
}

/// By resource and status: calls, and our quantiles in nanoseconds.
fn ours(figures: &Snapshot) -> Value {
    let mut series = serde_json::Map::new();
    for endpoint in figures.endpoints() {
        for group in endpoint.groups() {
            let status = match group.group() {
                StatusGroup::Status(status) => status,
                _ => 0,
            };
            let name = format!("{} {} {status}", endpoint.name().method, endpoint.name().route);
            let quantiles = QUANTILES.map(|quantile| group.histogram().value_at_quantile(quantile));
            let row = json!({"calls": group.calls(), "sum": group.sum_nanos(), "quantiles": quantiles});
            series.insert(name, row);
        }
    }
    Value::Object(series)
}

/// Compares what arrived with what was counted, in Python.
fn compare(agent: &Agent, figures: &Snapshot, traces: u64) {
    let folder = Folder::new("datadog");
    let expected = json!({
        "service": "shop", "env": "test", "version": "1.2", "series": ours(figures), "traces": traces, "error": 0.012,
        "slow": SLOW.as_nanos() as u64, "sample_rate": 1.0, "upper": UPPER,
    });
    let paths = ["expected.json", "requests.json"].map(|name| folder.path().join(name));
    fs::write(&paths[0], expected.to_string()).unwrap();
    fs::write(&paths[1], agent.requests()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exporters/read_datadog.py");
    let output = python("python").arg(script).args(&paths).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if traces > 0 {
        let checks = agent.checks();
        let results = checks.as_object().unwrap();
        assert!(!results.is_empty());
        for (check, results) in results {
            assert_eq!(results["Failed_Checks"], 0, "{check}: {results}");
        }
    }
}

/// Random durations of all magnitudes, and a panic.
fn record(registry: &Registry) {
    let mut random = fastrand::Rng::with_seed(7);
    for (method, route, status) in [
        ("GET", "/items/{id}", 200),
        ("GET", "/items/{id}", 503),
        ("POST", "/주문", 201),
        ("GET", "_unmatched", 404),
    ] {
        let endpoint = registry.endpoint(method, route);
        for i in 0..2_000 {
            let nanos = random.u64(0..1 << (10 + i % 24));
            match status {
                503 if i < 50 => {
                    let outcome = Outcome::Status(status);
                    registry.record_error(endpoint, outcome, Duration::from_nanos(nanos), "no \"stock\"\n");
                }
                _ => registry.record_nanos(endpoint, status, nanos),
            }
        }
    }
    let panics = registry.endpoint("GET", "/panics");
    registry.record_error(panics, Outcome::Panicked, Duration::from_millis(5), "oh");
}

fn registry() -> Registry {
    Registry::builder().granularity(Granularity::Exact).build().unwrap()
}

/// Sends recorded requests to a new agent, at one of its URLs, and compares them.
fn taken_at(url: impl Fn(&Agent) -> String) {
    let agent = Agent::start();
    let registry = registry();
    let engine =
        Engine::builder(registry.clone(), service()).exporter(datadog(&url(&agent))).start().unwrap();
    record(&registry);
    assert!(engine.shutdown(Duration::from_secs(60)));
    let counts = engine.counts().remove(0);
    assert_eq!((counts.rejected, counts.errors_dropped, counts.last_error), (0, 0, None));
    compare(&agent, &registry.snapshot(), 51);
}

#[test]
#[ignore = "needs ddapm-test-agent"]
fn ddapm_test_agent_accepts_stats_and_traces_and_they_match_what_was_recorded() {
    taken_at(|agent| agent.url().to_owned());
}

#[cfg(unix)]
#[test]
#[ignore = "needs ddapm-test-agent"]
fn ddapm_test_agent_accepts_them_over_its_socket() {
    taken_at(Agent::socket_url);
}

fn shop(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route(
            "/slow",
            web::get().to(|| async {
                rt::time::sleep(SLOW).await;
                "a report"
            }),
        )
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().finish() }));
}

#[test]
#[ignore = "needs ddapm-test-agent"]
fn hits_errors_and_traces_are_the_requests_that_were_sent_to_a_service() {
    let agent = Agent::start();
    let datadog = Datadog::builder().agent_url(agent.url());
    let datadog = datadog.slow(SLOW).sample_rate(1.0).max_traces(1_000).build().unwrap();
    let metrics = Metrics::builder("shop").environment("test").version("1.2");
    let metrics = metrics.exporter(datadog).build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    for i in 0..400 {
        let path = match i % 8 {
            0 => "/fails".to_owned(),
            1 => "/slow".to_owned(),
            2 => format!("/nowhere/{i}"),
            _ => format!("/items/{i}"),
        };
        // Half of the requests with a trace have it in Datadog's own headers.
        let (lower, parent) = (4_096 + i, 4_096 + i + 1);
        let w3c = format!("00-{UPPER}{lower:016x}-{parent:016x}-01");
        let (lower, parent) = (lower.to_string(), parent.to_string());
        let headers = match i % 8 {
            1 => vec![("x-datadog-trace-id", &*lower), ("x-datadog-parent-id", &*parent)],
            3.. => vec![("traceparent", &*w3c)],
            _ => Vec::new(),
        };
        client.send_with("GET", &path, &headers);
    }
    drop(server);
    assert!(rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
    let figures = metrics.registry().snapshot();
    let sent = ours(&figures);
    let calls = |name: &str| sent[name]["calls"].as_u64();
    assert_eq!(calls("GET /items/{id} 200"), Some(250));
    assert_eq!([calls("GET /fails 500"), calls("GET /slow 200")], [Some(50); 2]);
    assert_eq!(calls("GET _unmatched 404"), Some(50));
    compare(&agent, &figures, 400);
}

/// What arrived, by the number of its window, so that a window that is sent again counts once.
#[derive(Default)]
pub(crate) struct Received {
    stats: BTreeMap<u64, ClientStatsPayload>,
    /// Statuses by the ids of traces.
    traces: BTreeMap<u64, String>,
}

impl Received {
    pub(crate) fn take(&mut self, body: &[u8]) {
        // Stats are a map, traces a list.
        if matches!(body[0], 0x80..=0x8f | 0xde | 0xdf) {
            let payload: ClientStatsPayload = rmp_serde::from_slice(body).expect("libdatadog reads it");
            let sequence = payload.sequence;
            if let Some(before) = self.stats.insert(sequence, payload.clone()) {
                assert_eq!(before, payload, "window {sequence} came again as another one");
            }
            return;
        }
        let traces: Vec<Vec<Value>> = rmp_serde::from_slice(body).expect("it is MessagePack");
        for span in traces.into_iter().flatten() {
            let status = span["meta"]["http.status_code"].as_str().unwrap_or_default().to_owned();
            self.traces.insert(span["trace_id"].as_u64().unwrap(), status);
        }
    }

    pub(crate) fn hits(&self) -> u64 {
        self.groups().map(|group| group.hits).sum()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.groups().map(|group| group.errors).sum()
    }

    pub(crate) fn traces(&self) -> u64 {
        self.traces.len() as u64
    }

    fn groups(&self) -> impl Iterator<Item = &ClientGroupedStats> {
        self.stats.values().flat_map(|payload| &payload.stats).flat_map(|bucket| &bucket.stats)
    }
}

/// A sketch's quantile, as libdatadog reads it.
fn quantile(sketch: DDSketch, quantile: f64) -> f64 {
    let rank = (quantile * sketch.count()).ceil().max(1.0);
    let mut below = 0.0;
    let found = sketch.ordered_bins().into_iter().find(|(_, count)| {
        below += count;
        below >= rank
    });
    found.expect("there is one").0
}

#[test]
fn libdatadog_reads_the_stats_that_were_recorded() {
    let received = Arc::new(Mutex::new(Received::default()));
    let stub = Stub::start(Fault::None, {
        let received = Arc::clone(&received);
        move |body| {
            received.lock().unwrap().take(body);
            Vec::new()
        }
    });
    let registry = registry();
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let engine = Engine::builder(registry.clone(), service()).exporter(datadog(&stub.url())).start().unwrap();
    record(&registry);
    let figures = registry.snapshot();
    assert!(engine.shutdown(Duration::from_secs(60)));
    assert_eq!(engine.counts()[0].last_error, None);

    let received = received.lock().unwrap();
    assert_eq!((received.hits(), received.errors(), received.traces()), (8_001, 2_001, 51));
    let mut quantiles = 0;
    let ours = ours(&figures);
    for payload in received.stats.values() {
        assert_eq!([&*payload.service, &*payload.env, &*payload.version], ["shop", "test", "1.2"]);
        let Some(bucket) = payload.stats.first() else { continue };
        assert_eq!((bucket.start % 10_000_000_000, bucket.duration), (0, 10_000_000_000));
        assert!(bucket.start + 10_000_000_000 >= before, "{} is long ago", bucket.start);
        for group in &bucket.stats {
            assert_eq!(
                (&*group.r#type, &*group.span_kind, group.top_level_hits),
                ("web", "server", group.hits)
            );
            let (ok, error) = (&group.ok_summary, &group.error_summary);
            let [ok, error] =
                [ok, error].map(|sketch| DDSketch::from_encoded(sketch).expect("it is a sketch"));
            assert_eq!(
                (ok.count(), error.count()),
                ((group.hits - group.errors) as f64, group.errors as f64)
            );
            let series = &ours[format!("{} {}", group.resource, group.http_status_code)];
            // Unless the clock started another bucket meanwhile.
            if series["calls"] != group.hits {
                continue;
            }
            assert_eq!(series["sum"], group.duration);
            let all = if group.errors > 0 { error } else { ok };
            for (share, ours) in QUANTILES.iter().zip(series["quantiles"].as_array().unwrap()) {
                let (read, ours) = (quantile(all.clone(), *share), ours.as_u64().unwrap() as f64);
                assert!((read - ours).abs() <= ours * 0.012, "{}: {read} for {ours}", group.resource);
                quantiles += 1;
            }
        }
    }
    assert!(received.stats.len() > 1 || quantiles == 15, "{quantiles}");
}
