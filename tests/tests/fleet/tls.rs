//! A Redis that speaks TLS, with a certificate from a private authority.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use metrics_core::Registry;
use metrics_export::Service;
use metrics_export::fleet::redis::{FleetSettings, Member, Question};
use tests::{Certificates, Redis, free_port_of_redis};

/// The arguments of a server that speaks TLS, and the authority of its certificate in PEM.
struct Files {
    authority: String,
    certificate: String,
    key: String,
    arguments: Vec<String>,
}

impl Files {
    fn in_folder(folder: &Path) -> Self {
        let Certificates { authority, certificate, key } = Certificates::new(&["127.0.0.1"]);
        let files = [
            ("--tls-cert-file", "server.pem", certificate.clone()),
            ("--tls-key-file", "key.pem", key.clone()),
            ("--tls-ca-cert-file", "ca.pem", authority.clone()),
        ];
        let mut arguments = vec!["--tls-auth-clients".to_owned(), "no".to_owned()];
        for (argument, name, text) in files {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            arguments.extend([argument.to_owned(), path.to_str().unwrap().to_owned()]);
        }
        Self { authority, certificate, key, arguments }
    }
}

/// The certificate of an authority that signed nothing here.
fn another() -> String {
    Certificates::new(&["127.0.0.1"]).authority
}

fn with<'a>(some: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    some.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

pub(crate) fn member(settings: FleetSettings) -> Member {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 350_000);
    let settings = settings.interval(Duration::from_millis(300));
    Member::start(registry, &Service::new("tls").instance("a"), settings).unwrap()
}

/// Waits until the member wrote. Returns the error if writing fails.
pub(crate) fn first_write(member: &Member) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = member.status();
        match status.failing {
            _ if status.writes > 0 => return Ok(()),
            Some((_, reason)) => return Err(reason),
            None => assert!(Instant::now() < deadline, "it neither writes nor fails"),
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_is_trusted_by_its_own_authority_only() {
    // This one only provides a folder for the files.
    let place = Redis::start();
    let Files { authority: trusted, arguments, .. } = Files::in_folder(place.folder());
    let port = free_port_of_redis().to_string();
    let redis = Redis::start_with(&with(&["--tls-port", &port], &arguments));
    let settings = || FleetSettings::new(&format!("rediss://127.0.0.1:{port}/0")).unwrap();

    let member_of_it = member(settings().trusted_authorities(trusted.as_bytes()).unwrap());
    assert_eq!(first_write(&member_of_it), Ok(()));
    let answer = member_of_it.ask(Question::SinceReset).unwrap().wait().unwrap();
    assert_eq!(answer.summary.as_ref().unwrap().total.calls, 1);
    assert!(redis.cli(&["keys", "metrics:tls:0:a-*"]).starts_with("metrics:tls:0:a-"));

    let other = member(settings().trusted_authorities(another().as_bytes()).unwrap());
    let refused = first_write(&other).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    // The authorities of the system do not vouch for it either.
    let refused = first_write(&member(settings())).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    // Another host's name is not trusted.
    let elsewhere = FleetSettings::new(&format!("rediss://localhost:{port}/0")).unwrap();
    let elsewhere = elsewhere.trusted_authorities(trusted.as_bytes()).unwrap();
    let refused = first_write(&member(elsewhere)).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_cluster_that_speaks_tls_is_reached_at_all_of_its_nodes() {
    let place = Redis::start();
    let Files { authority: trusted, arguments, .. } = Files::in_folder(place.folder());
    let ports = [(); 3].map(|()| free_port_of_redis().to_string());
    let nodes = ports.each_ref().map(|port| {
        let cluster = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--tls-port", port];
        Redis::start_with(&with(&cluster, &arguments))
    });
    let addresses = ports.each_ref().map(|port| format!("127.0.0.1:{port}"));
    let mut make = Command::new("redis-cli");
    make.args(["--tls", "--cacert", place.folder().join("ca.pem").to_str().unwrap(), "--cluster", "create"]);
    let made = make.args(&addresses).arg("--cluster-yes").output().expect("redis-cli runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let deadline = Instant::now() + Duration::from_secs(30);
    while nodes.iter().any(|node| !node.cli(&["cluster", "info"]).contains("cluster_state:ok")) {
        assert!(Instant::now() < deadline, "the cluster does not come up");
        sleep(Duration::from_millis(100));
    }
    let settings = |addresses: &[String]| {
        FleetSettings::new(&format!("rediss+cluster://{}", addresses.join(","))).unwrap()
    };
    // It finds the other nodes, and trusts them by the same authority.
    let member_of_it = member(settings(&addresses[..1]).trusted_authorities(trusted.as_bytes()).unwrap());
    assert_eq!(first_write(&member_of_it), Ok(()));
    let answer = member_of_it.ask(Question::SinceReset).unwrap().wait().unwrap();
    assert_eq!(answer.summary.as_ref().unwrap().total.calls, 1);
    let keys = nodes.each_ref().map(|node| node.cli(&["keys", "metrics:*"]).lines().count());
    assert_eq!(keys.iter().sum::<usize>(), 4, "{keys:?}");
    assert!(keys.iter().filter(|&&keys| keys > 0).count() > 1, "{keys:?}");

    let refused = first_write(&member(settings(&addresses))).unwrap_err();
    assert!(refused.contains("ertificate") || refused.contains("UnknownIssuer"), "{refused}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_wants_a_certificate_of_its_clients_gets_it() {
    let place = Redis::start();
    let Files { authority: trusted, certificate, key, mut arguments } = Files::in_folder(place.folder());
    "yes".clone_into(&mut arguments[1]);
    let port = free_port_of_redis().to_string();
    let redis = Redis::start_with(&with(&["--tls-port", &port], &arguments));
    let settings = || FleetSettings::new(&format!("rediss://127.0.0.1:{port}/0")).unwrap();
    let trusting = || settings().trusted_authorities(trusted.as_bytes()).unwrap();
    let shown = trusting().client_certificate(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(first_write(&member(shown)), Ok(()));
    assert!(redis.cli(&["keys", "metrics:tls:0:a-*"]).starts_with("metrics:tls:0:a-"));
    // In either order.
    let shown = settings().client_certificate(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(first_write(&member(shown.trusted_authorities(trusted.as_bytes()).unwrap())), Ok(()));
    let refused = first_write(&member(trusting())).unwrap_err();
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
}

#[test]
fn a_client_certificate_is_refused_without_its_key_or_without_tls_and_not_repeated() {
    let Certificates { certificate, key, .. } = Certificates::new(&["a"]);
    let refused = |address: &str, certificate: &str, key: &str| {
        let settings = FleetSettings::new(address).unwrap();
        settings.client_certificate(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    };
    assert!(refused("rediss://a", "hunter2", &key).contains("allowed: PEM with at least one certificate"));
    assert!(refused("rediss://a", &certificate, "hunter2").contains("allowed: a private key in PEM"));
    assert!(refused("redis://a", &certificate, &key).contains("only with a rediss:// address"));
}

#[test]
fn authorities_are_refused_without_a_certificate_or_without_tls() {
    let refused = |address: &str, pem: &str| {
        FleetSettings::new(address).unwrap().trusted_authorities(pem.as_bytes()).unwrap_err().to_string()
    };
    assert!(refused("rediss://a", "hello").contains("allowed: PEM with at least one certificate"));
    assert!(refused("redis://a", &another()).contains("only with a rediss:// address"));
    assert!(refused("redis+sentinel://a:1,b:2/m", &another()).contains("only with a rediss:// address"));
}
