//! Scrapes of a real server.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Barrier;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse};
use metrics_actix::prometheus::{Exposition, Names};
use metrics_actix::{Metrics, Until};
use metrics_core::Registry;
use tests::{Client, Server};

const SCRAPE: &str = "/api/metrics/prometheus";

fn shop(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "an item" }))
        .route("/broken", web::get().to(|| async { HttpResponse::InternalServerError().body("broken") }));
}

fn scrape(client: &Client) -> String {
    let reply = client.send("GET", SCRAPE);
    assert_eq!(reply.status, 200);
    reply.body
}

/// The sums of a family's lines by the values of one label, which need no escapes.
fn sums(text: &str, name: &str, label: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with(&format!("{name}{{"))) {
        let (labels, value) = line.rsplit_once(' ').unwrap();
        let value: u64 = value.parse().unwrap();
        let (_, labelled) = labels.split_once(&format!("{label}=\"")).unwrap();
        *sums.entry(labelled.split('"').next().unwrap().to_owned()).or_default() += value;
    }
    sums
}

/// The lines about requests, which stay the same without requests. Those about the process do not.
fn of_requests(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains("http_re")).collect()
}

#[test]
fn a_scrape_comes_in_the_requested_format() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    client.send("GET", "/items/7");
    let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, content_type, first) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", &b"# HELP http_requests_total "[..]),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            b"# HELP http_requests ",
        ),
        (
            protobuf,
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            b"",
        ),
    ] {
        let reply = client.send_with("GET", SCRAPE, &[("accept", accept)]);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("vary"), Some("accept, accept-encoding"));
        assert_eq!(reply.header("content-encoding"), None);
        assert!(reply.body.starts_with(first) && reply.body.len() > 1_000);
        let head = client.send_with("HEAD", SCRAPE, &[("accept", accept)]);
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
}

#[test]
fn a_scrape_is_compressed_on_request() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    for path in ["/items/7", "/broken", "/nowhere"] {
        client.send("GET", path);
    }
    let plain = String::from_utf8(client.send_with("GET", SCRAPE, &[]).body).unwrap();
    // Twice, since the second one reuses a buffer.
    for _ in 0..2 {
        let packed = client.send_with("GET", SCRAPE, &[("accept-encoding", "gzip")]);
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert!(packed.body.len() * 4 < plain.len(), "{} for {}", packed.body.len(), plain.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
        assert_eq!(of_requests(&String::from_utf8(unpacked).unwrap()), of_requests(&plain));
    }
}

#[test]
fn the_figures_are_those_of_the_requests_and_stay_at_a_reset() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    for _ in 0..7 {
        client.send("GET", "/items/7");
    }
    client.send("GET", "/broken");
    client.send("GET", "/nowhere");
    let before = scrape(&client);
    let statuses = sums(&before, "http_requests_total", "status");
    assert_eq!(statuses, [("200", 7), ("404", 1), ("500", 1)].map(|(s, n)| (s.to_owned(), n)).into());
    let routes = sums(&before, "http_request_duration_seconds_count", "route");
    let expected = [("/items/{id}", 7), ("/broken", 1), ("_unmatched", 1)];
    assert_eq!(routes, expected.map(|(route, n)| (route.to_owned(), n)).into());
    assert_eq!(client.metrics("POST", "reset")["total_calls"], 9);
    assert_eq!(of_requests(&scrape(&client)), of_requests(&before));
}

#[test]
fn the_applications_metrics_and_the_process_metrics_are_scraped() {
    let metrics = Metrics::builder("shop").build().unwrap();
    metrics.registry().counter("orders").unwrap().add(4);
    metrics.registry().timer("db").unwrap().record(Duration::from_millis(3));
    let server = Server::start(1, &metrics, shop);
    let text = scrape(&server.client());
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    assert_eq!((value("orders_total"), value("db_duration_seconds_count")), (4.0, 1.0));
    assert!(value("process_resident_memory_bytes") > 1e6);
    let since_1970 = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((since_1970 - 86_400.0..since_1970).contains(&value("process_start_time_seconds")));
    assert!(value("process_cpu_seconds_total") >= 0.0 && value("host_network_receive_bytes_total") >= 0.0);
}

/// The exemplars of a scrape: route, class of statuses, and trace.
fn exemplars(client: &Client) -> Vec<(String, String, String)> {
    let accept = [("accept", "application/openmetrics-text;version=1.0.0")];
    let text = String::from_utf8(client.send_with("GET", SCRAPE, &accept).body).unwrap();
    let label = |line: &str, label: &str| {
        let (_, value) = line.split_once(&format!("{label}=\"")).unwrap();
        value.split('"').next().unwrap().to_owned()
    };
    let lines = text.lines().filter(|line| line.contains("# {"));
    lines.map(|line| (label(line, "route"), label(line, "status_class"), label(line, "trace_id"))).collect()
}

#[test]
fn the_latest_slow_or_failed_request_of_each_endpoint_is_an_exemplar() {
    let traced = |client: &Client, path: &str, trace: char| {
        let trace = String::from(trace).repeat(32);
        let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
        client.send_with("GET", path, &[("traceparent", &traceparent)]);
        trace
    };
    let of = |route: &str, class: &str, trace: String| (route.to_owned(), class.to_owned(), trace);
    for measure in [Until::Head, Until::BodyEnd] {
        // The default threshold is one second, which none of these takes.
        let metrics = Metrics::builder("shop").measure(measure).build().unwrap();
        let server = Server::start(1, &metrics, shop);
        let client = server.client();
        traced(&client, "/items/7", '1');
        traced(&client, "/broken", '2');
        let last = traced(&client, "/broken", '3');
        client.send("GET", "/broken");
        client.send_with("GET", "/broken", &[("traceparent", "00-no-trace-01")]);
        assert_eq!(exemplars(&client), [of("/broken", "5xx", last)], "{measure:?}");

        let metrics =
            Metrics::builder("shop").measure(measure).slow_requests(Duration::ZERO).build().unwrap();
        let server = Server::start(1, &metrics, shop);
        let client = server.client();
        let (good, bad) = (traced(&client, "/items/7", '4'), traced(&client, "/broken", '5'));
        let expected = [of("/items/{id}", "2xx", good), of("/broken", "5xx", bad)];
        assert_eq!(exemplars(&client), expected, "{measure:?}");

        let metrics = Metrics::builder("shop").measure(measure).slow_requests(None).build().unwrap();
        let server = Server::start(1, &metrics, shop);
        traced(&server.client(), "/broken", '6');
        assert_eq!(exemplars(&server.client()), [], "{measure:?}");
    }
}

#[test]
fn scrapes_of_one_format_at_one_time_are_answered_however_many_there_are() {
    let registry = Registry::builder().max_series(4_000).build().unwrap();
    for route in 0..1_000 {
        registry.record_nanos(registry.endpoint("GET", &format!("/{route}")), 200, 1_000);
    }
    let metrics = Metrics::builder("shop").with_registry(registry).build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let barrier = Barrier::new(32);
    std::thread::scope(|scope| {
        for i in 0..32 {
            let (server, barrier) = (&server, &barrier);
            scope.spawn(move || {
                let client = server.client();
                barrier.wait();
                let accept = ["text/plain", "application/openmetrics-text"][i % 2];
                let reply = client.send_with("GET", SCRAPE, &[("accept", accept)]);
                assert_eq!(reply.status, 200);
                let lines = reply.body.split(|&byte| byte == b'\n');
                assert_eq!(lines.filter(|line| line.starts_with(b"http_requests_total{")).count(), 1_000);
            });
        }
    });
    assert_eq!(server.client().send_with("HEAD", SCRAPE, &[]).status, 200);
}

#[test]
fn after_a_shutdown_scrapes_are_refused() {
    let metrics = Metrics::builder("ends").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    assert!(actix_web::rt::System::new().block_on(metrics.shutdown(Duration::from_secs(10))));
    let reply = server.client().send("GET", SCRAPE);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
}

#[actix_web::test]
async fn the_usual_path_requires_the_token_and_is_not_in_the_figures() {
    let metrics = Metrics::builder("shop").read_token("0123456789abcdef").build().unwrap();
    for path in ["/metrics", "metrics", "/metrics/"] {
        let app = App::new().configure(metrics.prometheus_at(path)).wrap(metrics.middleware());
        let app = init_service(app).await;
        let stranger = call_service(&app, TestRequest::get().uri("/metrics").to_request()).await;
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
        let token = ("authorization", "Bearer 0123456789abcdef");
        let request = TestRequest::get().uri("/metrics").insert_header(token);
        let answered = call_service(&app, request.to_request()).await;
        assert_eq!(answered.status(), StatusCode::OK);
        assert!(read_body(answered).await.starts_with(b"# HELP "));
    }
    assert_eq!(metrics.registry().summary().total.calls, 0);
}

#[actix_web::test]
async fn with_opentelemetry_names_each_status_has_a_histogram() {
    let exposition = Exposition::builder().names(Names::OpenTelemetry).build().unwrap();
    let metrics = Metrics::builder("shop").prometheus(exposition).build().unwrap();
    let app = App::new().configure(metrics.prometheus_at("/metrics")).configure(shop);
    let app = init_service(app.wrap(metrics.middleware())).await;
    for path in ["/items/1", "/broken", "/nowhere"] {
        read_body(call_service(&app, TestRequest::get().uri(path).to_request()).await).await;
    }
    let scraped = call_service(&app, TestRequest::get().uri("/metrics").to_request()).await;
    let text = String::from_utf8(read_body(scraped).await.to_vec()).unwrap();
    let name = "http_server_request_duration_seconds_count";
    let counts = sums(&text, name, "http_response_status_code");
    assert_eq!(counts, ["200", "404", "500"].map(|status| (status.to_owned(), 1)).into());
}
