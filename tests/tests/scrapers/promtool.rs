//! promtool accepts names, types and help texts.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use metrics_core::{Outcome, Registry};
use metrics_export::prometheus::{Denied, Exposition, Format, Names, Resources};
use metrics_export::push::ExporterCounts;

#[test]
#[ignore = "needs promtool: apt install prometheus"]
fn promtool_accepts_names_types_and_help_texts() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let item = registry.endpoint("GET", "/items/{id}");
    for outcome in [Outcome::Status(200), Outcome::Status(503), Outcome::Aborted, Outcome::Panicked] {
        recorder.record_outcome(item, outcome, Duration::from_millis(3));
    }
    recorder.record_consumer(registry.consumer("ann"), Outcome::Status(200), Duration::from_millis(3));
    registry.counter("jobs").unwrap().add(7);
    registry.counter("http_jobs_total").unwrap().add(7);
    registry.gauge("queue_length").unwrap().set(-1.25);
    registry.hit_ratio("cache").unwrap().hit();
    registry.unique("users").unwrap().insert("ann");
    registry.timer("db").unwrap().record(Duration::from_millis(20));
    for value in ["mail", "a\"\\\nb {,}", "\u{4f59}"] {
        registry.counter("jobs").unwrap().with_labels([("queue", value), ("env", value)]).add(7);
        registry.gauge("queue_length").unwrap().with("queue", value).set(-1.25);
        registry.hit_ratio("cache").unwrap().with("le", value).hit();
        registry.timer("db").unwrap().with("__name__", value).record(Duration::from_millis(20));
    }
    let second = Some(Duration::from_secs(1));
    let resources = Resources {
        cpu_time: second,
        resident_bytes: Some(1),
        virtual_bytes: Some(1),
        open_files: Some(1),
        max_files: Some(1),
        threads: Some(1),
        started: Some(std::time::SystemTime::now()),
        network_received_bytes: Some(1),
        network_sent_bytes: Some(1),
        event_loop_lag: second,
        ticks: Some(1),
        tick_time: second,
        scrapes_kept_bytes: Some(1),
        history_bytes: Some(1),
        shard_bytes: Some(1),
        error_groups_bytes: Some(1),
        denied: Some(Denied::default()),
    };
    let exporters = [ExporterCounts { exporter: "otlp".to_owned(), ..ExporterCounts::default() }];
    for names in [Names::Prometheus, Names::OpenTelemetry] {
        let exposition =
            Exposition::builder().names(names).constant_label("env", "a\"\\\nb").top_consumers(5);
        let mut text = Vec::new();
        let exposition = exposition.build().unwrap();
        exposition.render_with(&registry.snapshot(), &resources, &exporters, Format::Text, &mut text);
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool starts");
        promtool.stdin.take().unwrap().write_all(&text).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
}
