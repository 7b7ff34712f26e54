//! VictoriaMetrics, a second scraper, scrapes the demo under load.

use std::process::Command;

use tests::{Example, Folder, Process, free_port};

use crate::deployed::{panels, render, rules};
use crate::query::{Api, classic_bucket, load};

/// A running VictoriaMetrics. Dropping it ends the process.
struct Victoria {
    _process: Process,
    api: Api,
    _folder: Folder,
}

impl Victoria {
    /// Starts one that scrapes `target` every second.
    fn start(target: &str) -> Self {
        let folder = Folder::new("victoria");
        let config = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: orders, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        let config = folder.write("scrape.yml", config);
        let port = free_port();
        let process = Process::start(
            Command::new("victoria-metrics")
                .arg(format!("-promscrape.config={}", config.display()))
                .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
                .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
                // What was scraped can be queried at once, and not only after 30 s.
                .arg("-search.latencyOffset=0s"),
        );
        Self { _process: process, api: Api::new(port), _folder: folder }
    }
}

#[test]
#[ignore = "needs victoria-metrics: apt install victoria-metrics"]
fn victoria_metrics_stores_our_counts_and_computes_our_percentiles() {
    let demo = Example::start(&["--workers", "2"]);
    let client = demo.client();
    let victoria = Victoria::start(&client.addr().to_string());
    let api = &victoria.api;
    api.wait_for("up", 1.0);

    let sent = load(client, 20);
    let summary = client.metrics("GET", "summary");
    assert_eq!(summary["total_calls"].as_f64(), Some(sent));
    api.wait_for("sum(http_requests_total)", sent);
    assert_eq!(api.value("sum(http_requests_total{status=\"404\"})"), Some(sent / 6.0));
    assert_eq!(api.value("sum(http_requests_panicked_total)"), Some(0.0));
    // It stores classic buckets.
    assert_eq!(api.value("sum(http_request_duration_seconds_count)"), Some(sent));
    assert_eq!(api.value("sum(http_request_duration_seconds_bucket{le=\"+Inf\"})"), Some(sent));
    let seconds = api.value("sum(http_request_duration_seconds_sum)").unwrap();
    let average = summary["avg_response_time"].as_f64().unwrap();
    assert!((seconds / sent / average - 1.0).abs() < 1e-6, "{seconds} s for {sent} of {average}");
    for (quantile, name) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
        let ours = summary[format!("{name}_response_time")].as_f64().unwrap();
        let query =
            format!("histogram_quantile({quantile}, sum by (le) (http_request_duration_seconds_bucket))");
        let theirs = api.value(&query).unwrap();
        let (lower, upper) = classic_bucket(theirs);
        println!("{name}: {ours} of ours, {theirs} theirs, in {lower} to {upper}");
        // Ours is off by less than 0.8 %.
        assert!((lower..=upper * 1.008).contains(&ours), "{name}: {theirs} for {ours}");
    }

    // A reset is of the dashboard's figures: no counter goes down.
    assert_eq!(client.metrics("POST", "reset")["total_calls"].as_f64(), Some(sent));
    let all = sent + load(client, 5);
    api.wait_for("sum(http_requests_total)", all);
    api.wait_for("analysis_requests_total", 100.0);
    assert_eq!(api.value("sum(cache_lookups_total)"), Some(200.0));
    assert_eq!(api.value("sum(resets(http_requests_total[10m]))"), Some(0.0));
    assert_eq!(api.value("min_over_time(up[10m])"), Some(1.0));
    assert!(api.value("process_resident_memory_bytes") > Some(1e6));

    // The dashboard and the rules as they are rendered for it. It refuses functions that it does not know.
    let folder = Folder::new("classic");
    let rendered = render(&folder, &client.addr().to_string(), &["--classic"]);
    let queries = panels(&rendered);
    assert!(queries.len() > 30, "{queries:?}");
    for query in queries {
        assert!(!api.vector(&query).is_empty(), "the dashboard shows nothing for {query}");
    }
    let rules = rules(&rendered);
    assert!(rules.len() > 10, "{rules:?}");
    rules.iter().for_each(|rule| drop(api.vector(rule)));
    let calls = rules.iter().find(|rule| rule.contains("_seconds_count")).unwrap();
    assert!(api.value(calls) > Some(0.0), "{calls}");
}
