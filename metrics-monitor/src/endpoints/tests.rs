//! The endpoints, called as an adapter calls them.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use metrics_core::{Outcome, Window};

use crate::background::joined::MAX_CALLERS;
use crate::background::lanes::Scratch;
use crate::policy::headers::List;
use crate::testing::block_on;
use crate::{Answer, Body, Builder, Coding, Endpoint, Monitor, Peer, Request};

const TOKEN: &str = "0123456789abcdef";

fn request<'a>(method: &'a str, path: &'a str, query: &'a str, headers: &'a List<'_>) -> Request<'a> {
    let coding = Coding::Identity;
    let (peer, is_secure, is_http_1_0) = (Peer::UnixSocket, false, false);
    Request { method, mount: "/api/metrics", path, query, headers, peer, is_secure, is_http_1_0, coding }
}

fn find(monitor: &Monitor, path: &str) -> Option<&'static Endpoint> {
    monitor.endpoints().find(|endpoint| endpoint.path() == path)
}

fn call(monitor: &Monitor, method: &str, path: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = List(headers);
    send(monitor, &request(method, path, query, &headers))
}

fn send(monitor: &Monitor, request: &Request<'_>) -> Answer {
    let endpoint = find(monitor, request.path).expect("the monitor has the endpoint");
    match monitor.admit(endpoint, request) {
        Ok(admitted) => block_on(admitted.answer(request)),
        Err(refusal) => refusal,
    }
}

fn text(answer: &Answer) -> String {
    match &answer.body {
        Body::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Body::Events(_) => panic!("it is a stream"),
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
}

#[test]
fn every_endpoint_that_reads_answers_without_a_framework_and_a_runtime() {
    let monitor = Builder::new("orders").api_key_header("x-api-key").build().unwrap();
    let endpoints: Vec<_> = monitor.endpoints().map(Endpoint::path).collect();
    for path in [
        "/summary",
        "/routes",
        "/history",
        "/alerts",
        "/errors",
        "/errors/groups",
        "/slow",
        "/exporters",
        "/business",
    ] {
        assert!(endpoints.contains(&path), "{path}");
        let answer = call(&monitor, "GET", path, "", &[]);
        assert_eq!(
            (answer.status, header(&answer, "content-type")),
            (200, Some("application/json")),
            "{path}"
        );
        assert!(text(&answer).starts_with(r#"{"success":true,"data":{"#), "{path}");
    }
    assert!(text(&call(&monitor, "GET", "/prometheus", "", &[])).starts_with("# HELP "));
    assert_eq!(call(&monitor, "GET", "/consumers", "top=0", &[]).status, 400);
    assert_eq!(call(&monitor, "GET", "/summary", "window=2m", &[]).status, 400);
    assert_eq!(call(&monitor, "GET", "/summary", "window=1m&window=5m", &[]).status, 400);
}

#[test]
fn a_request_needs_a_token_before_anything_else() {
    let builder = Builder::new("orders").read_token("another-0123456789").reset_token(TOKEN);
    let monitor = builder.build().unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let token = ("authorization", bearer.as_str());
    for (path, method, headers, status) in [
        ("/reset", "BREW", &[][..], 401),
        ("/reset", "BREW", &[token], 405),
        ("/reset", "POST", &[token, token], 401),
        ("/reset", "POST", &[token, ("sec-fetch-site", "cross-site")], 403),
        ("/reset", "POST", &[token, ("origin", "http://a"), ("host", "b")], 403),
        ("/reset", "POST", &[token, ("origin", "http://a"), ("host", "a")], 200),
        ("/summary", "GET", &[token], 401),
        ("/", "GET", &[], 200),
    ] {
        assert_eq!(call(&monitor, method, path, "", headers).status, status, "{method} {path} {headers:?}");
    }
    let open = Builder::new("orders").build().unwrap();
    for (method, path) in [("POST", "/reset"), ("GET", "/consumers")] {
        let absent = call(&open, method, path, "", &[]);
        assert_eq!(absent.status, 404, "{path}");
        assert!(text(&absent).contains("not_found"), "{}", text(&absent));
    }
}

#[test]
fn parameters_that_do_not_exist_and_routes_that_were_never_called_are_refused() {
    let monitor = Builder::new("orders").build().unwrap();
    monitor.registry().record_nanos(monitor.registry().endpoint("GET", "/items"), 200, 1_000);
    let misspelt = call(&monitor, "GET", "/summary", "windw=5m", &[]);
    assert_eq!(misspelt.status, 400);
    assert!(
        text(&misspelt).contains("unknown field `windw`, expected one of `window`"),
        "{}",
        text(&misspelt)
    );
    for (route, status) in [("/items", 200), ("/nope", 400)] {
        let query = format!("method=GET&route={route}");
        assert_eq!(call(&monitor, "GET", "/history", &query, &[]).status, status, "{route}");
    }
}

#[test]
fn a_history_is_of_whatever_the_page_is_narrowed_to_or_says_that_it_is_not_kept() {
    let monitor = Builder::new("orders").api_key_header("x-api-key").build().unwrap();
    let (registry, history) = (monitor.registry(), &monitor.state.history);
    let (item, recorder) = (registry.endpoint("GET", "/items"), registry.recorder());
    let ann = registry.vouched_consumer("Ann");
    for status in [200, 404, 500, 500] {
        recorder.record_nanos(item, status, 1_000_000);
        recorder.record_consumer(ann, Outcome::Status(status), Duration::from_millis(1));
    }
    recorder.log_error(item, Outcome::Status(500), Duration::ZERO, "no shard 7", None);
    history.tick();
    let id = format!("{:016x}", history.error_groups(Window::FiveMinutes).groups[0].id);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let here = |query: &str| {
        let peer = Peer::Address(std::net::Ipv4Addr::LOCALHOST.into());
        let host = [("host", "localhost")];
        send(&monitor, &Request { peer, ..request("GET", "/history", query, &List(&host)) })
    };
    let calls = |query: &str| {
        let answer = here(query);
        assert_eq!(answer.status, 200, "{query}: {}", text(&answer));
        let body: serde_json::Value = serde_json::from_str(&text(&answer)).unwrap();
        let total = &body["data"]["total"];
        (total["total_calls"].as_u64().unwrap(), total["p99_response_time"].is_null())
    };
    assert_eq!(calls("window=5m"), (4, false));
    assert_eq!(calls("window=5m&status=5xx"), (2, false));
    assert_eq!(calls("window=5m&status=404"), (1, false));
    assert_eq!(calls("window=5m&consumer=Ann"), (4, true));
    assert_eq!(calls(&format!("window=5m&group={id}")), (1, true));
    assert_eq!(calls(&format!("from={}&until={}", now - 60_000, now + 60_000)), (4, false));
    let before = here(&format!("from=1&until={}", now - 60_000));
    assert!(text(&before).contains(r#""points":[],"total":null"#), "{}", text(&before));
    for refused in [
        "consumer=Ann&status=5xx",
        "group=0123456789abcdef",
        "group=7",
        "metric=x&route=/items&method=GET",
        "from=7",
        "from=7&until=7",
        "from=7&until=x",
        "window=5m&from=7&until=9",
        "from=1&until=99999999999999999",
        "status=20",
    ] {
        assert_eq!(here(refused).status, 400, "{refused}");
    }
    for (query, status) in [("consumer=Ann", 403), (&*format!("group={id}"), 403), ("status=5xx", 200)] {
        let peer = Peer::Address(std::net::Ipv4Addr::new(192, 0, 2, 7).into());
        let host = [("host", "localhost")];
        let stranger = send(&monitor, &Request { peer, ..request("GET", "/history", query, &List(&host)) });
        assert_eq!(stranger.status, status, "{query}");
    }
}

#[test]
fn a_wrong_method_is_refused_without_repeating_it() {
    let monitor = Builder::new("orders").build().unwrap();
    let refused = call(&monitor, "BREW", "/summary", "", &[]);
    assert_eq!((refused.status, header(&refused, "allow")), (405, Some("GET, HEAD")));
    assert!(text(&refused).contains("_OTHER is not supported here; allowed: GET, HEAD"), "{refused:?}");
    assert_eq!(header(&call(&monitor, "HEAD", "/events", "", &[]), "allow"), Some("GET"));
}

#[test]
fn the_page_is_found_from_its_path_without_a_slash_and_a_known_file_is_not_sent_again() {
    let monitor = Builder::new("orders").build().unwrap();
    let redirect = call(&monitor, "GET", "", "", &[]);
    assert_eq!((redirect.status, header(&redirect, "location")), (307, Some("./metrics/")));
    let endpoint = find(&monitor, "").unwrap();
    let normalised = |path, query| {
        let headers = List(&[]);
        let request = request("GET", path, query, &headers);
        block_on(monitor.admit(endpoint, &request).unwrap().answer(&request))
    };
    assert_eq!(header(&normalised("/metrics", ""), "location"), Some("../metrics/?page"));
    assert_eq!(header(&normalised("/metrics", "page"), "location"), Some("../?page"));
    assert_eq!((normalised("", "page").status, normalised("", "window=5m").status), (200, 307));
    let page = call(&monitor, "GET", "/", "", &[]);
    let etag = header(&page, "etag").unwrap();
    assert_eq!(call(&monitor, "GET", "/", "", &[("if-none-match", etag)]).status, 304);
    assert_eq!(call(&monitor, "GET", "/", "", &[("if-none-match", "W/\"other\"")]).status, 200);
}

#[test]
fn files_are_compressed_for_those_who_negotiated_it() {
    let monitor = Builder::new("orders").build().unwrap();
    let (headers, endpoint) = (List(&[]), find(&monitor, "/dashboard/{file}").unwrap());
    let file = |coding| {
        let request = Request { coding, ..request("GET", "/dashboard/main.js", "", &headers) };
        block_on(monitor.admit(endpoint, &request).unwrap().answer(&request))
    };
    let length = |answer: &Answer| if let Body::Bytes(bytes) = &answer.body { bytes.len() } else { 0 };
    let (plain, packed) = (file(Coding::Identity), file(Coding::Gzip));
    assert_eq!(header(&plain, "content-encoding"), None);
    assert_eq!(header(&packed, "content-encoding"), cfg!(feature = "gzip").then_some("gzip"));
    assert_eq!(length(&packed) < length(&plain) / 2, cfg!(feature = "gzip"));
    assert_eq!(header(&plain, "etag"), header(&packed, "etag"));
}

#[test]
fn events_begin_at_once_and_end_at_the_shutdown() {
    let monitor = Builder::new("orders").build().unwrap();
    let Answer { body: Body::Events(mut events), .. } = call(&monitor, "GET", "/events", "", &[]) else {
        panic!("it is no stream")
    };
    let mut next = || block_on(poll_fn(|cx| events.as_mut().poll_next(cx)));
    let text = |event: Option<Bytes>| String::from_utf8(event.unwrap().to_vec()).unwrap();
    let hello = text(next());
    assert!(
        hello.starts_with("event: hello\ndata: {\"service\":\"orders\",\"endpoints\":[\"summary\","),
        "{hello}"
    );
    assert!(!hello.contains("consumers") && !hello.contains("\"reset\",") && !hello.contains("prometheus"));
    assert!(hello.contains("\"reset\":null"), "{hello}");
    assert!(text(next()).starts_with("data: {\"time\""));
    let ends = std::thread::scope(|scope| {
        let ends = scope.spawn(next);
        assert!(block_on(monitor.shutdown(Duration::from_secs(60))));
        ends.join().unwrap()
    });
    // At most the event that was being computed.
    assert!(ends.is_none() || block_on(poll_fn(|cx| events.as_mut().poll_next(cx))).is_none());
    let refused = call(&monitor, "GET", "/events", "", &[]);
    assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("1")));
    assert_eq!(call(&monitor, "GET", "/summary", "", &[]).status, 503);
}

#[test]
fn every_connection_gets_its_events_while_all_are_taken_and_one_that_ends_makes_room() {
    let monitor = Builder::new("orders").build().unwrap();
    // Sixteen clients with addresses of their own.
    let listen = |client: u8| match send(
        &monitor,
        &Request {
            peer: Peer::Address([203, 0, 113, client].into()),
            ..request("GET", "/events", "", &List(&[]))
        },
    ) {
        Answer { body: Body::Events(mut events), .. } => {
            let hello = block_on(poll_fn(|cx| events.as_mut().poll_next(cx)));
            let first = block_on(poll_fn(|cx| events.as_mut().poll_next(cx)));
            assert!(hello.is_some() && first.is_some());
            // From here on it waits for the next one.
            let next = events.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
            assert!(next.is_pending(), "{next:?}");
            Ok(events)
        }
        refused => Err(refused),
    };
    let mut listeners: Vec<_> = (0..16).map(|client| listen(client).unwrap()).collect();
    for _ in 0..3 {
        let refused = listen(16).err().unwrap();
        assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("5")));
        drop(listeners.pop());
        listeners.push(listen(16).unwrap());
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_call_that_waits_for_the_fleet_at_the_shutdown_gets_this_instances_figures() {
    // It accepts connections, and never answers.
    let redis = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/0", redis.local_addr().unwrap());
    let settings = crate::fleet::FleetSettings::new(&url).unwrap();
    let monitor = Builder::new("orders").instance("a").fleet(settings).build().unwrap();
    let (headers, endpoint) = (List(&[]), find(&monitor, "/fleet/summary").unwrap());
    let request = request("GET", "/fleet/summary", "", &headers);
    let mut waiting = Box::pin(monitor.admit(endpoint, &request).unwrap().answer(&request));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(waiting));
        block_on(monitor.shutdown(Duration::from_secs(1)));
        waiting.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(text(&answer).contains("the service is shutting down"), "{}", text(&answer));
    let late = call(&monitor, "POST", "/fleet/summary", "", &[]);
    assert_eq!(late.status, 405);
    let late = call(&monitor, "GET", "/fleet/summary", "", &[]);
    assert_eq!((late.status, header(&late, "retry-after")), (503, Some("1")));
}

#[test]
fn an_answer_that_is_dropped_frees_its_place_and_keeps_no_monitor_alive() {
    let monitor = Builder::new("orders").build().unwrap();
    let (headers, endpoint) = (List(&[]), monitor.prometheus_endpoint());
    let request = request("GET", "/prometheus", "", &headers);
    for _ in 0..1_000 {
        let mut answer = Box::pin(monitor.admit(endpoint, &request).unwrap().answer(&request));
        let polled = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        // Not 503: each one before it freed its place.
        if let Poll::Ready(answer) = polled {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    assert_eq!(call(&monitor, "GET", "/prometheus", "", &[]).status, 200);
    let policy = Arc::downgrade(monitor.policy());
    drop(monitor);
    let begun = std::time::Instant::now();
    while policy.strong_count() > 0 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(policy.strong_count(), 0);
}

/// The endpoints that answer to unknown hosts without a token.
const OPEN: [&str; 3] = ["", "/", "/prometheus"];

/// A monitor without a token, with all endpoints that one can have by itself, and one failed request.
fn open(set: impl FnOnce(Builder) -> Builder) -> Monitor {
    let monitor = set(Builder::new("orders")
        .api_key_header("x-api-key")
        .objective(metrics_core::objective::Objective::availability(99.0))
        .reset_without_token())
    .build()
    .unwrap();
    let registry = monitor.registry();
    let failed = registry.endpoint("GET", "/items/{id}");
    registry.recorder().record_error(
        failed,
        Outcome::Status(500),
        Duration::from_millis(1),
        "a secret of Ann",
    );
    monitor
}

#[test]
fn without_a_token_a_host_that_a_stranger_can_have_is_refused_by_name_with_the_setting() {
    let monitor = open(|builder| builder.allowed_hosts(["orders.example.com"]));
    for endpoint in monitor.endpoints() {
        let path = endpoint.path();
        let method = if path == "/reset" { "POST" } else { "GET" };
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
        {
            let page = [("host", host), ("sec-fetch-site", "same-origin")];
            let answer = call(&monitor, method, path, "", &page);
            if OPEN.contains(&path) || path == "/dashboard/{file}" {
                assert_ne!(answer.status, 421, "{path} {host}");
                continue;
            }
            assert_eq!(answer.status, 421, "{path} {host}");
            let name = host.split(':').next().unwrap();
            assert!(
                text(&answer).contains(&format!("\\\"{name}\\\" is not a known host")),
                "{}",
                text(&answer)
            );
            assert!(text(&answer).contains("allowed_hosts"), "{}", text(&answer));
        }
        for host in
            ["localhost:8080", "127.0.0.1", "[::1]:8080", "orders:8080", "a.local", "a.internal", "a.b.svc"]
        {
            assert_ne!(call(&monitor, method, path, "", &[("host", host)]).status, 421, "{path} {host}");
        }
        assert_ne!(
            call(&monitor, method, path, "", &[("host", "orders.example.com:8443")]).status,
            421,
            "{path}"
        );
        assert_ne!(call(&monitor, method, path, "", &[]).status, 421, "{path}");
    }
    for host in ["a b", "\u{202e}", "[::1", "evil.example@localhost"] {
        let answer = call(&monitor, "GET", "/summary", "", &[("host", host)]);
        assert_eq!(answer.status, 421, "{host}");
        assert!(text(&answer).is_ascii(), "{}", text(&answer));
    }
    let two = [("host", "localhost"), ("host", "evil.example")];
    assert_eq!(call(&monitor, "GET", "/summary", "", &two).status, 421);
    let guarded = Builder::new("orders").read_token(TOKEN).build().unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let public = [("host", "orders.example.com"), ("authorization", bearer.as_str())];
    assert_eq!(call(&guarded, "GET", "/summary", "", &public).status, 200);
}

#[test]
fn a_forwarded_host_is_looked_at_only_where_the_proxy_is_trusted() {
    let evil = [("host", "localhost"), ("x-forwarded-host", "orders.example.com, evil.example")];
    let (trusts, not) = (open(|builder| builder.trust_forwarded(true)), open(|builder| builder));
    assert_eq!(call(&trusts, "GET", "/summary", "", &evil).status, 421);
    assert_eq!(call(&not, "GET", "/summary", "", &evil).status, 200);
    // It cannot stand in for the host that was called.
    let disguised = [("host", "evil.example"), ("x-forwarded-host", "localhost")];
    assert_eq!(call(&trusts, "GET", "/summary", "", &disguised).status, 421);
}

#[test]
fn without_a_token_what_clients_sent_is_for_this_machine() {
    let headers = |lines: &'static [(&'static str, &'static str)]| List(lines);
    let local = headers(&[("host", "localhost:8080")]);
    let address = |address: &str| Peer::Address(address.parse().unwrap());
    let (near, far) = (address("::ffff:127.0.0.1"), address("203.0.113.7"));
    let private = |builder: fn(Builder) -> Builder, headers: &List<'_>, peer, is_http_1_0| {
        let monitor = open(|b| builder(b.allowed_hosts(["orders.example.com"])));
        let sent = |method, path| {
            send(&monitor, &Request { peer, is_http_1_0, ..request(method, path, "", headers) })
        };
        let statuses = [sent("GET", "/errors").status, sent("GET", "/consumers").status];
        assert_eq!(statuses[0], statuses[1]);
        let refused = text(&sent("GET", "/errors"));
        if statuses[0] == 403 {
            assert!(refused.contains("read_token, or open_to_everybody"), "{refused}");
        }
        for path in ["/routes", "/history", "/prometheus"] {
            assert_eq!(sent("GET", path).status, 200, "{path}");
        }
        for (method, path) in [("GET", "/summary"), ("POST", "/reset")] {
            let figures = text(&sent(method, path));
            assert_eq!(figures.contains("a secret of Ann"), statuses[0] == 200, "{path} {figures}");
            assert!(
                figures.contains("\"status\":500") && figures.contains("\"total_errors\":1"),
                "{figures}"
            );
        }
        statuses[0]
    };
    let closed: fn(Builder) -> Builder = |builder| builder;
    for peer in [near, address("127.0.0.1"), address("127.9.9.9"), address("::1"), Peer::UnixSocket] {
        assert_eq!(private(closed, &local, peer, false), 200, "{peer:?}");
    }
    for peer in [far, address("10.0.0.7"), address("192.168.1.5"), address("::ffff:10.0.0.7")] {
        assert_eq!(private(closed, &local, peer, false), 403, "{peer:?}");
        assert_eq!(private(Builder::open_to_everybody, &local, peer, false), 200, "{peer:?}");
    }
    for proxied in [
        headers(&[("host", "localhost"), ("x-forwarded-for", "203.0.113.7")]),
        headers(&[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")]),
        headers(&[("host", "localhost"), ("forwarded", "for=127.0.0.1")]),
        headers(&[("host", "localhost"), ("x-real-ip", "")]),
        headers(&[("host", "localhost"), ("via", "1.1 squid")]),
        headers(&[("host", "localhost"), ("cf-connecting-ip", "203.0.113.7")]),
        // nginx with no more than `proxy_set_header Host $host`.
        headers(&[("host", "orders.example.com")]),
        headers(&[("host", "orders.internal")]),
        headers(&[("host", "10.0.0.7:8080")]),
        // nginx from 1.29.7 on with no more than `proxy_pass`, for a page that a browser shows.
        headers(&[("host", "127.0.0.1:8080"), ("referer", "https://orders.example.com/api/metrics/")]),
        headers(&[("host", "127.0.0.1:8080"), ("referer", "https://orders.example.com")]),
    ] {
        assert_eq!(private(closed, &proxied, near, false), 403);
        assert_eq!(private(closed, &proxied, Peer::UnixSocket, false), 403);
        assert_eq!(private(Builder::open_to_everybody, &proxied, far, false), 200);
    }
    // nginx with its defaults.
    assert_eq!(private(closed, &local, near, true), 403);
    for own in [
        headers(&[("host", "[::1]:8080"), ("referer", "http://localhost:8080/api/metrics/?window=1h")]),
        headers(&[("host", "localhost:9000"), ("origin", "http://localhost:9000")]),
        headers(&[("host", "0.0.0.0:8080")]),
        headers(&[]),
    ] {
        assert_eq!(private(closed, &own, near, false), 200);
    }
}

#[test]
fn a_reset_by_a_page_is_for_pages_of_the_same_scheme_host_and_port() {
    let (closed, trusts) = (open(|builder| builder), open(|builder| builder.trust_forwarded(true)));
    let reset = |monitor, is_secure, lines: &[(&str, &str)]| {
        let headers = List(lines);
        send(monitor, &Request { is_secure, ..request("POST", "/reset", "", &headers) })
    };
    for (origin, is_secure, host, status) in [
        ("http://orders:8080", false, "orders:8080", 200),
        ("http://ORDERS", false, "orders:80", 200),
        ("https://orders", true, "orders", 200),
        ("https://orders:8443", true, "orders:8443", 200),
        ("https://orders", false, "orders", 403),
        ("http://orders", true, "orders", 403),
        ("evil://orders", false, "orders", 403),
        ("null", false, "orders", 403),
        ("http://orders:8081", false, "orders", 403),
        ("http://orders", false, "orders:8081", 403),
        ("http://other", false, "orders", 403),
    ] {
        let answer = reset(&closed, is_secure, &[("origin", origin), ("host", host)]);
        assert_eq!(answer.status, status, "{origin} {host} {}", text(&answer));
    }
    // What a browser sends to a page that it trusts; nginx took the port away.
    let modern = [
        ("origin", "https://orders.local:8443"),
        ("host", "orders.local"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(reset(&closed, false, &modern).status, 200);
    let older = [modern[0], modern[1], ("x-forwarded-proto", "https")];
    let said = text(&reset(&closed, false, &older));
    for part in ["https://orders.local:8443", "http://orders.local;", "$http_host", "trust_forwarded(true)"] {
        assert!(said.contains(part.trim_end_matches(';')), "{part}: {said}");
    }
    assert!(text(&reset(&trusts, false, &older)).contains("$http_host"));
    let whole = [modern[0], ("host", "orders.local:8443"), older[2]];
    assert_eq!(reset(&trusts, false, &whole).status, 200);
    assert_eq!(reset(&closed, false, &whole).status, 403);
    let forwarded =
        [modern[0], ("host", "127.0.0.1:8080"), older[2], ("x-forwarded-host", "orders.local:8443")];
    assert_eq!(reset(&trusts, false, &forwarded).status, 200);
    assert_eq!(reset(&closed, false, &forwarded).status, 403);
    let other = text(&reset(&closed, false, &[("origin", "http://other"), ("host", "orders")]));
    assert!(!other.contains("nginx") && other.contains("another site"), "{other}");
}

#[test]
fn each_refusal_is_counted_by_its_reason() {
    let guarded = Builder::new("orders").read_token(TOKEN).build().unwrap();
    let wrong = format!("Bearer {}", TOKEN.to_uppercase());
    for _ in 0..3 {
        call(&guarded, "GET", "/summary", "", &[("authorization", &wrong)]);
    }
    // The application's own, which is no guess.
    call(&guarded, "GET", "/summary", "", &[("authorization", "Basic x")]);
    call(&guarded, "GET", "/events", "", &[]);
    let bearer = format!("Bearer {TOKEN}");
    let scraped = text(&call(&guarded, "GET", "/prometheus", "", &[("authorization", &bearer)]));
    for line in
        ["metrics_denied_total{reason=\"wrong_token\"} 3", "metrics_denied_total{reason=\"no_token\"} 2"]
    {
        assert!(scraped.lines().any(|known| known == line), "{line}: {scraped}");
    }
    let monitor = open(|builder| builder);
    call(&monitor, "GET", "/summary", "", &[("host", "evil.example")]);
    call(&monitor, "GET", "/errors", "", &[("via", "1.1 proxy")]);
    call(&monitor, "POST", "/reset", "", &[("sec-fetch-site", "cross-site")]);
    let scraped = text(&call(&monitor, "GET", "/prometheus", "", &[]));
    for reason in ["host", "remote", "cross_site"] {
        let line = format!("metrics_denied_total{{reason=\"{reason}\"}} 1");
        assert!(scraped.lines().any(|known| known == line), "{line}: {scraped}");
    }
}

#[test]
fn why_an_exporter_is_off_is_for_those_who_may_see_its_failures() {
    use metrics_export::push::{Accepted, Exporter, Failed, Window};
    struct Off;
    impl Exporter for Off {
        fn name(&self) -> &str {
            "off"
        }
        fn off(&self) -> Option<&str> {
            Some("DD_AGENT_HOST is agent-7:1")
        }
        fn export(&mut self, _: &Window, _: std::time::Instant) -> Result<Accepted, Failed> {
            unreachable!("it is off")
        }
    }
    let monitor = open(|builder| builder.exporter(Off));
    let seen = |headers: &[(&str, &str)]| text(&call(&monitor, "GET", "/exporters", "", headers));
    assert!(seen(&[]).contains("agent-7"));
    let far = seen(&[("x-forwarded-for", "203.0.113.7")]);
    assert!(far.contains("\"state\":\"off\"") && far.contains("own machine only"), "{far}");
    assert!(!far.contains("agent-7"), "{far}");
}

#[test]
fn a_rule_can_watch_the_number_of_wrong_tokens() {
    use metrics_core::alert::{Comparison, Metric, Rule, State};
    let rule = Rule::new("guesses", Metric::WrongTokens, Comparison::AtLeast, 5.0);
    let monitor = Builder::new("orders").read_token(TOKEN).alert(rule).build().unwrap();
    let alert = || monitor.alerts().into_iter().find(|alert| alert.rule.name == "guesses").unwrap();
    for _ in 0..5 {
        assert_eq!(alert().state, State::Inactive);
        call(&monitor, "GET", "/summary", "", &[("authorization", "Bearer 0123456789abcdeX")]);
    }
    let begun = std::time::Instant::now();
    while alert().state != State::Firing && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(alert().to_string(), "5 wrong tokens in 5 min (limit 5)");
}

#[test]
fn a_client_behind_a_trusted_proxy_uses_up_its_own_lines_about_hosts_only() {
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    struct Kept;
    impl log::Log for Kept {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            LINES.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    log::set_logger(&Kept).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let named = |trusts: bool, client: &str, host: &str| {
        LINES.lock().unwrap().iter().any(|line| line.contains(&format!("\"{trusts}-{client}-{host}.test\"")))
    };
    for trusts in [false, true] {
        let monitor = open(|builder| builder.trust_forwarded(trusts));
        // All come from the address of the proxy.
        for (client, address) in [("hostile", "203.0.113.1"), ("other", "203.0.113.2")] {
            for i in 0..5 {
                let host = format!("{trusts}-{client}-{i}.test");
                let headers = [("host", &*host), ("x-forwarded-for", address)];
                assert_eq!(call(&monitor, "GET", "/summary", "", &headers).status, 421);
            }
        }
        assert!((0..4).all(|i| named(trusts, "hostile", &i.to_string())) && !named(trusts, "hostile", "4"));
        assert_eq!(named(trusts, "other", "0"), trusts);
    }
}

#[test]
fn a_crowd_that_waits_for_one_endpoint_leaves_others_their_places() {
    let monitor = Arc::new(open(|builder| builder));
    // Both threads for figures are busy until this is dropped.
    let busy = Arc::new(Mutex::new(()));
    let held = busy.lock().unwrap();
    let begun = Arc::new(Barrier::new(3));
    let jobs = [(); 2].map(|()| {
        let (busy, begun) = (Arc::clone(&busy), Arc::clone(&begun));
        let job = move |_: &mut Scratch| {
            begun.wait();
            drop(busy.lock());
        };
        monitor.state.lanes.reads.run(job).unwrap()
    });
    begun.wait();
    let ask = |path| {
        let headers = List(&[]);
        let request = request("GET", path, "", &headers);
        monitor.admit(find(&monitor, path).unwrap(), &request).unwrap().answer(&request)
    };
    let crowd: Vec<_> = (0..MAX_CALLERS).map(|_| ask("/summary")).collect();
    let refused = block_on(ask("/summary"));
    assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("1")));
    let waits = ["/routes", "/alerts", "/errors"].map(ask);
    assert_eq!(block_on(ask("/prometheus")).status, 200);
    drop(held);
    assert!(crowd.into_iter().chain(waits).all(|answer| block_on(answer).status == 200));
    assert!(jobs.into_iter().all(|job| block_on(job).is_some()));
}

#[test]
fn objectives_have_budgets_and_their_burn_rates_are_alerts() {
    use metrics_core::objective::Objective;
    let in_time = Objective::latency(90.0, Duration::from_millis(300)).routes(["/orders/{id}"]);
    let monitor = Builder::new("orders").objective(Objective::availability(99.0)).objective(in_time);
    let monitor = monitor.apdex(Duration::from_millis(100)).build().unwrap();
    let registry = monitor.registry();
    let order = registry.endpoint("GET", "/orders/{id}");
    for i in 0..100 {
        let status = if i < 20 { 500 } else { 200 };
        registry.record(order, status, Duration::from_millis(if i < 30 { 500 } else { 5 }));
    }
    let begun = std::time::Instant::now();
    // Counted every ten seconds, and the rules are evaluated as often.
    let firing = loop {
        let alerts: serde_json::Value =
            serde_json::from_str(&text(&call(&monitor, "GET", "/alerts", "", &[]))).unwrap();
        let alerts = alerts["data"]["alerts"].as_array().unwrap().clone();
        let firing: Vec<_> = alerts.into_iter().filter(|alert| alert["state"] == "firing").collect();
        if firing.iter().any(|alert| alert["rule"] == "availability_burn_1h") {
            break firing;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{firing:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let alert = firing.iter().find(|alert| alert["rule"] == "availability_burn_1h").unwrap();
    assert_eq!((&alert["metric"], &alert["severity"]), (&"burn_rate".into(), &"critical".into()));
    assert_eq!(alert["summary"], "availability: burn rate 20 over 1 h and 5 min (limit 14.4)");
    let answer: serde_json::Value =
        serde_json::from_str(&text(&call(&monitor, "GET", "/objectives", "", &[]))).unwrap();
    let [available, in_time] = &answer["data"]["objectives"].as_array().unwrap()[..] else {
        panic!("{answer}")
    };
    assert_eq!((&available["valid"], &available["good"]), (&100.into(), &80.into()));
    assert_eq!(
        (&in_time["valid"], &in_time["good"], &in_time["threshold"]),
        (&100.into(), &70.into(), &0.3.into())
    );
    let hour = &available["budgets"][2];
    let figure = |name: &str| hour[name].as_f64().unwrap();
    assert_eq!(figure("window_seconds"), 3_600.0);
    assert!((figure("burn_rate") - 20.0).abs() < 1e-9 && (figure("left") + 1_900.0).abs() < 1e-9, "{hour}");
    assert_eq!(available["exhausted_in"], 0.0);
    // 70 were fast enough; those that took 500 ms did not even take four times of the target.
    let apdex = &answer["data"]["apdex"];
    assert_eq!((&apdex["target"], &apdex["scores"][0]["score"]), (&0.1.into(), &0.7.into()));
    let scrape = text(&call(&monitor, "GET", "/prometheus", "", &[]));
    for line in [
        "http_objective_valid_total{objective=\"availability\"} 100",
        "http_objective_good_total{objective=\"availability\"} 80",
        "http_objective_good_total{objective=\"latency\"} 70",
        "http_objective_target_ratio{objective=\"latency\"} 0.9",
        "http_apdex_requests_total{rating=\"satisfied\"} 70",
        "http_apdex_requests_total{rating=\"frustrated\"} 30",
        "http_apdex_target_seconds 0.1",
    ] {
        assert!(scrape.lines().any(|written| written == line), "{line} is not in {scrape}");
    }
    let rules = monitor.objective_rules("orders").unwrap();
    assert!(rules.contains("objective=\"latency\"") && rules.contains("0.01 "), "{rules}");
    let plain = Builder::new("orders").build().unwrap();
    let absent = call(&plain, "GET", "/objectives", "", &[]);
    assert!(absent.status == 404 && text(&absent).contains(".objective("), "{absent:?}");
}
