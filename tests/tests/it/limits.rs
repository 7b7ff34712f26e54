//! A hostile client asks for a lot of what all share, one thing after the other, and a well-behaved one is timed
//! meanwhile. That rows and logs are used up is asserted; of threads, queues and seats, other tests show it. The times
//! are only printed.

use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use metrics_actix::Metrics;
use metrics_core::Registry;
use serde_json::Value;
use tests::{Client, Raw, Server};

const RESET: &str = "reset-0123456789abcdef";

/// Rows of routes and of consumers.
const ROWS: usize = 400;

fn shop(config: &mut ServiceConfig) {
    let fails = || async { HttpResponse::InternalServerError().finish() };
    config.route("/items/{id}", web::get().to(|| async { "a chair" })).route("/fails", web::get().to(fails));
}

/// A shop that lets clients choose names of routes, and has so many routes that its answers take time.
fn exposed() -> Metrics {
    let registry = Registry::builder().max_series(ROWS).max_consumers(ROWS).build().unwrap();
    for route in 0..ROWS / 2 {
        registry.record_nanos(registry.endpoint("GET", &format!("/{route}")), 200, 1_000);
    }
    let name = |request: &HttpRequest| request.headers().get("x-name")?.to_str().ok().map(str::to_owned);
    let builder = Metrics::builder("shop").with_registry(registry).api_key_header("x-api-key");
    builder.reset_token(RESET).route_with(name).build().unwrap()
}

/// Sends so many requests over one connection, without waiting for answers. `lines` makes a request line and header
/// lines out of the request's number.
fn pour(server: &Server, requests: usize, lines: impl Fn(usize) -> String) -> Raw {
    let mut client = server.raw();
    client
        .write((0..requests).map(|i| format!("{}\r\nhost: localhost\r\n\r\n", lines(i))).collect::<String>());
    client
}

/// The same, with all answers read.
fn send(server: &Server, requests: usize, lines: impl Fn(usize) -> String) {
    for batch in (0..requests).step_by(100) {
        let size = 100.min(requests - batch);
        let mut client = pour(server, size, |i| lines(batch + i));
        let answered = |read: &[u8]| String::from_utf8_lossy(read).matches("HTTP/1.1 ").count();
        assert_eq!(answered(client.read_while(|read| answered(read) < size).as_bytes()), size);
    }
}

/// Asks for what an operator needs, and says how long that took.
fn ask(limit: &str, client: &Client) {
    let times = ["prometheus", "summary", "alerts"].map(|name| {
        let begun = Instant::now();
        let reply = client.send("GET", &format!("/api/metrics/{name}"));
        assert_eq!(reply.status, 200, "{limit}: {name}: {}", reply.body);
        begun.elapsed()
    });
    println!("{limit:40} scrape {:?}, summary {:?}, alerts {:?}", times[0], times[1], times[2]);
}

/// The value of a line of the exposition.
fn value(client: &Client, series: &str) -> u64 {
    let text = client.send("GET", "/api/metrics/prometheus").body;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse::<f64>().unwrap() as u64
}

#[test]
fn an_operator_is_answered_while_others_ask_for_too_much() {
    let metrics = exposed();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    ask("nothing", &client);

    let scrapes = ["text/plain", "application/openmetrics-text"].map(|accept| {
        pour(&server, 100, |_| format!("GET /api/metrics/prometheus HTTP/1.1\r\naccept: {accept}"))
    });
    ask("threads for scrapes", &client);
    let reads = ["routes", "history", "summary"]
        .map(|name| pour(&server, 100, |_| format!("GET /api/metrics/{name} HTTP/1.1")));
    ask("threads for figures", &client);
    let different: Vec<_> = (1..=100)
        .map(|top| pour(&server, 1, |_| format!("GET /api/metrics/consumers?top={top} HTTP/1.1")))
        .collect();
    ask("different jobs of one endpoint", &client);
    let mut streams = server.http2(0);
    for _ in 0..1_000 {
        streams.get("/api/metrics/routes");
    }
    ask("requests that wait, answers unread", &client);
    for _ in 0..64 {
        streams.get("/api/metrics/events");
    }
    ask("seats of events", &client);
    let bodies: Vec<_> = (0..40)
        .map(|_| {
            let mut client = server.raw();
            client
                .write("GET /api/metrics/summary HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n");
            client
        })
        .collect();
    ask("bodies that never arrive", &client);
    drop((scrapes, reads, different, bodies, streams));

    send(&server, 1_000, |i| format!("POST /api/metrics/reset HTTP/1.1\r\nauthorization: Bearer guess-{i}"));
    ask("lines about wrong tokens", &client);
    assert_eq!(value(&client, "metrics_denied_total{reason=\"wrong_token\"}"), 1_000);
    send(&server, 1_000, |i| format!("GET http://{i}.example/api/metrics/summary HTTP/1.1"));
    ask("lines about hosts", &client);
    assert_eq!(value(&client, "metrics_denied_total{reason=\"host\"}"), 1_000);

    send(&server, 2 * ROWS, |i| format!("GET /items/{i} HTTP/1.1\r\nx-name: /made/up/{i}"));
    ask("rows of routes", &client);
    let summary = client.metrics("GET", "routes");
    let other = summary["routes"].as_array().unwrap().iter().find(|row| row["route"] == "_other").unwrap();
    assert!(other["total_calls"].as_u64().unwrap() >= ROWS as u64, "{other}");
    send(&server, 2 * ROWS, |i| format!("GET /items/{i} HTTP/1.1\r\nx-api-key: made up {i}"));
    ask("rows of consumers", &client);
    let consumers = client.metrics("GET", "consumers");
    let listed = consumers["consumers"].as_array().unwrap();
    assert!(listed.iter().any(|row| row["consumer"] == "_other"), "{consumers}");
    send(&server, 2_000, |_| "GET /fails HTTP/1.1".to_owned());
    ask("the log of errors", &client);
    let missing = &client.metrics("GET", "errors")["missing"];
    let lost = |name: &str| {
        let counts = missing.as_array().unwrap().iter().map(|level: &Value| level[name].as_u64().unwrap());
        counts.sum::<u64>()
    };
    assert!(lost("evicted") + lost("thinned") > 1_000, "{missing}");

    // Whatever it was, all are counted.
    let calls = 4 * ROWS as u64 + 2_000;
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.metrics("GET", "summary")["total_calls"] != calls + ROWS as u64 / 2 {
        assert!(Instant::now() < deadline, "{}", client.metrics("GET", "summary"));
        std::thread::sleep(Duration::from_millis(50));
    }
}
