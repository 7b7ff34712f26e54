//! The files in `deploy` only name families that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use metrics_actix::prometheus::{Denied, Exposition, Format, Resources};
use metrics_core::alert::{Comparison, Metric, Rule, Severity};
use metrics_core::{Registry, Window};

/// All words of a text that look like one of our families and are not part of a recorded name.
fn families(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let begins = ["http_", "metrics_core_", "process_", "host_", "event_loop_"];
    let ours = |word: &&str| begins.iter().any(|begin| word.starts_with(begin));
    // Prefixes alone are what the dashboard's own metrics do not have.
    let words = text.split(|c| !word(c)).filter(|word| !begins.contains(word));
    words.filter(ours).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_name_only_exposed_families() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 1_000);
    let mut exposed = Vec::new();
    let (second, one) = (Some(Duration::from_secs(1)), Some(1));
    let resources = Resources {
        cpu_time: second,
        resident_bytes: one,
        virtual_bytes: one,
        open_files: one,
        max_files: one,
        threads: one,
        started: Some(SystemTime::now()),
        network_received_bytes: one,
        network_sent_bytes: one,
        event_loop_lag: second,
        ticks: one,
        tick_time: second,
        scrapes_kept_bytes: one,
        history_bytes: one,
        shard_bytes: one,
        error_groups_bytes: one,
        denied: Some(Denied::default()),
    };
    Exposition::new().render_with(&registry.snapshot(), &resources, &[], Format::Text, &mut exposed);
    let exposed = families(&String::from_utf8(exposed).unwrap());
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    for file in ["rules.yml", "rules_test.yml", "grafana/dashboards/http.json"] {
        let used = families(&fs::read_to_string(deploy.join(file)).unwrap());
        let unknown: Vec<_> = used.difference(&exposed).collect();
        assert!(used.len() >= 3 && unknown.is_empty(), "{file} has {unknown:?} of {used:?}");
    }
    let dashboard = fs::read_to_string(deploy.join("grafana/dashboards/http.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert_eq!(dashboard["uid"], "metrics-http");
}

#[test]
fn the_alerts_are_the_default_alerts_of_a_monitor() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rules.yml");
    let rules = fs::read_to_string(rules).unwrap();
    let alerts: Vec<_> = rules.split("- alert: ").skip(1).collect();
    let defaults = Rule::defaults();
    assert_eq!(alerts.len(), defaults.len());
    for (alert, rule) in alerts.iter().zip(defaults) {
        let (name, figure, unit) = match rule.metric {
            Metric::ErrorRate => ("HttpErrorRateHigh", "job:http_errors:ratio_rate5m", 0.01),
            Metric::Average => ("HttpAverageDurationHigh", "job:http_request_duration_seconds:avg5m", 1.0),
            Metric::P95 => ("HttpP95DurationHigh", "job:http_request_duration_seconds:p95_5m", 1.0),
            Metric::ServerErrors => ("HttpErrorsMany", "job:http_server_errors:increase5m", 1.0),
            Metric::ConsecutiveErrors => ("HttpErrorsInARow", "job:http_errors_in_a_row:increase5m", 1.0),
            Metric::WrongTokens => ("MetricsWrongTokens", "job:metrics_wrong_tokens:increase5m", 1.0),
            metric => panic!("{metric:?} has no figure"),
        };
        let compares = match rule.comparison {
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            comparison => panic!("{comparison:?} has no sign"),
        };
        let severity = if rule.severity == Severity::Critical { "critical" } else { "warning" };
        let begins = format!("{figure} {compares} {}", rule.threshold * unit);
        let mut parts = vec![
            if rule.min_calls > 0 {
                format!("({begins} and on (job) job:http_calls:rate5m * 300 >= {})", rule.min_calls)
            } else {
                format!(" {begins}\n")
            },
            format!(
                "({figure} {compares} {} and on (job) ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}})",
                rule.clear * unit
            ),
            format!("severity: {severity}\n"),
        ];
        if !rule.for_duration.is_zero() {
            parts.push(format!("for: {}s\n", rule.for_duration.as_secs()));
        }
        assert_eq!(rule.window, Window::FiveMinutes);
        assert_eq!(alert.contains("for: "), !rule.for_duration.is_zero(), "{alert}");
        assert!(alert.starts_with(&format!("{name}\n")), "{alert}");
        parts.iter().for_each(|part| assert!(alert.contains(part), "{part:?} is not in {alert}"));
    }
}

#[test]
#[cfg(unix)]
fn the_files_are_rendered_for_a_service_of_another_name() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let folder = tests::Folder::new("render");
    let to = folder.path().join("orders");
    let render = |name: &str| {
        let mut render = std::process::Command::new("bash");
        let render = render.arg(deploy.join("render.sh")).args([name, "10.0.0.7:9000", "--to"]).arg(&to);
        render.output().expect("bash starts")
    };
    assert_eq!(render("or/ders").status.code(), Some(2));
    assert!(render("orders").status.success());
    assert!(!render("orders").status.success(), "what is there is not overwritten");
    let read = |file: &str| fs::read_to_string(to.join(file)).unwrap();
    let rules = read("rules.yml");
    assert!(rules.matches("job=\"orders\"").count() > 10 && !rules.contains("job=~\".+\""), "{rules}");
    let prometheus = read("prometheus.yml");
    assert!(
        prometheus.contains("job_name: orders") && prometheus.contains("[\"10.0.0.7:9000\"]"),
        "{prometheus}"
    );
    let compose = read("docker-compose.yml");
    assert!(
        !compose.contains("cargo") && compose.contains("grafana:") && compose.contains("prometheus:"),
        "{compose}"
    );
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana/dashboards/http.json")).unwrap();
    assert_eq!((&dashboard["uid"], &dashboard["title"]), (&"metrics-orders".into(), &"orders".into()));
    let service = &dashboard["templating"]["list"][1]["query"]["query"];
    assert_eq!(service, "label_values(metrics_core_endpoints{job=\"orders\"}, job)");
}

#[test]
fn every_selector_of_the_rules_has_the_job_that_render_replaces() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rules.yml");
    let rules = fs::read_to_string(rules).unwrap();
    let selected = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    let selectors: Vec<_> = selected
        .flat_map(|line| line.match_indices('{').map(|(at, _)| line.split_at(at)).collect::<Vec<_>>())
        .filter(|(before, _)| before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        .filter(|(before, _)| !before.ends_with("ALERTS"))
        .collect();
    assert!(selectors.len() > 10, "{selectors:?}");
    for (before, selector) in selectors {
        assert!(selector.starts_with("{job=~\".+\", "), "{before} {selector}");
    }
}
