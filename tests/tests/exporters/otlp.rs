//! Other programs read OTLP: PyPI's opentelemetry-proto, and the receiver of Datadog's ddapm-test-agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use metrics_actix::otlp::{DEFAULT_BOUNDS, Histograms, Otlp, Protocol, Temporality};
use metrics_actix::push::Engine;
use metrics_actix::{HttpOptions, Service};
use metrics_core::{Granularity, Outcome, Registry};
use serde_json::{Value, json};
use tests::{Fault, Folder, Stub, python};

use crate::agent::Agent;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Records durations and other metrics. Returns the durations by series.
fn record(registry: &Registry, digits: u8) -> Value {
    let mut random = fastrand::Rng::with_seed(u64::from(digits));
    let mut series = serde_json::Map::new();
    for (method, route, status) in [
        ("GET", "/items/{id}", 200),
        ("GET", "/items/{id}", 503),
        ("POST", "/주문", 201),
        ("GET", "_unmatched", 404),
    ] {
        let endpoint = registry.endpoint(method, route);
        let durations: Vec<u64> = (0..2_000).map(|i| random.u64(0..1 << (10 + i % 24))).collect();
        durations.iter().for_each(|&nanos| registry.record_nanos(endpoint, status, nanos));
        let route = if route == "_unmatched" { "None" } else { route };
        series.insert(format!("{method} {route} {status}"), durations.into());
    }
    let panicked = registry.endpoint("GET", "/panics");
    registry.record_error(panicked, Outcome::Panicked, Duration::from_millis(5), "oh");
    series.insert("GET /panics panicked".to_owned(), json!([5_000_000]));
    let (item, failed) = (registry.endpoint("GET", "/items/{id}"), Outcome::Status(503));
    let trace = TRACE.parse().unwrap();
    registry.with_recorder(|recorder| {
        recorder.keep_exemplar(item, failed, Duration::from_nanos(20_000_001), trace);
    });
    registry.counter("jobs").unwrap().add(7);
    registry.hit_ratio("cache").unwrap().hit();
    registry.timer("db").unwrap().record(Duration::from_millis(2));
    registry.gauge("depth").unwrap().set(1.5);
    registry.unique("users").unwrap().insert("a");
    Value::Object(series)
}

fn registry(digits: u8) -> Registry {
    Registry::builder().granularity(Granularity::Exact).significant_digits(digits).build().unwrap()
}

fn otlp(url: String, temporality: Temporality, histograms: Histograms) -> Otlp {
    let builder = Otlp::builder().endpoint(url).url_scheme("https").temporality(temporality);
    builder.histograms(histograms).build().unwrap()
}

/// Returns what an engine sends that starts before everything is recorded and ends after it, and the series.
fn sent(digits: u8, temporality: Temporality, histograms: Histograms) -> (Vec<u8>, Value) {
    let (send, received) = channel();
    let send = std::sync::Mutex::new(send);
    let stub = Stub::start(Fault::None, move |body| {
        send.lock().unwrap().send(body.to_vec()).unwrap();
        Vec::new()
    });
    let registry = registry(digits);
    let engine = Engine::builder(registry.clone(), Service::new("shop")).exporter(otlp(
        stub.url(),
        temporality,
        histograms,
    ));
    let engine = engine.start().unwrap();
    let series = record(&registry, digits);
    assert!(engine.shutdown(Duration::from_secs(30)));
    (received.recv_timeout(Duration::from_secs(30)).unwrap(), series)
}

#[test]
#[ignore = "needs Python with opentelemetry-proto"]
fn another_decoder_reads_what_was_recorded() {
    let folder = Folder::new("otlp");
    let explicit = || Histograms::Explicit { bounds: DEFAULT_BOUNDS.into() };
    for (digits, temporality, histograms) in [
        (2, Temporality::Cumulative, Histograms::default()),
        (2, Temporality::Delta, Histograms::default()),
        (2, Temporality::Cumulative, Histograms::Exponential { max_buckets: 2_560 }),
        (1, Temporality::LowMemory, Histograms::default()),
        (3, Temporality::Cumulative, Histograms::Exponential { max_buckets: 20_000 }),
        (2, Temporality::Delta, explicit()),
    ] {
        let kind = if histograms == explicit() { "explicit" } else { "exponential" };
        let (body, series) = sent(digits, temporality, histograms);
        let name = if temporality == Temporality::Cumulative { "CUMULATIVE" } else { "DELTA" };
        let expected = json!({
            "series": series, "digits": digits, "temporality": name, "kind": kind, "service": "shop",
            "counters": {"jobs": 7, "cache": 1},
            "exemplars": {"GET /items/{id} 503": {"trace": TRACE, "nanos": 20_000_001}},
        });
        let paths: [PathBuf; 2] = ["expected.json", "body"].map(|name| folder.path().join(name));
        fs::write(&paths[0], expected.to_string()).unwrap();
        fs::write(&paths[1], body).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exporters/read_otlp.py");
        let output = python("python").arg(script).args(&paths).output().expect("Python starts");
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
#[ignore = "needs ddapm-test-agent"]
fn the_receiver_of_ddapm_test_agent_accepts_what_is_sent() {
    let agent = Agent::start();
    let ways = [(Protocol::HttpBinary, agent.otlp_url()), (Protocol::Grpc, agent.otlp_grpc_url())];
    for (protocol, url, gzip) in
        ways.into_iter().flat_map(|(protocol, url)| [true, false].map(|gzip| (protocol, url, gzip)))
    {
        let registry = registry(2);
        let builder = Otlp::builder().protocol(protocol).endpoint(url);
        let exporter = builder.http(HttpOptions::new().gzip(gzip)).build().unwrap();
        let engine =
            Engine::builder(registry.clone(), Service::new("shop")).exporter(exporter).start().unwrap();
        record(&registry, 2);
        assert!(engine.shutdown(Duration::from_secs(30)));
        let counts = engine.counts().remove(0);
        assert_eq!((counts.windows_sent, counts.rejected, counts.last_error), (1, 0, None));
    }
    let requests = agent.metrics();
    assert_eq!(requests.len(), 4);
    for request in requests {
        let metrics = &request["resource_metrics"][0]["scope_metrics"][0]["metrics"];
        let named =
            |name: &str| metrics.as_array().unwrap().iter().find(|metric| metric["name"] == name).unwrap();
        let points = &named("http.server.request.duration")["exponential_histogram"]["data_points"];
        let counts =
            points.as_array().unwrap().iter().map(|point| point["count"].as_str().unwrap().parse::<u64>());
        assert_eq!(counts.sum::<Result<u64, _>>(), Ok(4 * 2_000 + 1));
        assert_eq!(named("jobs")["sum"]["data_points"][0]["as_int"], "7");
        assert_eq!(named("depth")["gauge"]["data_points"][0]["as_double"], 1.5);
    }
}
