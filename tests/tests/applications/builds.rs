//! What an application is built from and what it sends, with and without the monitor: neither may change.
//!
//! Cargo builds each dependency once, with the features that anybody asks for. A feature that the monitor turns on in
//! a crate that the application uses, too, is on in the application.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The features of actix-web that the application uses: all that compile no C.
const ACTIX_WEB: &str = r#"["compress-gzip", "cookies", "http2", "macros", "unicode", "rustls-0_23"]"#;

/// The monitor's features that bring a crypto provider. With two in a build, rustls chooses none by itself, so
/// each has a twin that takes the application's own.
const WITH_PROVIDER: [&str; 2] = ["tls", "redis-tls"];

/// Features of shared crates that the monitor turns on, and why nobody notices. `default` is a list of others, and
/// `std` and `alloc` are more of a crate's interface; these three need no row.
const HARMLESS: &[(&str, &str, &str)] = &[
    (
        "futures-util",
        "async-await async-await-macro futures-macro futures-sink sink",
        "more of its interface",
    ),
    ("hyper", "http2", "a connection is HTTP/2 only where its user builds one"),
    ("opentelemetry", "metrics", "more of its interface"),
    ("opentelemetry-proto", "gen-tonic-messages metrics prost", "more messages"),
    ("opentelemetry_sdk", "metrics", "more of its interface"),
    ("redis", "cluster tls-rustls", "used for other addresses only"),
    ("rustls", "log logging", "lines of the log crate at the levels debug and trace"),
    ("rustls", "tls12", "what a server without it refuses; docs/getting-started.md says so"),
    ("sentry-types", "protocol", "more of its interface"),
    ("serde", "rc", "more types that can be written"),
    ("serde_core", "rc", "the same"),
    ("serde_spanned", "serde", "more types that can be written"),
    ("sysinfo", "network objc2-io-kit system", "more of its interface"),
    ("tokio-rustls", "logging tls12", "those of rustls"),
    ("toml", "parse serde", "more of its interface"),
    ("toml_datetime", "serde", "more types that can be written"),
    (
        "tonic",
        "channel gzip h2 _tls-any tls-connect-info tls-webpki-roots",
        "used where a channel asks for it",
    ),
    (
        "tower",
        "balance buffer discover futures-core futures-util indexmap limit load load-shed make pin-project-lite \
         ready-cache slab sync_wrapper tokio tokio-util tracing util",
        "more of its interface",
    ),
    ("ureq", "_rustls _tls rustls-no-provider rustls-webpki-roots", "https, which is an error without them"),
];

/// The codings that actix-web's `Compress` has in pure Rust.
const CODINGS: [&str; 3] = ["identity", "gzip", "deflate"];

/// A package and its version, with the features that are on.
type Features = BTreeMap<String, BTreeSet<String>>;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a workspace")
}

/// An application in a directory of its own, with the workspace's versions.
struct Application {
    folder: PathBuf,
}

impl Application {
    /// Depends on these crates, as lines of a manifest.
    fn new(name: &str, dependencies: &str, source: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"application\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\nactix-web = {{ version = \"4\", default-features = false, features = {ACTIX_WEB} }}\n\
             {dependencies}"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), source).unwrap();
        fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Self { folder }
    }

    /// Builds and runs it. Returns the body of `/orders` in each coding, as it was sent.
    fn answers(&self) -> Vec<Vec<u8>> {
        // One directory for both: crates with the same features are built once.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("applications");
        let build = ["build", "--offline", "--quiet"];
        let mut cargo = Command::new(env!("CARGO"));
        let built = cargo.args(build).current_dir(&self.folder).env("CARGO_TARGET_DIR", &target).status();
        assert!(built.unwrap().success());
        let mut service = Command::new(target.join("debug/application"));
        let mut service = service.stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(service.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let get = |coding: &&str| {
            let mut connection = TcpStream::connect(address.trim()).unwrap();
            let head = "host: test\r\nconnection: close\r\naccept-encoding";
            write!(connection, "GET /orders HTTP/1.1\r\n{head}: {coding}\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).unwrap();
            let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
            answer.split_off(body + 4)
        };
        let answers = CODINGS.iter().map(get).collect();
        service.kill().unwrap();
        service.wait().unwrap();
        answers
    }

    /// The features of all crates that the application is built from.
    fn features(&self) -> Features {
        let tree = ["tree", "--offline", "--edges=normal,build", "--prefix=none", "--format={p}|{f}"];
        let output = Command::new(env!("CARGO")).args(tree).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found = Features::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (package, features) = line.split_once('|').unwrap();
            let package = package.split(' ').take(2).collect::<Vec<_>>().join(" ");
            let features = features.trim_end_matches("(*)").trim().split(',').filter(|name| !name.is_empty());
            found.entry(package).or_default().extend(features.map(str::to_owned));
        }
        found
    }
}

/// The dependency on the monitor.
fn monitor(features: &[String]) -> String {
    let path = workspace().join("metrics-actix");
    format!("metrics-actix = {{ path = {path:?}, features = {features:?} }}\n")
}

/// The names of the monitor's features.
fn features() -> Vec<String> {
    let manifest = fs::read_to_string(workspace().join("metrics-actix/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    manifest["features"].as_table().unwrap().keys().filter(|name| *name != "default").cloned().collect()
}

/// The features that the monitor turns on in crates that the application uses itself.
fn turned_on(name: &str, features: &[String]) -> BTreeSet<(String, String)> {
    let monitored = Application::new(name, &monitor(features), "").features();
    // An application that uses all of the monitor's crates itself, each with no feature more than it has to.
    let mut dependencies = String::new();
    for (i, package) in monitored.keys().enumerate() {
        let (package, version) = package.split_once(" v").unwrap();
        if !package.contains("metrics-") && !["application", "actix-web"].contains(&package) {
            dependencies += &format!(
                "x{i} = {{ package = {package:?}, version = \"={version}\", default-features = false }}\n"
            );
        }
    }
    let plain = Application::new(&format!("{name}-plain"), &dependencies, "").features();
    let both = Application::new(&format!("{name}-both"), &(dependencies + &monitor(features)), "").features();
    let mut turned_on = BTreeSet::new();
    for (package, features) in &both {
        let Some(before) = plain.get(package) else { continue };
        let name = package.split(' ').next().unwrap();
        turned_on.extend(features.difference(before).map(|feature| (name.to_owned(), feature.clone())));
    }
    assert!(plain.len() > 50, "{plain:?}");
    turned_on
}

fn is_harmless((package, feature): &(String, String)) -> bool {
    let row = |(name, features, _): &(&str, &str, &str)| {
        name == package && features.split_whitespace().any(|harmless| harmless == feature)
    };
    ["default", "std", "alloc"].contains(&feature.as_str()) || HARMLESS.iter().any(row)
}

#[test]
fn no_feature_of_a_shared_crate_is_turned_on_that_changes_what_others_do() {
    let all: Vec<_> = features().into_iter().filter(|name| !WITH_PROVIDER.contains(&name.as_str())).collect();
    let mut needed = BTreeSet::new();
    for (name, features) in [("default", Vec::new()), ("everything", all)] {
        let turned_on = turned_on(name, &features);
        let unknown: Vec<_> = turned_on.iter().filter(|feature| !is_harmless(feature)).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        needed.extend(turned_on);
    }
    for (package, features, _) in HARMLESS {
        for feature in features.split_whitespace() {
            assert!(
                needed.contains(&((*package).to_owned(), feature.to_owned())),
                "{package}/{feature} is not used"
            );
        }
    }
}

#[test]
fn the_features_for_tls_bring_ring_and_nothing_else_that_their_twins_do_not() {
    let of = |suffix: &str| WITH_PROVIDER.map(|name| format!("{name}{suffix}")).to_vec();
    let twins = turned_on("no-provider", &of("-no-provider"));
    let turned_on = turned_on("ring", &of(""));
    let brought: Vec<_> =
        turned_on.difference(&twins).map(|(name, feature)| format!("{name}/{feature}")).collect();
    let (ring, others): (Vec<_>, Vec<_>) =
        brought.into_iter().partition(|feature| feature.starts_with("ring/") || feature.ends_with("/ring"));
    assert!(ring.contains(&"rustls/ring".to_owned()) && others.is_empty(), "{ring:?} {others:?}");
}

/// The gzip'd, deflated and plain answers of an application.
const SOURCE: &str = r#"
use actix_web::{App, HttpServer, middleware::Compress, web};

async fn orders() -> web::Json<Vec<String>> {
    web::Json((0..4_000_u32).map(|i| format!("order {i} of customer {}", i.wrapping_mul(2_654_435_761) >> 7)).collect())
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    MONITOR
    let server = HttpServer::new(move || App::new().route("/orders", web::get().to(orders)).wrap(Compress::default())WRAP);
    let server = server.workers(1).bind("127.0.0.1:0")?;
    println!("{}", server.addrs()[0]);
    server.run().await
}
"#;

#[test]
#[ignore = "needs minutes: builds an application twice"]
fn an_application_sends_the_same_bytes_with_and_without_the_monitor() {
    let answers = |name: &str, dependencies: &str, build: &str, wrap: &str| {
        let source = SOURCE.replace("MONITOR", build).replace("WRAP", wrap);
        Application::new(name, dependencies, &source).answers()
    };
    let plain = answers("sends-plain", "", "", "");
    let build = "let metrics = metrics_actix::Metrics::builder(\"orders\").build().unwrap();";
    let monitored = answers("sends-monitored", &monitor(&[]), build, ".wrap(metrics.middleware())");
    assert_eq!(plain.len(), CODINGS.len());
    for (coding, (plain, monitored)) in CODINGS.iter().zip(plain.iter().zip(&monitored)) {
        assert!(plain.len() > 20_000, "{coding}: {} bytes", plain.len());
        assert!(plain == monitored, "{coding}: {} bytes without, {} with", plain.len(), monitored.len());
    }
}
