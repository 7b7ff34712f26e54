//! A hostile client uses up what all share, one thing after the other, and a well-behaved one is timed meanwhile. That
//! the hostile one is refused, and that the other is answered, is asserted; the times are only printed.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use actix_web::error::ErrorInternalServerError;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use metrics_actix::Metrics;
use metrics_actix::fleet::FleetSettings;
use metrics_actix::push::{Accepted, Exporter, Failed, PushSettings, Window};
use metrics_core::Registry;
use serde_json::Value;
use tests::{Client, Http2, Raw, Server};

mod told;

const RESET: &str = "reset-0123456789abcdef";

/// Rows of routes and of consumers.
const ROWS: usize = 400;

/// Longer than anything takes, unless it hangs.
const LONG: Duration = Duration::from_secs(60);

fn shop(config: &mut ServiceConfig) {
    let fails = || async { HttpResponse::InternalServerError().finish() };
    // With a message that clients choose.
    let fails_with = |text: web::Path<String>| async move {
        Err::<HttpResponse, _>(ErrorInternalServerError(text.into_inner()))
    };
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/fails", web::get().to(fails))
        .route("/fails/{text}", web::get().to(fails_with));
}

/// An exporter whose destination never answers, until the sender is dropped.
struct Hanging(Receiver<()>);

impl Exporter for Hanging {
    fn name(&self) -> &str {
        "hanging"
    }

    fn settings(&self) -> PushSettings {
        let mut settings = PushSettings::default();
        (settings.interval, settings.timeout) = (Duration::from_millis(20), Duration::from_millis(50));
        (settings.first_pause, settings.max_pause) = (settings.interval, settings.interval);
        settings.max_errors = 100;
        settings
    }

    fn export(&mut self, _window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => Err(Failed::temporary("no answer")),
            _ => Ok(Accepted::default()),
        }
    }
}

/// So many routes that have been called.
fn with_routes(registry: Registry, routes: usize) -> Registry {
    for route in 0..routes {
        registry.record_nanos(registry.endpoint("GET", &format!("/{route}")), 200, 1_000);
    }
    registry
}

/// A shop that lets clients choose names of routes.
fn exposed() -> Metrics {
    let registry = Registry::builder().max_series(ROWS).max_consumers(ROWS).build().unwrap();
    let name = |request: &HttpRequest| request.headers().get("x-name")?.to_str().ok().map(str::to_owned);
    let builder = Metrics::builder("shop").with_registry(with_routes(registry, ROWS / 2));
    builder.api_key_header("x-api-key").reset_token(RESET).route_with(name).keep_paths(true).build().unwrap()
}

/// Letters, since numbers in messages are of the same group.
fn word(number: usize) -> String {
    format!("{number:o}").bytes().map(|digit| char::from(digit + 49)).collect()
}

/// Sends so many requests over one connection, without waiting for answers. `lines` makes a request line and header
/// lines out of the request's number.
fn pour(server: &Server, requests: usize, lines: impl Fn(usize) -> String) -> Raw {
    let mut client = server.raw();
    client
        .write((0..requests).map(|i| format!("{}\r\nhost: localhost\r\n\r\n", lines(i))).collect::<String>());
    client
}

/// Reads until so many answers have begun.
fn read(mut client: Raw, answers: usize) -> String {
    let begun = |read: &[u8]| String::from_utf8_lossy(read).matches("HTTP/1.1 ").count();
    let read = client.read_while(|read| begun(read) < answers);
    assert_eq!(begun(read.as_bytes()), answers);
    read
}

/// Sends so many requests, and reads all answers.
fn send(server: &Server, requests: usize, lines: impl Fn(usize) -> String) {
    for batch in (0..requests).step_by(100) {
        let size = 100.min(requests - batch);
        read(pour(server, size, |i| lines(batch + i)), size);
    }
}

/// Sends so many requests over HTTP/2.
fn streams(server: &Server, window: u32, requests: usize, path: impl Fn(usize) -> String) -> Http2 {
    let mut client = server.http2(window);
    for i in 0..requests {
        client.get(&format!("/api/metrics/{}", path(i)));
    }
    client
}

/// Reads until a body has this text, or so many answers have begun. Returns whether it has.
fn reads(client: &mut Http2, text: &str, answers: usize) -> bool {
    let begun = Instant::now();
    loop {
        let (ok, others) = client.read_for(Duration::from_millis(20));
        if client.bodies().contains(text) {
            return true;
        }
        if ok + others >= answers {
            return false;
        }
        assert!(begun.elapsed() < LONG, "{ok} and {others} of {answers} were answered");
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

/// Asks from another address for what a hostile client asks for, and says how long that took.
fn ask_the_same(limit: &str, server: &Server, name: &str) {
    let mut client = Raw::from_address([127, 0, 0, 2].into(), server.addr());
    let begun = Instant::now();
    client.request("GET", &format!("/api/metrics/{name}"));
    let reply = client.read_until("\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 200"), "{limit}: {reply}");
    println!("{limit:40} {name} {:?}", begun.elapsed());
}

/// Asks while a hostile client asks for different things over HTTP/2, until that one is refused with this text. The
/// server may have answered a crowd before the last one of it asks.
fn ask_while_refused(
    limit: &str,
    client: &Client,
    text: &str,
    requests: usize,
    crowd: impl Fn() -> Http2,
) -> Http2 {
    let begun = Instant::now();
    loop {
        let mut crowd = crowd();
        ask(limit, client);
        if reads(&mut crowd, text, requests) {
            ask(limit, client);
            return crowd;
        }
        assert!(begun.elapsed() < LONG, "{limit}: nobody was refused: {}", crowd.bodies());
    }
}

/// The value of a line of the exposition.
fn value(client: &Client, series: &str) -> u64 {
    let text = client.send("GET", "/api/metrics/prometheus").body;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse::<f64>().unwrap() as u64
}

#[test]
fn an_operator_is_answered_while_others_ask_for_too_much() {
    // A Redis that was stopped: it accepts connections, and never answers.
    let redis = TcpListener::bind("127.0.0.1:0").unwrap();
    let fleet = FleetSettings::new(&format!("redis://{}/0", redis.local_addr().unwrap())).unwrap();
    // Consumers are listed more slowly than clients can ask.
    let registry = with_routes(Registry::new(), ROWS);
    let builder = Metrics::builder("shop").instance("a").with_registry(registry);
    let builder = builder.api_key_header("x-api-key").open_to_everybody();
    let metrics = builder.fleet(fleet).build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    ask("nothing", &client);

    let scrapes = ["text/plain", "application/openmetrics-text"].map(|accept| {
        pour(&server, 5, |_| format!("GET /api/metrics/prometheus HTTP/1.1\r\naccept: {accept}"))
    });
    ask("threads for scrapes", &client);
    for scrapes in scrapes {
        assert_eq!(read(scrapes, 5).matches("HTTP/1.1 200").count(), 5);
    }
    // From one address, so that another one is answered at the same endpoint.
    let waiting = "too many requests from one address are waiting; try again in 1 s";
    let different = |i| format!("consumers?top={}", i + 1);
    ask_while_refused("different jobs, threads for figures", &client, waiting, 300, || {
        let crowd = streams(&server, 65_535, 300, different);
        ask_the_same("different jobs, from elsewhere", &server, "consumers?top=999");
        crowd
    });
    // At all endpoints that take more than a window, together.
    let different = |i: usize| match i % 5 {
        0 => format!("consumers?top={}", i + 1),
        1 => format!("history?method=GET&route=/{i}"),
        2 => format!("errors?route=/{i}"),
        3 => format!("errors/groups?route=/{i}"),
        _ => format!("slow?method=GET&route=/{i}"),
    };
    ask_while_refused("different jobs at each endpoint", &client, waiting, 1_000, || {
        let crowd = streams(&server, 65_535, 1_000, different);
        ask_the_same(
            "different jobs at each endpoint, from elsewhere",
            &server,
            "history?method=GET&route=/1",
        );
        crowd
    });
    ask_while_refused("requests that wait for the fleet", &client, waiting, 300, || {
        streams(&server, 65_535, 300, |_| "fleet/summary".to_owned())
    });
    let full = "too many connections to the events from one address";
    let seats = ask_while_refused("seats of events", &client, full, 64, || {
        streams(&server, 65_535, 64, |_| "events?page=true".to_owned())
    });
    // Another client has a seat.
    let mut other = Raw::from_address([127, 0, 0, 2].into(), server.addr());
    let begun = Instant::now();
    other.request("GET", "/api/metrics/events");
    assert!(other.read_until("\ndata: {\"time\"").starts_with("HTTP/1.1 200"));
    println!("{:40} first event from elsewhere {:?}", "the thread for events", begun.elapsed());
    drop((seats, other));
    let mut unread = streams(&server, 0, 1_000, |_| "routes".to_owned());
    ask("answers that nobody reads", &client);
    let (answers, _) = unread.read_for(Duration::from_millis(20));
    println!("{answers} answers were begun, and none was read");
    let bodies: Vec<_> = (0..40)
        .map(|_| {
            let mut client = server.raw();
            client
                .write("GET /api/metrics/summary HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n");
            client
        })
        .collect();
    ask("bodies that never arrive", &client);
    drop(bodies);
    // None of it is in the figures.
    assert_eq!(client.metrics("GET", "summary")["total_calls"], ROWS);
}

#[test]
fn an_operator_is_answered_while_others_use_up_rows_and_lines() {
    let metrics = exposed();
    let jobs = metrics.registry().counter("jobs").unwrap();
    let server = Server::start(2, &metrics, move |config| {
        let jobs = jobs.clone();
        // With a label that clients choose.
        let count = move |text: web::Path<String>| {
            jobs.with("queue", &text.into_inner()).add(1);
            async { "counted" }
        };
        shop(config);
        config.route("/jobs/{queue}", web::get().to(count));
    });
    let client = server.client();
    ask("nothing", &client);
    send(&server, 1_000, |i| format!("POST /api/metrics/reset HTTP/1.1\r\nauthorization: Bearer guess-{i}"));
    ask("lines about wrong tokens", &client);
    assert_eq!(value(&client, "metrics_denied_total{reason=\"wrong_token\"}"), 1_000);
    send(&server, 1_000, |i| format!("GET http://{i}.example/api/metrics/summary HTTP/1.1"));
    ask("lines about hosts", &client);
    assert_eq!(value(&client, "metrics_denied_total{reason=\"host\"}"), 1_000);

    send(&server, 2 * ROWS, |i| format!("GET /items/{i} HTTP/1.1\r\nx-name: /made/up/{i}"));
    // Unmatched paths have a row of their own.
    send(&server, 1, |_| "GET /favicon.ico HTTP/1.1".to_owned());
    ask("rows of routes", &client);
    let summary = client.metrics("GET", "routes");
    let row = |route| summary["routes"].as_array().unwrap().iter().find(|row| row["route"] == route).unwrap();
    assert!(row("_other")["total_calls"].as_u64().unwrap() >= ROWS as u64, "{summary}");
    assert_eq!(row("_unmatched")["total_calls"], 1);
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

    send(&server, 3_000, |i| format!("GET /fails/{} HTTP/1.1", word(i)));
    ask("groups of errors", &client);
    let groups = client.metrics("GET", "errors/groups?top=1000");
    assert!(groups["groups"].as_array().unwrap().len() > 100, "{groups}");
    send(&server, 20 * ROWS, |i| format!("GET /items/{i} HTTP/1.1\r\nx-name: /{}", i % ROWS));
    ask("lists of slow requests", &client);
    assert_eq!(client.metrics("GET", "slow")["requests"].as_array().unwrap().len(), 50);

    send(&server, 2_000, |i| format!("GET /jobs/{i} HTTP/1.1"));
    ask("rows of own metrics", &client);
    assert!(value(&client, "jobs_total{queue=\"_other\"}") >= 1_000);
    send(&server, 2_000, |i| format!("GET /no/such/path/{} HTTP/1.1", word(i)));
    ask("rows of unmatched paths", &client);
    let groups = client.metrics("GET", "errors/groups?status=404");
    assert_eq!(groups["unmatched_paths"].as_array().unwrap().len(), 64, "{groups}");

    // Whatever it was, all are counted.
    let calls = 24 * ROWS as u64 + 9_001;
    let deadline = Instant::now() + LONG;
    while client.metrics("GET", "summary")["total_calls"] != calls + ROWS as u64 / 2 {
        assert!(Instant::now() < deadline, "{}", client.metrics("GET", "summary"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_operator_is_answered_while_a_destination_hangs_and_what_waits_for_it_is_full() {
    let (release, released) = channel();
    let builder = Metrics::builder("shop").with_registry(with_routes(Registry::new(), ROWS));
    let metrics = builder.exporter(Hanging(released)).build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    ask("nothing", &client);
    let begun = Instant::now();
    let mut sent = 0;
    let is_full = || {
        let counts = &metrics.exporters()[0];
        counts.attempts_failed >= 3 && counts.errors_dropped > 0
    };
    while !is_full() {
        send(&server, 200, |i| format!("GET /fails/{} HTTP/1.1", word(sent + i)));
        sent += 200;
        ask("windows and errors for a destination", &client);
        assert!(begun.elapsed() < LONG, "{:?}", metrics.exporters());
    }
    assert_eq!(client.metrics("GET", "summary")["total_errors"], sent);
    drop(release);
    assert!(actix_web::rt::System::new().block_on(metrics.shutdown(LONG)));
    let counts = &metrics.exporters()[0];
    assert_eq!(counts.errors_sent + counts.errors_dropped + counts.errors_missed, sent as u64, "{counts:?}");
}
