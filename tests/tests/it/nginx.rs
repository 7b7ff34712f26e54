//! A real nginx in front of the endpoints: prefixes, events, resets, TLS.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use actix_web::web;
use metrics_actix::{Builder, Metrics};
use serde_json::Value;
use tests::{Browser, Certificates, Client, Folder, Look, Process, Raw, Server, free_port};

/// The names of the dashboard's files follow this in its page.
const FILE: &str = "\"dashboard/";

/// A shop without a token, and nginx in front of it. Dropping it ends both.
struct Proxied {
    _nginx: Process,
    server: Server,
    /// Sends `Host: $host`, without the port, as most examples do.
    without_port: SocketAddr,
    /// Sends the client's `Host` unchanged.
    unchanged: SocketAddr,
    /// Two ports with TLS, which send `Host: $host`, and the whole in `X-Forwarded-Host` and `X-Forwarded-Proto`.
    tls: [SocketAddr; 2],
    certificates: Certificates,
    _folder: Folder,
}

impl Proxied {
    fn start(settings: impl FnOnce(Builder) -> Builder) -> Self {
        let metrics = settings(Metrics::builder("shop").reset_without_token()).build().unwrap();
        let server = Server::start(2, &metrics, |config| {
            config.route("/items/{id}", web::get().to(|| async { "a chair" }));
        });
        let folder = Folder::new("nginx");
        let certificates = Certificates::new(&["127.0.0.1", "localhost"]);
        folder.write("cert.pem", &certificates.certificate);
        folder.write("key.pem", &certificates.key);
        let addrs = [(); 4].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let [without_port, unchanged, first, second] = addrs;
        let (app, path) = (server.addr(), folder.path().display());
        // `/orders/` is stripped, `/api/` is kept.
        let locations = |host: &str| {
            format!(
                "location / {{ proxy_pass http://{app}; }}\n\
                 location /orders/ {{ proxy_pass http://{app}/; }}\n\
                 proxy_set_header Host {host};"
            )
        };
        let (host, http_host) = (locations("$host"), locations("$http_host"));
        let config = folder.write(
            "nginx.conf",
            format!(
                "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n\
                 events {{ worker_connections 64; }}\n\
                 http {{ access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
                 fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
                 server {{ listen {without_port}; {host} }}\n\
                 server {{ listen {unchanged}; {http_host} }}\n\
                 server {{ listen {first} ssl; listen {second} ssl; ssl_certificate {path}/cert.pem;\n\
                 ssl_certificate_key {path}/key.pem; {host}\n\
                 proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme; }} }}\n"
            ),
        );
        let mut nginx =
            Process::start(Command::new("nginx").arg("-p").arg(folder.path()).arg("-c").arg(config));
        for addr in addrs {
            nginx.until("nginx listens", || std::net::TcpStream::connect(addr).ok());
        }
        Self {
            _nginx: nginx,
            server,
            without_port,
            unchanged,
            tls: [first, second],
            certificates,
            _folder: folder,
        }
    }

    /// Posts a reset as a page would that was loaded from `origin`, by a browser that sends no `Sec-Fetch-Site`.
    /// Returns status and code of the answer, and its message.
    fn reset(&self, scheme: &str, addr: SocketAddr, origin: &str) -> (u16, String) {
        let roots = ureq::tls::Certificate::from_pem(self.certificates.authority.as_bytes()).unwrap();
        let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[roots]));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .tls_config(tls.build())
            .build()
            .new_agent();
        let request = agent.post(format!("{scheme}://{addr}/api/metrics/reset")).header("origin", origin);
        let mut answer = request.send_empty().expect("nginx answers");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("the body is whole"))
    }
}

#[test]
#[ignore = "needs nginx"]
fn page_files_figures_and_events_are_the_same_under_each_prefix() {
    let proxied = Proxied::start(|builder| builder);
    let direct = proxied.server.client();
    for addr in [proxied.without_port, proxied.unchanged] {
        let client = Client::to(addr);
        for prefix in ["/api/metrics", "/orders/api/metrics"] {
            let page = client.send("GET", &format!("{prefix}/"));
            assert_eq!((page.status, &page.body), (200, &direct.send("GET", "/api/metrics/").body));
            let names: Vec<_> =
                page.body.split(FILE).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
            assert!(names.contains(&"main.js") && names.contains(&"style.css"), "{names:?}");
            for name in names {
                let file = client.send("GET", &format!("{prefix}/dashboard/{name}"));
                let ours = direct.send("GET", &format!("/api/metrics/dashboard/{name}"));
                assert_eq!((file.status, &file.body), (200, &ours.body), "{prefix}/{name}");
                let kind = |reply: &tests::Reply| reply.header("content-type").map(str::to_owned);
                assert_eq!(kind(&file), kind(&ours), "{prefix}/{name}");
            }
            for name in ["summary", "routes", "history?window=5m", "resources", "alerts"] {
                let reply = client.send("GET", &format!("{prefix}/{name}"));
                let body: Value = serde_json::from_str(&reply.body).unwrap();
                assert_eq!((reply.status, &body["success"]), (200, &Value::Bool(true)), "{name}");
            }
            // What clients sent is for this machine alone, and nginx forwards for others.
            assert_eq!(client.send("GET", &format!("{prefix}/errors")).status, 403);
            // A browser is sent to the page by a relative path, so that the prefix stays.
            let mut raw = Raw::to(addr);
            raw.write(format!("GET {prefix} HTTP/1.1\r\nhost: {addr}\r\naccept: text/html\r\n\r\n"));
            let redirect = raw.read_until("\r\n\r\n").to_lowercase();
            assert!(redirect.starts_with("http/1.1 307"), "{redirect}");
            assert!(redirect.contains("\r\nlocation: ./metrics/\r\n"), "{redirect}");

            // An event is sent on before the connection ends: it has what happened after the first one.
            let before = client.metrics("GET", "summary")["total_calls"].as_u64().unwrap();
            let mut events = Raw::to(addr);
            events.write(format!("GET {prefix}/events?window=reset HTTP/1.1\r\nhost: {addr}\r\n\r\n"));
            let hello = events.read_until("event: hello");
            assert!(hello.starts_with("HTTP/1.1 200") && hello.contains("event: hello"), "{hello}");
            assert_eq!(client.send("GET", "/items/7").status, 200);
            let counted = format!("\"total_calls\":{}", before + 1);
            let read = events.read_until(&counted);
            assert!(read.contains(&counted), "{counted} is not in {read}");
        }
    }
}

#[test]
#[ignore = "needs nginx"]
fn a_reset_from_the_same_page_works_or_names_the_missing_header() {
    let proxied = Proxied::start(|builder| builder);
    let [first, second] = proxied.tls;
    let (status, answer) = proxied.reset("http", proxied.unchanged, &format!("http://{}", proxied.unchanged));
    assert_eq!(status, 200, "{answer}");
    // nginx passes no port, or headers that anybody could have sent.
    for (scheme, addr) in [("http", proxied.without_port), ("https", first), ("https", second)] {
        let (status, answer) = proxied.reset(scheme, addr, &format!("{scheme}://{addr}"));
        assert_eq!(status, 403, "{scheme}://{addr}: {answer}");
        for part in ["cross_site", &addr.to_string(), "$http_host", "X-Forwarded-Host", "trust_forwarded"] {
            assert!(answer.contains(part), "{part} is not in {answer}");
        }
    }
    for other in ["https://evil.example", "null", "http://127.0.0.2"] {
        let (status, answer) = proxied.reset("http", proxied.unchanged, other);
        assert_eq!(status, 403, "{other}: {answer}");
    }
}

#[test]
#[ignore = "needs nginx"]
fn pages_of_two_ports_with_tls_reset_for_themselves_and_not_for_each_other() {
    let proxied = Proxied::start(|builder| builder.trust_forwarded(true));
    let [first, second] = proxied.tls;
    for (addr, other) in [(first, second), (second, first)] {
        let (status, answer) = proxied.reset("https", addr, &format!("https://{addr}"));
        assert_eq!(status, 200, "{addr}: {answer}");
        for other in [format!("https://{other}"), format!("http://{addr}"), "https://evil.example".to_owned()]
        {
            let (status, answer) = proxied.reset("https", addr, &other);
            assert_eq!(status, 403, "{other}: {answer}");
        }
    }
}

#[test]
#[ignore = "needs nginx, chromium and chromedriver"]
fn a_browser_shows_live_figures_behind_a_stripped_prefix() {
    let proxied = Proxied::start(Builder::open_to_everybody);
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{}/orders/api/metrics/", proxied.without_port));
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    let client = Client::to(proxied.without_port);
    assert_eq!(client.send("GET", "/orders/items/7").status, 200);
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value == 1");
    // The browser says that it is the same site.
    browser.get("fetch('reset', { method: 'POST' }).then(answer => window.reset = answer.status)");
    browser.wait("window.reset === 200");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
