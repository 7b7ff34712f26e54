//! The endpoints, called as an adapter calls them.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::policy::headers::List;
use crate::testing::block_on;
use crate::{Answer, Body, Builder, Coding, Endpoint, Monitor, Request};

const TOKEN: &str = "0123456789abcdef";

fn request<'a>(method: &'a str, path: &'a str, query: &'a str, headers: &'a List<'_>) -> Request<'a> {
    Request { method, mount: "/api/metrics", path, query, headers, coding: Coding::Identity }
}

fn find(monitor: &Monitor, path: &str) -> Option<&'static Endpoint> {
    monitor.endpoints().find(|endpoint| endpoint.path() == path)
}

fn call(monitor: &Monitor, method: &str, path: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
    let (headers, endpoint) = (List(headers), find(monitor, path).expect("the monitor has the endpoint"));
    let request = request(method, path, query, &headers);
    match monitor.admit(endpoint, &request) {
        Ok(admitted) => block_on(admitted.answer(&request)),
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
    for path in ["/summary", "/routes", "/history", "/alerts", "/errors", "/exporters", "/business"] {
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
    assert!(find(&open, "/reset").is_none() && find(&open, "/consumers").is_none());
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
    assert!(!hello.contains("consumers") && !hello.contains("reset") && !hello.contains("prometheus"));
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
    let listen = || match call(&monitor, "GET", "/events", "", &[]) {
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
    let mut listeners: Vec<_> = (0..16).map(|_| listen().unwrap()).collect();
    for _ in 0..3 {
        let refused = listen().err().unwrap();
        assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("5")));
        drop(listeners.pop());
        listeners.push(listen().unwrap());
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
