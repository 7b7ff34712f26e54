//! Only requests with the right token get in.

use std::time::Duration;

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use metrics_actix::Metrics;
use tests::{Raw, Server};

const READ: &str = "read-0123456789abcdef";
const NEXT: &str = "next-0123456789abcdef";
const RESET: &str = "reset-0123456789abcdef";

fn no_routes(_: &mut ServiceConfig) {}

fn guarded() -> Metrics {
    let builder = Metrics::builder("guarded").api_key_header("x-api-key");
    builder.read_token(READ).read_token(NEXT).reset_token(RESET).build().unwrap()
}

/// Sends a request with these additional header lines on a new connection. Returns the whole reply.
fn send(server: &Server, method: &str, target: &str, lines: &str) -> String {
    let mut client: Raw = server.raw();
    client.write(format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{lines}\r\n"));
    client.read_while(|_| true)
}

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or_else(|| panic!("{reply:?}"))
}

/// Header lines that resemble the right ones but do not authorize.
fn without(token: &str) -> Vec<String> {
    let (short, upper) = (&token[..token.len() - 1], token.to_uppercase());
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    vec![
        String::new(),
        "authorization:\r\n".to_owned(),
        "authorization: Bearer\r\n".to_owned(),
        bearer(""),
        bearer("wrong-0123456789abcdef"),
        bearer(short),
        bearer(&token[1..]),
        bearer(&upper),
        bearer(&format!("{token}x")),
        bearer(&format!("x{token}")),
        bearer(&format!("{token}{token}")),
        bearer(&format!("{token} {token}")),
        bearer(&format!("{token},")),
        bearer(&format!("\"{token}\"")),
        bearer(token) + &bearer(token),
        bearer(token) + &bearer("wrong-0123456789abcdef"),
        format!("authorization: {token}\r\n"),
        format!("authorization: Basic {token}\r\n"),
        format!("authorization: Bearer{token}\r\n"),
        format!("authorization: Token {token}\r\n"),
        format!("proxy-authorization: Bearer {token}\r\n"),
        format!("x-authorization: Bearer {token}\r\n"),
        format!("cookie: token={token}; authorization=Bearer {token}\r\n"),
        format!("x-api-key: {token}\r\n"),
    ]
}

/// Targets that name an endpoint or resemble one; the query has the token.
fn targets(name: &str, token: &str) -> Vec<String> {
    let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    [
        format!("/api/metrics/{name}"),
        format!("/api/metrics/{name}/"),
        format!("/api/metrics//{name}"),
        format!("//api/metrics/{name}"),
        format!("/api/metrics/./{name}"),
        format!("/api/x/../metrics/{name}"),
        format!("/api/metrics/{encoded}"),
        format!("/api/metrics%2F{name}"),
        format!("/API/METRICS/{}", name.to_uppercase()),
        format!("/api/metrics/{name};a=b"),
        format!("/api/metrics/{name}%00"),
        format!("/api/metrics/{name}?token={token}"),
        format!("/api/metrics/{name}?access_token={token}&authorization=Bearer%20{token}"),
        format!("http://test/api/metrics/{name}"),
    ]
    .into()
}

#[test]
fn a_reset_without_a_reset_token_shows_no_figures_without_the_read_token() {
    let metrics = Metrics::builder("shop").read_token(READ).reset_without_token().build().unwrap();
    let server = Server::start(1, &metrics, |_| {});
    assert_eq!(server.client().send("POST", "/api/metrics/reset").status, 401);
    let bearer = format!("Bearer {READ}");
    let reply = server.client().send_with("POST", "/api/metrics/reset", &[("authorization", &bearer)]);
    assert_eq!(reply.status, 200);
}

#[test]
fn without_a_token_no_request_is_let_in() {
    let metrics = guarded();
    let server = Server::start(2, &metrics, no_routes);
    let mut sent = 0;
    for (name, token) in [
        ("summary", READ),
        ("routes", READ),
        ("errors", NEXT),
        ("consumers", NEXT),
        ("prometheus", READ),
        ("events", READ),
        ("reset", RESET),
    ] {
        for target in targets(name, token) {
            for head in without(token) {
                for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                    let reply = send(&server, method, &target, &head);
                    let refused = ["400", "401", "404"].contains(&status(&reply));
                    assert!(refused, "{method} {target} {head:?} was let in: {reply}");
                    assert!(!reply.contains("total_") && !reply.contains("\"success\":true"), "{reply}");
                    if target == format!("/api/metrics/{name}") {
                        assert_eq!(status(&reply), "401", "{method} {target} {head:?}");
                        let lower = reply.to_lowercase();
                        assert!(
                            lower.contains("\r\nwww-authenticate: bearer realm=\"metrics\"\r\n"),
                            "{reply}"
                        );
                        assert!(lower.contains("\r\ncache-control: no-store\r\n"), "{reply}");
                        assert!(lower.contains("\r\nx-content-type-options: nosniff\r\n"), "{reply}");
                        assert!(!reply.contains(token), "{reply}");
                    }
                    sent += 1;
                }
            }
        }
    }
    println!("{sent} requests, none let in");
}

#[test]
fn a_wrong_token_gets_the_same_answer_as_a_missing_one() {
    let metrics = guarded();
    let server = Server::start(1, &metrics, no_routes);
    let body = |head: &str| {
        let reply = send(&server, "GET", "/api/metrics/summary", head);
        let lines: Vec<_> =
            reply.lines().filter(|line| !line.starts_with("date")).map(str::to_owned).collect();
        lines
    };
    let missing = body("");
    assert!(without(READ).iter().all(|head| body(head) == missing));
}

#[test]
fn each_token_opens_its_own_endpoints_and_no_others() {
    let metrics = guarded();
    let server = Server::start(1, &metrics, no_routes);
    for (token, reads, resets) in [(READ, "200", "401"), (NEXT, "200", "401"), (RESET, "401", "200")] {
        for scheme in ["Bearer", "bearer"] {
            let head = format!("authorization: {scheme} {token}\r\n");
            for name in ["summary", "routes", "errors", "consumers", "prometheus"] {
                let target = format!("/api/metrics/{name}");
                assert_eq!(status(&send(&server, "GET", &target, &head)), reads, "{token} {name}");
                assert_eq!(status(&send(&server, "HEAD", &target, &head)), reads, "{token} {name}");
            }
            assert_eq!(status(&send(&server, "POST", "/api/metrics/reset", &head)), resets, "{token}");
        }
    }
    // With the token, only the method is wrong.
    let head = format!("authorization: Bearer {READ}\r\n");
    assert_eq!(status(&send(&server, "OPTIONS", "/api/metrics/summary", &head)), "405");
}

#[test]
fn a_page_of_another_site_cannot_reset() {
    let metrics = Metrics::builder("open").reset_without_token().build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    for (head, expected) in [
        ("", "200"),
        ("sec-fetch-site: same-origin\r\n", "200"),
        ("sec-fetch-site: none\r\n", "200"),
        ("sec-fetch-site: cross-site\r\n", "403"),
        ("sec-fetch-site: same-site\r\n", "403"),
        ("sec-fetch-site: cross-site\r\norigin: http://test\r\n", "403"),
        ("origin: http://test\r\n", "200"),
        ("origin: HTTP://TEST:80\r\n", "200"),
        ("origin: https://test\r\n", "403"),
        ("origin: evil://test\r\n", "403"),
        ("origin: http://test.evil.example\r\n", "403"),
        ("origin: http://test:81\r\n", "403"),
        ("origin: null\r\n", "403"),
        ("origin:\r\n", "403"),
    ] {
        let reply = send(&server, "POST", "/api/metrics/reset", head);
        assert_eq!(status(&reply), expected, "{head:?} {reply}");
        assert_eq!(reply.contains("cross_site"), expected == "403");
    }
}

#[test]
fn a_body_over_one_kibibyte_is_413_with_and_without_a_content_length() {
    let metrics = Metrics::builder("open").reset_without_token().build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let sized = |bytes: usize| format!("content-length: {bytes}\r\n\r\n{}", "x".repeat(bytes));
    let chunked = |bytes: usize| {
        format!("transfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes))
    };
    for (bytes, expected) in [(0, "200"), (1_024, "200"), (1_025, "413"), (100_000, "413")] {
        for body in [sized(bytes), chunked(bytes)].iter().filter(|body| bytes > 0 || body.contains("length"))
        {
            let mut client = server.raw();
            client.write(format!("POST /api/metrics/reset HTTP/1.1\r\nhost: test\r\n{body}"));
            assert_eq!(status(&client.read_until("\r\n\r\n")), expected, "{bytes}");
        }
    }
}

#[test]
fn the_endpoints_can_be_on_a_separate_private_listener() {
    let metrics = Metrics::builder("two").build().unwrap();
    let private = metrics.clone();
    let system = actix_web::rt::System::new();
    let (addr, handle) = system.block_on(async {
        let app = move || App::new().configure(private.routes("/"));
        let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let addr = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        (addr, handle)
    });
    let ask = std::thread::spawn(move || {
        let reply = ureq::get(format!("http://{addr}/summary")).call().unwrap().body_mut().read_to_string();
        reply.unwrap()
    });
    system.block_on(async {
        while !ask.is_finished() {
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
        handle.stop(true).await;
    });
    assert!(ask.join().unwrap().starts_with(r#"{"success":true,"data":{"total_calls":0,"#));
}

#[test]
fn after_a_shutdown_the_endpoints_say_so_and_requests_are_still_measured() {
    let metrics = Metrics::builder("ends").build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let client = server.client();
    assert_eq!(client.send("GET", "/api/metrics/summary").status, 200);
    assert!(actix_web::rt::System::new().block_on(metrics.shutdown(Duration::from_secs(10))));
    let reply = client.send("GET", "/api/metrics/summary");
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains(r#""code":"unavailable""#), "{}", reply.body);
    assert_eq!(client.send("GET", "/nowhere").status, 404);
    assert_eq!(metrics.registry().summary().total.calls, 1);
}

/// Sends a request with these header lines, `Host` among them, on a new connection. Returns the whole reply.
fn send_whole(server: &Server, request_line: &str, lines: &str) -> String {
    let mut client = server.raw();
    client.write(format!("{request_line}\r\nconnection: close\r\n{lines}\r\n"));
    client.read_while(|_| true)
}

#[test]
fn a_page_whose_name_leads_to_this_machine_can_neither_read_nor_reset() {
    let metrics = Metrics::builder("open").reset_without_token().api_key_header("x-api-key").build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let page =
        "host: evil.example:8080\r\norigin: http://evil.example:8080\r\nsec-fetch-site: same-origin\r\n";
    for (method, name) in [
        ("POST", "reset"),
        ("GET", "errors"),
        ("GET", "summary"),
        ("GET", "routes"),
        ("GET", "history"),
        ("GET", "alerts"),
        ("GET", "exporters"),
        ("GET", "business"),
        ("GET", "resources"),
        ("GET", "consumers"),
        ("GET", "events"),
    ] {
        let reply = send_whole(&server, &format!("{method} /api/metrics/{name} HTTP/1.1"), page);
        assert_eq!(status(&reply), "421", "{name}: {reply}");
        assert!(reply.contains("evil.example") && reply.contains("allowed_hosts"), "{reply}");
        // The target wins over the header.
        let target = format!("{method} http://evil.example/api/metrics/{name} HTTP/1.1");
        assert_eq!(status(&send_whole(&server, &target, "host: localhost\r\n")), "421", "{name}");
    }
    for name in ["", "dashboard/main.js", "prometheus"] {
        let reply = send_whole(&server, &format!("GET /api/metrics/{name} HTTP/1.1"), page);
        assert_eq!(status(&reply), "200", "{name}: {reply}");
    }
    let host = "host: orders:8080\r\norigin: http://orders:8080\r\n";
    assert_eq!(status(&send_whole(&server, "POST /api/metrics/reset HTTP/1.1", host)), "200");
}

/// The header lines that nginx sends to a service for a page at `https://orders.local:8443`.
fn behind_nginx(host: &str, forwarded: &str) -> String {
    format!(
        "host: {host}\r\nx-real-ip: 203.0.113.7\r\nx-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\n\
         {forwarded}origin: https://orders.local:8443\r\n"
    )
}

#[test]
fn behind_nginx_a_reset_works_or_the_message_names_the_missing_header() {
    for trusts in [false, true] {
        let metrics = Metrics::builder("shop").reset_without_token().trust_forwarded(trusts).build().unwrap();
        let server = Server::start(1, &metrics, no_routes);
        for (host, forwarded, suffices) in [
            ("orders.local", "", false),
            ("orders.local:8443", "", trusts),
            ("127.0.0.1:8080", "x-forwarded-host: orders.local:8443\r\n", trusts),
        ] {
            let lines = behind_nginx(host, forwarded);
            let reset = "POST /api/metrics/reset HTTP/1.1";
            // What all browsers send over https and to localhost.
            let modern = send_whole(&server, reset, &format!("{lines}sec-fetch-site: same-origin\r\n"));
            assert_eq!(status(&modern), "200", "{host}");
            let older = send_whole(&server, reset, &lines);
            assert_eq!(status(&older) == "200", suffices, "{host} {trusts} {older}");
            if host.starts_with("orders.local") && !suffices {
                assert!(older.contains("proxy_set_header Host $http_host"), "{older}");
                assert_eq!(older.contains("set trust_forwarded(true)"), !trusts, "{older}");
            }
        }
    }
}

#[test]
fn without_a_token_messages_and_consumers_are_for_this_machine_and_not_for_those_behind_its_proxy() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").build().unwrap();
    let server = Server::start(1, &metrics, |config| {
        let fails = || async { Err::<&str, _>(actix_web::error::ErrorBadRequest("a secret of Ann")) };
        config.route("/fails", actix_web::web::get().to(fails));
    });
    server.client().send("GET", "/fails");
    let get = |version: &str, name: &str, lines: &str| {
        let line = format!("GET /api/metrics/{name} HTTP/{version}");
        send_whole(&server, &line, &format!("host: localhost\r\n{lines}"))
    };
    for name in ["errors", "errors/groups", "consumers"] {
        assert_eq!(status(&get("1.1", name, "")), "200", "{name}");
        for (version, lines) in
            [("1.1", "X-Forwarded-For: 127.0.0.1\r\n"), ("1.1", "Via: 1.1 proxy\r\n"), ("1.0", "")]
        {
            let reply = get(version, name, lines);
            assert_eq!(status(&reply), "403", "{name} {lines}");
            assert!(reply.contains("read_token, or open_to_everybody"), "{reply}");
        }
    }
    assert!(get("1.1", "summary", "").contains("a secret of Ann"));
    let figures = get("1.1", "summary", "Forwarded: for=203.0.113.7\r\n");
    assert!(figures.contains("\"total_errors\":1") && figures.contains("\"status\":400"), "{figures}");
    assert!(!figures.contains("secret"), "{figures}");
}

#[cfg(unix)]
#[test]
fn a_client_of_a_unix_socket_is_of_this_machine() {
    use std::io::{Read, Write};
    let metrics = Metrics::builder("shop").build().unwrap();
    let path = std::env::temp_dir().join(format!("metrics-doors-{}.socket", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let socket = path.clone();
    let system = actix_web::rt::System::new();
    system.block_on(async {
        let app = move || App::new().configure(metrics.routes("/"));
        let server = HttpServer::new(app).workers(1).disable_signals().bind_uds(&socket).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let ask = std::thread::spawn(move || {
            for (lines, expected) in [("", "200"), ("x-forwarded-for: 203.0.113.7\r\n", "403")] {
                let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
                let request =
                    format!("GET /errors HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n");
                client.write_all(request.as_bytes()).unwrap();
                let mut reply = String::new();
                client.read_to_string(&mut reply).unwrap();
                assert_eq!(status(&reply), expected, "{reply}");
            }
            std::fs::remove_file(&path).unwrap();
        });
        while !ask.is_finished() {
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
        handle.stop(true).await;
        ask.join().unwrap();
    });
}

#[test]
fn a_body_that_never_arrives_occupies_its_connection_only() {
    let metrics = Metrics::builder("open").reset_without_token().build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let begin = || {
        let mut client = server.raw();
        client.write("POST /api/metrics/reset HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n");
        client
    };
    let waiting: Vec<_> = (0..40).map(|_| begin()).collect();
    for name in ["summary", "prometheus"] {
        assert_eq!(server.client().send("GET", &format!("/api/metrics/{name}")).status, 200, "{name}");
    }
    assert_eq!(server.client().send("POST", "/api/metrics/reset").status, 200);
    for mut client in waiting {
        assert_eq!(status(&client.read_until("\r\n\r\n")), "408");
    }
}
