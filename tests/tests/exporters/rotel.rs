//! A real collector, PyPI's rotel: it decodes what arrives, and sends it on in its own encoding.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_actix::otlp::{Otlp, Protocol, Temporality};
use metrics_actix::push::Engine;
use metrics_actix::{HttpOptions, Service};
use metrics_core::Registry;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, Metric, metric::Data};
use tests::{Client, Example, Fault, Folder, Process, Stub, free_port, python, until};

use crate::decode;

/// A message of gRPC may be this large by default, here as in most collectors.
const LIMIT: usize = 4 << 20;

/// A running rotel. Dropping it ends the process.
struct Rotel {
    _process: Process,
    http: String,
    grpc: String,
    /// The metrics that it sent on.
    metrics: Arc<Mutex<Vec<Metric>>>,
    _stub: Stub,
    _folder: Folder,
}

impl Rotel {
    fn start() -> Self {
        let metrics = Arc::new(Mutex::new(Vec::new()));
        let stub = Stub::start(Fault::None, {
            let metrics = Arc::clone(&metrics);
            move |body| {
                metrics.lock().unwrap().extend(decode::metrics(body));
                Vec::new()
            }
        });
        let folder = Folder::new("rotel");
        let find = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
        let found = python("python").args(["-c", find]).output().expect("Python starts");
        let path = String::from_utf8(found.stdout).unwrap();
        let ports = [free_port(), free_port()];
        let [http, grpc] = ports.map(|port| format!("127.0.0.1:{port}"));
        let mut process = Process::start(
            Command::new(path.trim())
                .args(["start", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc])
                .args(["--exporter", "otlp", "--otlp-exporter-endpoint", &stub.url()])
                .args(["--otlp-exporter-protocol", "http", "--otlp-exporter-compression", "none"])
                .args(["--batch-timeout", "50ms", "--pid-file"])
                .arg(folder.path().join("pid"))
                .arg("--log-file")
                .arg(folder.path().join("log")),
        );
        for port in ports {
            process.until("rotel listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        }
        let [http, grpc] = [http, grpc].map(|addr| format!("http://{addr}"));
        Self { _process: process, http, grpc, metrics, _stub: stub, _folder: folder }
    }

    /// All durations of requests that it sent on, with method, route and status, in order.
    fn durations(&self) -> Vec<(String, ExponentialHistogramDataPoint)> {
        let metrics = self.metrics.lock().unwrap();
        let durations = metrics.iter().filter(|metric| metric.name == "http.server.request.duration");
        let points = durations.flat_map(|metric| match &metric.data {
            Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.clone(),
            other => panic!("{other:?}"),
        });
        points.map(|point| (series(&point), point)).collect()
    }
}

/// Method, route and status of a point.
fn series(point: &ExponentialHistogramDataPoint) -> String {
    let text = |name: &str| {
        let attribute = point.attributes.iter().find(|attribute| attribute.key == name);
        match attribute.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
            Some(AnyValue::StringValue(text)) => text.clone(),
            Some(AnyValue::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        }
    };
    ["http.request.method", "http.route", "http.response.status_code"].map(text).join(" ")
}

/// The bounds of the bucket with a quantile, in seconds.
fn quantile(point: &ExponentialHistogramDataPoint, quantile: f64) -> (f64, f64) {
    let rank = (point.count as f64 * quantile).ceil() as u64;
    let buckets = point.positive.as_ref().expect("there are durations");
    let mut below = point.zero_count;
    let at = buckets.bucket_counts.iter().position(|count| {
        below += count;
        below >= rank
    });
    let index = f64::from(buckets.offset) + at.expect("the buckets have all durations") as f64;
    let width = 0.5_f64.powi(point.scale);
    ((index * width).exp2(), ((index + 1.0) * width).exp2())
}

/// What is sent to the demo in each turn.
const MIX: [(&str, &str, u16); 4] = [
    ("/items/7", "GET /items/{id} 200", 200),
    ("/items/4711", "GET /items/{id} 404", 404),
    ("/search?q=chair", "GET /search 200", 200),
    ("/api/v1/orders/7", "GET /api/v1/orders/{order_id} 200", 200),
];

fn load(client: &Client, turns: u64) {
    for (path, _, status) in (0..turns).flat_map(|_| MIX) {
        assert_eq!(client.send("GET", path).status, status);
    }
}

#[test]
#[ignore = "needs Python with rotel"]
fn a_collector_has_the_demos_requests_and_quantiles_over_http_and_over_grpc() {
    const TURNS: u64 = 60;
    for protocol in ["http/protobuf", "grpc"] {
        let rotel = Rotel::start();
        let url = if protocol == "grpc" { &rotel.grpc } else { &rotel.http };
        let environment = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), ("OTEL_METRIC_EXPORT_INTERVAL", "200")];
        let demo = Example::full_in(&environment, &["--workers", "2", "--otlp", url]);
        load(demo.client(), TURNS);
        let routes = demo.client().metrics("GET", "routes");
        assert_eq!(demo.stop(), Some(0));

        // Cumulative: the last point of a series has all of its requests.
        let newest = until("all requests arrive", || {
            let newest: BTreeMap<_, _> = rotel.durations().into_iter().collect();
            (newest.values().map(|point| point.count).sum::<u64>() >= 4 * TURNS).then_some(newest)
        });
        let counts: Vec<_> = newest.iter().map(|(series, point)| (series.as_str(), point.count)).collect();
        let mut expected = MIX.map(|(_, series, _)| (series, TURNS));
        expected.sort();
        assert_eq!(counts, expected, "{protocol}");
        for route in ["/search", "/api/v1/orders/{order_id}"] {
            let ours = routes["routes"].as_array().unwrap().iter().find(|found| found["route"] == route);
            let ours = ours.unwrap_or_else(|| panic!("{route} is not in {routes}"));
            let point = &newest[&format!("GET {route} 200")];
            let sum = ours["avg_response_time"].as_f64().unwrap() * TURNS as f64;
            // The average has whole nanoseconds.
            assert!((point.sum.unwrap() / sum - 1.0).abs() < 1e-3, "{protocol}: {:?} for {sum}", point.sum);
            for (rank, name) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
                let ours = ours[format!("{name}_response_time")].as_f64().unwrap();
                let (lower, upper) = quantile(point, rank);
                println!("{protocol} {route} {name}: {ours} of ours, in {lower} to {upper}");
                // Ours is off by less than 0.8 %.
                assert!(
                    (lower / 1.008..=upper * 1.008).contains(&ours),
                    "{name}: {lower} to {upper} for {ours}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs Python with rotel"]
fn a_message_over_the_limit_of_a_collector_arrives_in_pieces() {
    const SERIES: usize = 16_000;
    for protocol in [Protocol::Grpc, Protocol::HttpBinary] {
        let rotel = Rotel::start();
        let url = if protocol == Protocol::Grpc { &rotel.grpc } else { &rotel.http };
        let registry = Registry::builder().max_series(SERIES).build().unwrap();
        let otlp = Otlp::builder().protocol(protocol).endpoint(url).temporality(Temporality::Delta);
        // The limit is of the message as it is sent.
        let otlp = otlp.http(HttpOptions::new().gzip(false));
        let engine = Engine::builder(registry.clone(), Service::new("shop"));
        let engine = engine.exporter(otlp.build().unwrap()).start().unwrap();
        let routes: Vec<_> = (0..SERIES).map(|number| format!("/{}/{number:05}", "x".repeat(200))).collect();
        assert!(routes.iter().map(String::len).sum::<usize>() > LIMIT * 3 / 4);
        let endpoints: Vec<_> = routes.iter().map(|route| registry.endpoint("GET", route)).collect();
        for (nanos, &endpoint) in (1_000..).zip(&endpoints) {
            registry.record_nanos(endpoint, 200, nanos);
        }
        assert!(engine.shutdown(Duration::from_secs(60)));
        let counts = engine.counts().remove(0);
        assert_eq!((counts.rejected, counts.last_error.as_deref()), (0, None), "{protocol:?}");
        let durations = until("all series arrive", || {
            let durations = rotel.durations();
            (durations.len() >= SERIES).then_some(durations)
        });
        let once: BTreeMap<_, _> = durations.iter().map(|(series, point)| (series, point.count)).collect();
        assert_eq!((durations.len(), once.len()), (SERIES, SERIES), "{protocol:?}");
        assert!(once.values().all(|&count| count == 1));
    }
}
