//! The dashboard's files and its events, as any HTTP client sees them.

use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use serde_json::Value;
use tests::{Http2, Raw, Server, settled};

const TOKEN: &str = "read-0123456789abcdef";

fn shop(config: &mut ServiceConfig) {
    config.route("/items/{id}", web::get().to(|| async { "a chair" }));
}

/// Requests the events and reads until the first figures arrive.
fn listen(server: &Server, head: &str) -> (Raw, String) {
    listen_over(server.raw(), head)
}

/// The same from this address of the machine.
fn listen_from(last: u8, server: &Server) -> (Raw, String) {
    listen_over(Raw::from_address([127, 0, 0, last].into(), server.addr()), "")
}

fn listen_over(mut raw: Raw, head: &str) -> (Raw, String) {
    raw.write(format!("GET /api/metrics/events?window=1m HTTP/1.1\r\nhost: test\r\n{head}\r\n"));
    let read = raw.read_while(|read| {
        let text = String::from_utf8_lossy(read);
        text.starts_with("HTTP/1.1 200") && !text.contains("data: {\"time\"") || !text.contains("\r\n\r\n")
    });
    (raw, read)
}

fn is_let_in(server: &Server) -> bool {
    listen(server, "").1.starts_with("HTTP/1.1 200")
}

/// Waits until one more client can listen.
fn until_let_in(server: &Server, otherwise: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_let_in(server) {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The data of all events in a text.
fn data(read: &str) -> Vec<Value> {
    let data = read.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
}

#[test]
fn the_page_and_its_files_have_a_strict_content_security_policy() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    let page = client.send("GET", "/api/metrics/");
    let mut names: Vec<_> = page.body.split("\"dashboard/").skip(1).collect();
    names.iter_mut().for_each(|name| *name = name.split('"').next().unwrap());
    assert!(names.contains(&"main.js") && names.contains(&"style.css"), "{names:?}");
    let paths = names.iter().map(|name| format!("/api/metrics/dashboard/{name}"));
    for path in paths.chain(["/api/metrics/".to_owned()]) {
        let reply = client.send("GET", &path);
        assert_eq!(reply.status, 200, "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        let directives: Vec<_> = policy.split("; ").collect();
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(directives.contains(&directive), "{directive} is not in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        let head = client.send("HEAD", &path);
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("content-length").unwrap().parse(), Ok(reply.body.len()));
        assert_eq!(head.header("etag"), reply.header("etag"));
    }
}

#[test]
fn a_file_is_compressed_on_request_and_not_sent_again_to_a_client_that_has_it() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let head = |lines: &str| {
        let mut raw = server.raw();
        raw.write(format!("GET /api/metrics/dashboard/main.js HTTP/1.1\r\nhost: test\r\n{lines}\r\n"));
        raw.read_until("\r\n\r\n").to_lowercase().split("\r\n\r\n").next().unwrap().to_owned()
    };
    let line = |head: &str, name: &str| {
        let value = head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        value.trim_start_matches(": ").to_owned()
    };
    let (plain, packed) = (head(""), head("accept-encoding: gzip, deflate, br\r\n"));
    assert_eq!(
        (line(&plain, "content-encoding"), line(&packed, "content-encoding")),
        ("".into(), "gzip".into())
    );
    assert_eq!(
        (line(&plain, "vary"), line(&packed, "vary")),
        ("accept-encoding".into(), "accept-encoding".into())
    );
    let length = |head: &str| line(head, "content-length").parse::<u32>().unwrap();
    assert!(length(&packed) * 2 < length(&plain), "{packed}\n{plain}");
    let etag = line(&plain, "etag").replace("w/", "W/");
    assert!(head(&format!("if-none-match: \"other\", {etag}\r\n")).starts_with("http/1.1 304"));
    assert!(head("if-none-match: \"other\"\r\n").starts_with("http/1.1 200"));
}

#[test]
fn the_path_without_a_slash_redirects_to_the_page_and_unknown_files_are_not_found() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let mut raw = server.raw();
    raw.request("GET", "/api/metrics");
    let reply = raw.read_until("\r\n\r\n").to_lowercase();
    assert!(reply.starts_with("http/1.1 307") && reply.contains("\r\nlocation: ./metrics/\r\n"), "{reply}");
    let client = server.client();
    assert!(client.send("GET", "/api/metrics").body.starts_with("<!doctype html>"));
    for path in
        ["dashboard/", "dashboard/other.js", "dashboard/index.html", "dashboard/..%2Fmain.js", "main.js"]
    {
        assert_eq!(client.send("GET", &format!("/api/metrics/{path}")).status, 404, "{path}");
    }
    let reply = client.send("POST", "/api/metrics/");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
    let reply = client.send("HEAD", "/api/metrics/events");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
}

#[test]
fn with_a_token_the_page_is_open_and_the_figures_are_not() {
    let metrics = Metrics::builder("guarded").read_token(TOKEN).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    for path in ["", "/", "/dashboard/main.js", "/dashboard/style.css"] {
        let reply = client.send("GET", &format!("/api/metrics{path}"));
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.body.contains("guarded"), "{path}");
    }
    assert_eq!(client.send("GET", "/api/metrics/events").status, 401);
    assert_eq!(client.send("GET", &format!("/api/metrics/events?token={TOKEN}")).status, 401);
    let (_raw, read) = listen(&server, &format!("authorization: Bearer {TOKEN}\r\n"));
    assert!(read.contains("\"service\":\"guarded\""), "{read}");
}

#[test]
fn events_come_once_a_second_and_match_the_summary() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    (0..50).for_each(|i| drop(client.send("GET", &format!("/items/{i}"))));
    settled(&metrics, 50);
    let (mut raw, mut read) = listen(&server, "");
    let head = read.split("\r\n\r\n").next().unwrap().to_lowercase();
    for line in
        ["content-type: text/event-stream", "cache-control: no-store", "x-content-type-options: nosniff"]
    {
        assert!(head.contains(line), "{head}");
    }
    let began = Instant::now();
    read += &raw.read_while(|read| String::from_utf8_lossy(read).matches("data: ").count() < 3);
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&took), "{took:?}");
    let events = data(&read);
    assert_eq!((&events[0]["service"], read.matches("event: hello\n").count()), (&"shop".into(), 1));
    let endpoints = events[0]["endpoints"].as_array().unwrap();
    assert!(["summary", "consumers"].iter().all(|name| endpoints.contains(&(*name).into())), "{endpoints:?}");
    for event in &events[1..] {
        assert_eq!((&event["window"], &event["total_calls"]), (&"1m".into(), &50.into()));
        assert_eq!(event["monitor"]["series"], 1);
        // The event stream itself is not in flight.
        assert_eq!((&event["in_flight"], &event["open_streams"]), (&0.into(), &0.into()));
    }
    let summary = client.metrics("GET", "summary?window=1m");
    for name in ["p50_response_time", "p99_response_time", "max_response_time", "error_rate"] {
        assert_eq!(summary[name], events[1][name], "{name}");
    }
    assert!(events.last().unwrap()["point"]["requests_per_second"].is_number());
    assert_eq!(client.send("GET", "/api/metrics/events?window=2m").status, 400);
}

#[test]
fn the_events_of_a_page_bring_its_tables_and_trends() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").build().unwrap();
    metrics.registry().counter("orders").unwrap().add(3);
    let server = Server::start(1, &metrics, shop);
    (0..50).for_each(|i| drop(server.client().send("GET", &format!("/items/{i}"))));
    settled(&metrics, 50);
    // The history needs a tick.
    std::thread::sleep(Duration::from_millis(1_500));
    let mut raw = server.raw();
    raw.write("GET /api/metrics/events?window=1m&page=true HTTP/1.1\r\nhost: test\r\n\r\n");
    let read = raw.read_while(|read| String::from_utf8_lossy(read).matches("data: {\"time\"").count() < 5);
    let events: Vec<(&str, Value)> = read
        .split("\n\n")
        .filter_map(|event| {
            let (name, data) = event.split_once("event: ")?.1.split_once("\ndata: ")?;
            Some((name, serde_json::from_str(data).unwrap()))
        })
        .collect();
    let of = |wanted: &str| {
        events.iter().filter(|(name, _)| *name == wanted).map(|(_, data)| data).collect::<Vec<_>>()
    };
    // With the first figures, and three seconds later again.
    for list in ["routes", "errors", "consumers", "exporters", "alerts", "business"] {
        assert_eq!(of(list).len(), 2, "{list}");
    }
    assert_eq!(of("routes")[0]["routes"][0]["total_calls"], 50);
    assert_eq!(of("business")[0]["metrics"][0]["name"], "orders");
    // Once a connection.
    assert!(!of("resources")[0]["points"].as_array().unwrap().is_empty());
    assert_eq!((of("resources").len(), &of("history")[0]["metric"]), (1, &"orders".into()));
    let [sparkline] = of("sparkline")[..] else { panic!("{events:?}") };
    assert_eq!((&sparkline["method"], &sparkline["route"]), (&"GET".into(), &"/items/{id}".into()));
    let server_errors =
        sparkline["points"].as_array().unwrap().iter().map(|point| point[3].as_u64().unwrap());
    assert_eq!(server_errors.sum::<u64>(), 0);
    assert_eq!(server.client().send("GET", "/api/metrics/events?page=1").status, 400);
}

#[test]
fn at_most_sixteen_clients_can_listen_and_twelve_from_one_address() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let mut listeners: Vec<_> = (0..12).map(|_| listen(&server, "")).collect();
    let (_raw, refused) = listen(&server, "");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("from one address"), "{refused}");
    listeners.extend((0..4).map(|_| listen_from(2, &server)));
    assert!(listeners.iter().all(|(_, read)| read.starts_with("HTTP/1.1 200")));
    let (_raw, refused) = listen_from(3, &server);
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.to_lowercase().contains("\r\nretry-after: 5\r\n"), "{refused}");
    assert_eq!(server.client().send("GET", "/api/metrics/summary").status, 200);
    drop(listeners);
    until_let_in(&server, "no client is let in after others left");
}

#[test]
fn a_connection_of_http_2_that_never_reads_leaves_seats_to_others() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let mut client = server.http2(0);
    let ask = |client: &mut Http2, all: usize| {
        for _ in 0..64 {
            client.get("/api/metrics/events");
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (ok, others) = client.read_for(Duration::from_millis(50));
            if ok + others >= all || Instant::now() > deadline {
                return (ok, others);
            }
        }
    };
    assert_eq!(ask(&mut client, 64), (12, 52));
    // Longer than a connection lasts that is read from.
    client.read_for(Duration::from_secs(12));
    assert_eq!(ask(&mut client, 128), (12, 116));
    assert!(listen(&server, "").1.starts_with("HTTP/1.1 503"));
    let begun = Instant::now();
    let (_raw, read) = listen_from(2, &server);
    println!("the first figures of another client after {:?}", begun.elapsed());
    assert!(read.starts_with("HTTP/1.1 200"), "{read}");
    assert_eq!(server.client().send("GET", "/api/metrics/summary").status, 200);
    drop(client);
    until_let_in(&server, "no client is let in after the connection was closed");
}

#[test]
fn over_http_1_1_those_that_never_read_make_room_when_their_time_is_over() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let silent = || {
        let mut raw = server.raw();
        raw.request("GET", "/api/metrics/events");
        raw
    };
    let _silent: Vec<_> = (0..12).map(|_| silent()).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while is_let_in(&server) {
        assert!(Instant::now() < deadline, "the silent ones were not let in");
    }
    until_let_in(&server, "no client is let in after the time of the silent ones");
}

#[test]
fn a_page_of_another_site_cannot_listen() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    for (head, status) in [
        ("sec-fetch-site: same-origin\r\n", "200"),
        ("sec-fetch-site: none\r\n", "200"),
        ("sec-fetch-site: cross-site\r\n", "403"),
        ("origin: http://evil.example\r\n", "403"),
    ] {
        let (_raw, read) = listen(&server, head);
        assert_eq!(read.split(' ').nth(1), Some(status), "{head}");
    }
}

#[test]
fn events_end_at_a_shutdown_and_after_their_time() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let (mut raw, _) = listen(&server, "");
    let began = Instant::now();
    raw.read_while(|_| true);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());

    let (mut raw, read) = listen(&server, "");
    assert!(read.to_lowercase().contains("\r\nconnection: close\r\n"), "{read}");
    let began = Instant::now();
    assert!(actix_web::rt::System::new().block_on(metrics.shutdown(Duration::from_secs(10))));
    let rest = raw.read_while(|_| true);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // The stream is complete: the last chunk has arrived.
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    assert!(listen(&server, "").1.starts_with("HTTP/1.1 503"));
}

#[test]
fn requests_of_the_dashboard_are_not_in_the_figures() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    for path in ["", "/", "/dashboard/main.js", "/dashboard/other.js"] {
        client.send("GET", &format!("/api/metrics{path}"));
    }
    let (raw, _) = listen(&server, "");
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.in_flight, summary.open_streams), (0, 0, 0));
    assert!(summary.endpoints.is_empty());
    raw.reset();
    client.send("GET", "/items/1");
    assert_eq!(settled(&metrics, 1).total.aborted, 0);
}
