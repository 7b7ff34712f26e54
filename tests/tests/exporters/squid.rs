//! Exporters behind a real proxy: Squid, with the settings that Debian installs.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tests::{Certificates, Example, Fault, Folder, Process, Stub, free_port, until};

use crate::decode;

/// A host that only Squid knows.
const HOST: &str = "collector.example";

/// The requests that are sent to the demo.
const CALLS: u64 = 30;

/// A running Squid. Dropping it ends the process.
struct Squid {
    _process: Process,
    url: String,
    folder: Folder,
}

impl Squid {
    /// Starts one that finds `HOST` at this address.
    fn start(host: Ipv4Addr) -> Self {
        let folder = Folder::new("squid");
        // Started by root, it becomes another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let hosts = folder.write("hosts", format!("{host} {HOST}\n"));
        let port = free_port();
        let settings = fs::read_to_string("/etc/squid/squid.conf").expect("Debian installs its settings");
        assert!(settings.contains("\nhttp_port 3128\n") && settings.contains("\nacl SSL_ports port 443\n"));
        let settings = settings.replace("\nhttp_port 3128\n", &format!("\nhttp_port 127.0.0.1:{port}\n"));
        let path = folder.path().display();
        let own = format!(
            "hosts_file {}\npid_filename none\naccess_log stdio:{path}/access.log\ncache_log {path}/cache.log\n",
            hosts.display()
        );
        let settings = folder.write("squid.conf", settings + "\n" + &own);
        // Instances with one name would share memory.
        let name = format!("metrics{port}");
        let mut process = Process::start(Command::new("squid").args(["-N", "-n", &name, "-f"]).arg(settings));
        process.until("Squid listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { _process: process, url: format!("http://127.0.0.1:{port}"), folder }
    }

    /// What it was asked for, and its answers: `TCP_MISS/200 POST http://...`.
    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        let lines = log.lines().map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            [words[3], words[5], words[6]].join(" ")
        });
        // Connections that only asked whether it listens.
        lines.filter(|line| line.contains(HOST)).collect()
    }
}

/// Counts the requests of the newest window that arrived: they are cumulative.
fn counting() -> (Arc<AtomicU64>, impl Fn(&[u8]) -> Vec<u8> + Send + Sync) {
    let calls = Arc::new(AtomicU64::new(0));
    let newest = Arc::clone(&calls);
    (calls, move |body: &[u8]| {
        newest.fetch_max(decode::requests(body), Ordering::Relaxed);
        Vec::new()
    })
}

/// Runs the demo, which sends to this URL, with these variables.
fn run(url: &str, variables: &[(&str, &str)]) {
    let demo = Example::full_in(variables, &["--workers", "1", "--otlp", url]);
    for _ in 0..CALLS {
        assert_eq!(demo.client().send("GET", "/items/7").status, 200);
    }
    assert_eq!(demo.stop(), Some(0));
}

#[test]
#[ignore = "needs squid"]
fn an_http_destination_on_any_port_is_reached_through_the_proxy() {
    let (calls, take) = counting();
    let stub = Stub::start(Fault::None, take);
    let squid = Squid::start(Ipv4Addr::LOCALHOST);
    let url = stub.url().replace("127.0.0.1", HOST);
    run(&url, &[("HTTP_PROXY", &squid.url)]);
    assert_eq!(calls.load(Ordering::Relaxed), CALLS, "{:?}", squid.log());
    // By the absolute form: Squid refuses CONNECT to a port that is not 443.
    let log = until("Squid logs it", || Some(squid.log()).filter(|log| !log.is_empty()));
    let expected = format!("TCP_MISS/200 POST {url}/v1/metrics");
    assert!(log.iter().all(|line| *line == expected), "{log:?}");
}

#[test]
#[ignore = "needs squid, and the right to listen at port 443"]
fn an_https_destination_is_reached_by_connect() {
    // An address of this machine of its own, so that port 443 is free.
    let address = Ipv4Addr::new(127, fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..255));
    let listener = TcpListener::bind(SocketAddr::from((address, 443))).expect("root may listen at port 443");
    let certificates = Certificates::new(&[HOST]);
    let (calls, take) = counting();
    let _stub = Stub::with_tls(listener, &certificates, take);
    let squid = Squid::start(address);
    let authority = squid.folder.write("authority.pem", &certificates.authority);
    let url = format!("https://{HOST}");
    let variables = [
        ("HTTPS_PROXY", squid.url.as_str()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.to_str().unwrap()),
    ];
    run(&url, &variables);
    assert_eq!(calls.load(Ordering::Relaxed), CALLS, "{:?}", squid.log());
    let log = until("Squid logs it", || Some(squid.log()).filter(|log| !log.is_empty()));
    let expected = format!("TCP_TUNNEL/200 CONNECT {HOST}:443");
    assert!(log.iter().all(|line| *line == expected), "{log:?}");
}

#[test]
#[ignore = "needs squid"]
fn what_no_proxy_names_never_asks_the_proxy() {
    let squid = Squid::start(Ipv4Addr::LOCALHOST);
    let (calls, take) = counting();
    let stub = Stub::start(Fault::None, take);
    // Its own name is of no use without the proxy, so nothing arrives.
    let elsewhere = stub.url().replace("127.0.0.1", HOST);
    for except in [HOST, "example", ".example", "*"] {
        let variables = [("HTTP_PROXY", squid.url.as_str()), ("NO_PROXY", except)];
        run(&elsewhere, &variables);
        assert_eq!((squid.log(), calls.load(Ordering::Relaxed)), (Vec::<String>::new(), 0), "{except}");
    }
    // Loopback needs no exception.
    run(&stub.url(), &[("HTTP_PROXY", &squid.url), ("ALL_PROXY", &squid.url)]);
    assert_eq!((squid.log(), calls.load(Ordering::Relaxed)), (Vec::<String>::new(), CALLS));
}
