//! Checks by Python: Prometheus' text parsers, its protobuf schema, and Grafana's schema of dashboards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metrics_core::{Outcome, Recorder, Registry, TraceId};
use metrics_export::prometheus::{Exposition, Format};
use tests::Folder;

use crate::deployed::DEPLOY;

/// The path of Prometheus' schema on Debian.
const SCHEMA: &str =
    "/usr/share/gocode/src/github.com/prometheus/client_model/io/prometheus/client/metrics.proto";

/// The number of routes in a registry: half of the hundred thousand.
const ROUTES: usize = 50_000;

/// Runs a script in this folder, which must succeed.
fn run(script: &str, arguments: &[&Path]) {
    let python = std::env::var_os("METRICS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scrapers").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let tail: String = said.chars().skip(said.chars().count().saturating_sub(2_000)).collect();
    assert!(output.status.success(), "{tail}");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// Returns a text of up to 256 bytes that tries to break out of a quoted value, or that looks like syntax.
fn hostile(random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 20] = [
        "\\",
        "\"",
        "\n",
        "\\n",
        "\\\"",
        "\r",
        "\r\n",
        "\0",
        "# EOF\n",
        "} 1\n",
        "\",le=\"+Inf",
        "{",
        ",",
        "\u{202e}",
        "עברית",
        "\u{2028}",
        "\u{85}",
        "\u{feff}",
        " ",
        "\t",
    ];
    let mut text = String::new();
    let longest = if random.u8(..) == 0 { 256 } else { 24 };
    loop {
        let piece = match random.u8(..4) {
            0 => random.char(..).to_string(),
            1 => random.alphanumeric().to_string(),
            _ => PIECES[random.usize(..PIECES.len())].to_owned(),
        };
        if text.len() + piece.len() > longest {
            return text;
        }
        text.push_str(&piece);
    }
}

/// Returns a registry with hostile routes, and the number of calls of each.
fn registry(random: &mut fastrand::Rng) -> (Registry, BTreeMap<String, u64>) {
    let registry = Registry::builder().max_series(ROUTES).build().unwrap();
    while registry.health().endpoints < ROUTES as u64 {
        let (endpoint, calls) = (registry.endpoint("GET", &hostile(random)), random.u64(1..4));
        (0..calls).for_each(|_| registry.record_nanos(endpoint, 200, random.u64(..1 << 34)));
    }
    // As the registry names them: without hidden characters.
    let snapshot = registry.snapshot();
    let routes = snapshot.endpoints().map(|endpoint| (endpoint.name().route.to_string(), endpoint.calls()));
    let routes = routes.filter(|(_, calls)| *calls > 0).collect();
    (registry, routes)
}

/// Writes the input files of a script: the routes, and the exposition in each format.
fn files(folder: &Folder, random: &mut fastrand::Rng, formats: &[Format]) -> Vec<std::path::PathBuf> {
    let (registry, routes) = registry(random);
    registry.counter("jobs").unwrap().add(3);
    registry.gauge("depth").unwrap().set(-1.5e-7);
    registry.hit_ratio("cache").unwrap().hit();
    registry.timer("db").unwrap().record(Duration::from_millis(20));
    let failed = registry.endpoint("GET", routes.keys().next().unwrap());
    let keep = |recorder: &Recorder| {
        let trace = TraceId::new(7).unwrap();
        recorder.keep_exemplar(failed, Outcome::Status(200), Duration::from_millis(500), trace);
    };
    registry.with_recorder(keep);
    let exposition = Exposition::builder().duration_bounds([0.1, 1.0]).created(true).build().unwrap();
    let expected = folder.path().join("routes.json");
    fs::write(&expected, serde_json::to_string(&routes).unwrap()).unwrap();
    let mut files = vec![expected];
    let mut buffer = Vec::new();
    for format in formats {
        exposition.render(&registry.snapshot(), *format, &mut buffer);
        files.push(folder.path().join(format!("{format:?}")));
        fs::write(&files[files.len() - 1], &buffer).unwrap();
    }
    files
}

#[test]
#[ignore = "needs Python with prometheus-client, and a few minutes"]
fn both_text_formats_round_trip_a_hundred_thousand_hostile_labels() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2 {
        let folder = Folder::new("scrapers");
        let files = files(&folder, &mut random, &[Format::Text, Format::OpenMetrics]);
        run("read_text.py", &[&files[0], &files[1], &files[2]]);
    }
}

#[test]
#[ignore = "needs Python with grpcio-tools, and Debian's golang-github-prometheus-client-model-dev"]
fn protobuf_round_trips_a_hundred_thousand_hostile_labels() {
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..2 {
        let folder = Folder::new("scrapers");
        let files = files(&folder, &mut random, &[Format::Protobuf]);
        run("read_protobuf.py", &[&files[0], Path::new(SCHEMA), &files[1]]);
    }
}

#[test]
#[ignore = "needs Python with grafana-foundation-sdk"]
fn the_dashboard_conforms_to_grafanas_schema() {
    run("read_dashboard.py", &[&Path::new(DEPLOY).join("grafana/dashboards/http.json")]);
}
