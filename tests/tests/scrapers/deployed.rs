//! The files that users copy, rendered for a service of another name, and the queries in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::Folder;

/// The folder of the files that users copy.
pub(crate) const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// Renders the files for the job `orders`. Returns where they are.
pub(crate) fn render(folder: &Folder, target: &str, options: &[&str]) -> PathBuf {
    let rendered = folder.path().join("orders");
    let mut render = Command::new("bash");
    render.arg(format!("{DEPLOY}/render.sh")).args(["orders", target, "--to"]).arg(&rendered).args(options);
    assert!(render.status().expect("bash starts").success());
    rendered
}

/// The queries of a folder's Grafana dashboard, with the values that its variables have for the demo.
pub(crate) fn panels(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("grafana/dashboards/http.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let values = [
        ("$__rate_interval", "1m"),
        ("$__range", "5m"),
        ("$objective", "99.9"),
        ("${own_timer}", "db_duration_seconds"),
        ("$own_timer", "db_duration_seconds"),
        ("$own_counter", "analysis_requests_total"),
        ("$own_value", "open_orders"),
        ("$service", ".*"),
        ("$instance", ".*"),
        ("$route", ".+"),
    ];
    let queries = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let queries =
        queries.map(|query| values.iter().fold(query, |query, (name, value)| query.replace(name, value)));
    queries.inspect(|query| assert!(!query.contains('$'), "{query}")).collect()
}

/// The expressions of a folder's rules.
pub(crate) fn rules(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("rules.yml")).unwrap();
    let expressions = text.split(" expr: ").skip(1).map(|rest| match rest.strip_prefix("|\n") {
        None => rest.lines().next().unwrap().to_owned(),
        Some(block) => {
            let lines = block.lines().take_while(|line| line.starts_with("          "));
            lines.collect::<Vec<_>>().join("\n")
        }
    });
    expressions.collect()
}
