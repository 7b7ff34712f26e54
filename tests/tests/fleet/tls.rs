//! A Redis that speaks TLS, with a certificate of a private authority.

use std::thread::sleep;
use std::time::{Duration, Instant};

use metrics_core::Registry;
use metrics_export::fleet::redis::{Member, Question, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::redis::{Redis, free_port};

/// Who vouches for others: the certificate in PEM, and what it signs with.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(parameters, key))
}

fn member(settings: Settings) -> Member {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 350_000);
    let settings = settings.service("tls").instance("a").interval(Duration::from_millis(300));
    Member::start(registry, settings).unwrap()
}

/// Waits until the member wrote, or failed to. Gives why.
fn first_write(member: &Member) -> Result<(), String> {
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
fn a_server_is_trusted_for_its_authority_and_refused_for_any_other() {
    let (trusted, issuer) = authority();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    // The first one gives a folder for the files.
    let place = Redis::start();
    let file = |name: &str, text: &str| {
        let path = place.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let files =
        [file("server.pem", &leaf.pem()), file("key.pem", &key.serialize_pem()), file("ca.pem", &trusted)];
    let port = free_port().to_string();
    let arguments = ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file", &files[0]];
    let files = ["--tls-key-file", &files[1], "--tls-ca-cert-file", &files[2]];
    let redis = Redis::start_with(&[&arguments[..], &files].concat());
    let settings = || Settings::new(&format!("rediss://127.0.0.1:{port}/0")).unwrap();

    let member_of_it = member(settings().trusted_authorities(trusted.as_bytes()).unwrap());
    assert_eq!(first_write(&member_of_it), Ok(()));
    let answer = member_of_it.ask(Question::SinceReset).unwrap();
    assert_eq!(answer.summary.as_ref().unwrap().total.calls, 1);
    assert!(redis.cli(&["keys", "metrics:tls:0:a-*"]).starts_with("metrics:tls:0:a-"));

    let other = member(settings().trusted_authorities(authority().0.as_bytes()).unwrap());
    let refused = first_write(&other).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    // Whom the system trusts does not vouch for it either.
    let refused = first_write(&member(settings())).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    // Nor for another host.
    let elsewhere = Settings::new(&format!("rediss://localhost:{port}/0")).unwrap();
    let elsewhere = elsewhere.trusted_authorities(trusted.as_bytes()).unwrap();
    let refused = first_write(&member(elsewhere)).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
fn authorities_that_are_none_are_refused_and_so_are_those_of_an_address_without_tls() {
    let refused = |address: &str, pem: &str| {
        Settings::new(address).unwrap().trusted_authorities(pem.as_bytes()).unwrap_err().to_string()
    };
    assert!(refused("rediss://a", "hello").contains("there is no certificate"));
    assert!(refused("redis://a", &authority().0).contains("authorities are for rediss"));
    assert!(refused("redis+sentinel://a:1,b:2/m", &authority().0).contains("authorities are for rediss"));
}
