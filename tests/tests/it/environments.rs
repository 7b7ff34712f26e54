//! Environments that others set up: whatever is in them, the service starts.
//!
//! This program runs itself again, since the environment of a process is better not changed.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use log::{Log, Metadata, Record};
use metrics_actix::Metrics;
use metrics_actix::datadog::Datadog;
use metrics_actix::elasticsearch::Elasticsearch;
use metrics_actix::otlp::Otlp;
use metrics_actix::sentry::Sentry;

/// Writes lines of the log to stdout.
struct Stdout;

impl Log for Stdout {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Not what is sent meanwhile.
        if record.target() == "metrics_export::environment" {
            println!("LOG {} {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

#[test]
#[ignore = "needs an environment, which the other tests set up"]
fn build_a_monitor_in_this_environment() {
    log::set_logger(&Stdout).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let builder = Metrics::builder("shop")
        .exporter(Otlp::builder().from_env().build().unwrap())
        .exporter(Datadog::builder().from_env().build().unwrap())
        .exporter(Sentry::builder().from_env().build().unwrap())
        .exporter(Elasticsearch::builder("http://elastic:9200").build().unwrap());
    let metrics = builder.build().unwrap();
    for counts in metrics.exporters() {
        println!("EXPORTER {} {}", counts.exporter, counts.off.as_deref().unwrap_or("on"));
    }
}

/// Builds a monitor in this environment alone. Returns what was logged, and for each exporter why it is off, or "on".
fn built(variables: &[(&str, &OsStr)]) -> (Vec<String>, [String; 4]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "environments::build_a_monitor_in_this_environment", "--ignored", "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{variables:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("hunter2"), "{variables:?}: {said}");
    let lines = |kind| said.lines().filter_map(move |line| line.split_once(kind)).map(|(_, line)| line);
    let exporters = ["otlp", "datadog", "sentry", "elasticsearch"].map(|name| {
        let of = lines("EXPORTER ").find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        of.unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
    });
    (lines("LOG ").map(str::to_owned).collect(), exporters)
}

const DSN: (&str, &str) = ("SENTRY_DSN", "http://hunter2@127.0.0.1:9/1");

/// Whether the exporters of OTLP, Datadog, Sentry and Elasticsearch are on.
type On = [bool; 4];

const ALL: On = [true; 4];

#[test]
fn whatever_the_environment_has_the_service_starts_and_says_what_it_left_out() {
    let cases: [(&str, &str, On, &str); 22] = [
        ("X", "", ALL, ""),
        (
            "OTEL_SDK_DISABLED",
            "true",
            [false, true, true, true],
            "INFO otlp is off: OTEL_SDK_DISABLED is true",
        ),
        ("OTEL_SDK_DISABLED", "yes", ALL, "WARN otlp: OTEL_SDK_DISABLED is \"yes\"; allowed: true, false"),
        (
            "OTEL_METRICS_EXPORTER",
            "none",
            [false, true, true, true],
            "INFO otlp is off: OTEL_METRICS_EXPORTER is none",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", ALL, ""),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP", ALL, ""),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/json",
            ALL,
            "WARN otlp: OTEL_EXPORTER_OTLP_PROTOCOL is \"http/json\"; allowed: http/protobuf, grpc; it is ignored",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=50%",
            ALL,
            "WARN otlp: OTEL_RESOURCE_ATTRIBUTES is \"team=50%\"; allowed: key=value",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp?token=hunter2", ALL, ""),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "hunter2:4318",
            [false, true, true, true],
            "WARN otlp is off: OTEL_EXPORTER_OTLP_ENDPOINT: the URL does not begin with http://",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "hunter2",
            [false, true, true, true],
            "WARN otlp is off: OTEL_EXPORTER_OTLP_HEADERS is invalid; allowed: key=value",
        ),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/nowhere/ca.pem",
            [false, true, true, true],
            "WARN otlp is off: OTEL_EXPORTER_OTLP_CERTIFICATE is \"/nowhere/ca.pem\"; allowed: a file that can be read",
        ),
        (
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "/run/secrets/key.pem",
            ALL,
            "WARN otlp: OTEL_EXPORTER_OTLP_CLIENT_KEY is set, but client certificates are not supported; it is ignored",
        ),
        ("SENTRY_DSN", "", [true, true, false, true], "INFO sentry is off: no Sentry DSN"),
        (
            "SENTRY_DSN",
            "hunter2",
            [true, true, false, true],
            "WARN sentry is off: SENTRY_DSN is not a Sentry DSN",
        ),
        (
            "SENTRY_RELEASE",
            "a/b@1",
            ALL,
            "WARN sentry: SENTRY_RELEASE is \"a/b@1\"; allowed: 1 to 200 characters",
        ),
        (
            "DD_TRACE_AGENT_PORT",
            "tcp://10.0.0.1:8126",
            ALL,
            "WARN datadog: DD_TRACE_AGENT_PORT is \"tcp://10.0.0.1:8126\"; allowed: 1 to 65535; it is ignored",
        ),
        ("DD_TRACE_AGENT_URL", "unix:/run/datadog/apm.socket", ALL, ""),
        (
            "DD_TRACE_AGENT_URL",
            "agent:hunter2",
            [true, false, true, true],
            "WARN datadog is off: DD_TRACE_AGENT_URL: the URL does not begin with http://",
        ),
        ("DD_TRACE_SAMPLE_RATE", "2", ALL, "WARN datadog: DD_TRACE_SAMPLE_RATE is \"2\"; allowed: 0 to 1"),
        // Only Elasticsearch is elsewhere.
        (
            "ALL_PROXY",
            "socks5://a:hunter2@p:1",
            [true, true, true, false],
            "WARN elasticsearch is off: ALL_PROXY: the proxy does not speak HTTP; allowed: http://[user:password@]host[:port]",
        ),
        ("HTTPS_PROXY", "socks5://p:1", ALL, ""),
    ];
    for (name, value, on, logged) in cases {
        let (log, exporters) = built(&[(DSN.0, DSN.1.as_ref()), (name, value.as_ref())]);
        assert_eq!(exporters.each_ref().map(|state| state == "on"), on, "{name}={value:?}: {exporters:?}");
        let said = format!("{name}={value:?}: {log:?}");
        assert_eq!(log.len(), usize::from(!logged.is_empty()), "{said}");
        assert!(log.iter().all(|line| line.starts_with(logged)), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_left_out_or_keeps_its_destination_off() {
    use std::os::unix::ffi::OsStringExt;
    let not_text = OsString::from_vec(b"caf\xe9".to_vec());
    for (name, on) in [
        ("OTEL_SERVICE_NAME", ALL),
        ("OTEL_RESOURCE_ATTRIBUTES", ALL),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", ALL),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", [false, true, true, true]),
        ("OTEL_EXPORTER_OTLP_HEADERS", [false, true, true, true]),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", [false, true, true, true]),
        ("DD_SERVICE", ALL),
        ("DD_TAGS", ALL),
        ("DD_AGENT_HOST", [true, false, true, true]),
        ("DD_TRACE_AGENT_PORT", [true, false, true, true]),
        ("DD_TRACE_AGENT_URL", [true, false, true, true]),
        ("SENTRY_DSN", [true, true, false, true]),
        ("SENTRY_ENVIRONMENT", ALL),
        ("HOSTNAME", ALL),
        ("http_proxy", [true, true, true, false]),
    ] {
        let dsn = (DSN.0, DSN.1.as_ref());
        let (log, exporters) = built(&[dsn, (name, &not_text)]);
        assert_eq!(exporters.each_ref().map(|state| state == "on"), on, "{name}: {exporters:?}");
        assert_eq!(log.len(), 1, "{name}: {log:?}");
        assert!(log[0].starts_with("WARN ") && log[0].contains(name), "{name}: {log:?}");
    }
}
