//! The files in `deploy` speak of families that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use metrics_actix::prometheus::{Exposition, Format};
use metrics_core::Registry;

/// All words of a text that look like a family of ours, and are not part of a recorded name.
fn families(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let ours = |word: &&str| word.starts_with("http_") || word.starts_with("metrics_core_");
    text.split(|c| !word(c)).filter(ours).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_name_only_what_is_exposed() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 1_000);
    let mut exposed = Vec::new();
    Exposition::new().render(&registry.snapshot(), Format::Text, &mut exposed);
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
