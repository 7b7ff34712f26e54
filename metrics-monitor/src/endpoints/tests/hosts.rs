//! What is open without a token, and to whom.

use super::*;

/// The endpoints that answer to unknown hosts without a token.
const OPEN: [&str; 3] = ["", "/", "/prometheus"];

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
