//! promtool finds nothing to say about names, types and help.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use metrics_core::{Outcome, Registry};
use metrics_export::prometheus::{Exposition, Format, Names};

#[test]
#[ignore = "needs promtool: apt install prometheus"]
fn promtool_finds_nothing_wrong_with_names_types_and_help() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let item = registry.endpoint("GET", "/items/{id}");
    for outcome in [Outcome::Status(200), Outcome::Status(503), Outcome::Aborted, Outcome::Panicked] {
        recorder.record_outcome(item, outcome, Duration::from_millis(3));
    }
    recorder.record_consumer(registry.consumer("ann"), Outcome::Status(200), Duration::from_millis(3));
    for names in [Names::Prometheus, Names::OpenTelemetry] {
        let exposition =
            Exposition::builder().names(names).constant_label("env", "a\"\\\nb").top_consumers(5);
        let mut text = Vec::new();
        exposition.build().unwrap().render(&registry.snapshot(), Format::Text, &mut text);
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
