//! The endpoints, called as an adapter calls them.

mod hosts;
mod waiting;

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
        text(&misspelt).contains("unknown parameter `windw`; allowed: `window`, "),
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
