//! The parsers of Python's client, the official schema of protobuf, and Grafana's of dashboards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metrics_core::{Outcome, Recorder, Registry, TraceId};
use metrics_export::prometheus::{Exposition, Format};

use crate::prometheus::{DEPLOY, Folder};

/// Where Debian puts Prometheus' own schema.
const SCHEMA: &str =
    "/usr/share/gocode/src/github.com/prometheus/client_model/io/prometheus/client/metrics.proto";

/// As many as a registry holds.
const HALF: usize = 50_000;

/// Runs one of the scripts beside this file; it must succeed.
fn run(script: &str, arguments: &[&Path]) {
    let python = std::env::var_os("METRICS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scrapers").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let tail: String = said.chars().skip(said.chars().count().saturating_sub(2_000)).collect();
    assert!(output.status.success(), "{tail}");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// A text that tries to end what it is in, or to look like something else, of up to 256 bytes.
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

/// A registry with hostile routes, and how often each was called.
fn registry(random: &mut fastrand::Rng) -> (Registry, BTreeMap<String, u64>) {
    let registry = Registry::builder().max_series(HALF).build().unwrap();
    let mut routes = BTreeMap::new();
    while routes.len() < HALF {
        let route = hostile(random);
        if routes.contains_key(&route) {
            continue;
        }
        let (endpoint, calls) = (registry.endpoint("GET", &route), random.u64(1..4));
        (0..calls).for_each(|_| registry.record_nanos(endpoint, 200, random.u64(..1 << 34)));
        routes.insert(route, calls);
    }
    (registry, routes)
}

/// Writes the files that a script reads: the routes, and the exposition in each of the formats.
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
#[ignore = "needs Python with prometheus-client, and some minutes"]
fn a_hundred_thousand_hostile_labels_come_back_from_both_texts() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2 {
        let folder = Folder::new();
        let files = files(&folder, &mut random, &[Format::Text, Format::OpenMetrics]);
        run("read_text.py", &[&files[0], &files[1], &files[2]]);
    }
}

#[test]
#[ignore = "needs Python with grpcio-tools, and Debian's golang-github-prometheus-client-model-dev"]
fn a_hundred_thousand_hostile_labels_come_back_from_protobuf() {
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..2 {
        let folder = Folder::new();
        let files = files(&folder, &mut random, &[Format::Protobuf]);
        run("read_protobuf.py", &[&files[0], Path::new(SCHEMA), &files[1]]);
    }
}

#[test]
#[ignore = "needs Python with grafana-foundation-sdk"]
fn the_dashboard_is_what_grafanas_schema_says() {
    run("read_dashboard.py", &[&Path::new(DEPLOY).join("grafana/dashboards/http.json")]);
}
