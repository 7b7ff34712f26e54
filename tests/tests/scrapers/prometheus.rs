//! Prometheus scrapes the demo under load.

use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use actix_web::web::ServiceConfig;
use metrics_actix::Metrics;
use metrics_actix::prometheus::Exposition;
use serde_json::Value;
use tests::{Example, Folder, Process, Server, free_port};

use crate::deployed::{DEPLOY, panels, render};
use crate::query::{Api, classic_bucket, load};

/// The trace of a failed request.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A running Prometheus. Dropping it ends the process.
#[derive(Debug)]
struct Prometheus {
    _process: Process,
    api: Api,
    _folder: Folder,
}

impl Deref for Prometheus {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Prometheus {
    /// Starts a Prometheus that scrapes `target` as this job, and evaluates the rules of a folder every second.
    fn start(target: &str, job: &str, rules: &Path, flags: &[&str]) -> Self {
        let folder = Folder::new("prometheus");
        let rules = rules.join("rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: {job}, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        let config = folder.write("prometheus.yml", config);
        let port = free_port();
        let process = Process::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .args(flags),
        );
        Self { _process: process, api: Api::new(port), _folder: folder }
    }

    /// Waits until a trace is among the exemplars of request durations, in any series.
    fn wait_for_exemplar(&self, trace: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let query = "%7B__name__%3D~%22http_request_duration_seconds.*%22%7D";
        loop {
            // From 1970 to the year 2286.
            let path = format!("/api/v1/query_exemplars?query={query}&start=0&end=9999999999");
            let answer: Value = serde_json::from_str(&self.get(&path).unwrap()).unwrap();
            let series = answer["data"].as_array().unwrap().iter();
            let mut exemplars = series.flat_map(|series| series["exemplars"].as_array().unwrap());
            if exemplars.any(|exemplar| exemplar["labels"]["trace_id"] == trace) {
                return;
            }
            assert!(Instant::now() < deadline, "no exemplar of {trace}: {answer}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Returns the counters of rejected samples that are not 0, from the metrics of Prometheus itself.
    fn rejected(&self) -> Vec<String> {
        let own = self.get("/metrics").unwrap();
        let reasons = [
            "prometheus_target_scrapes_sample_",
            "prometheus_target_scrapes_exceeded_",
            "prometheus_tsdb_out_of_",
            "prometheus_target_scrape_pool_exceeded_",
        ];
        let rejects =
            |line: &&str| reasons.iter().any(|reason| line.starts_with(reason)) && line.contains("_total");
        let lines: Vec<_> = own.lines().filter(rejects).collect();
        assert!(lines.len() >= 4, "Prometheus renamed its metrics: {lines:?}");
        lines.into_iter().filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
    }
}

#[test]
#[ignore = "needs prometheus: apt install prometheus"]
fn prometheus_stores_labels_of_own_metrics_as_they_are() {
    let exposition = Exposition::builder().constant_label("env", "prod").build().unwrap();
    let metrics = Metrics::builder("jobs").prometheus(exposition).build().unwrap();
    let registry = metrics.registry();
    let jobs = registry.counter("jobs").unwrap();
    let hostile = "a\\b \"c\" {,}\u{4f59}";
    jobs.with_labels([("queue", "mail"), ("to", hostile)]).add(3);
    jobs.with_labels([("queue", "sms"), ("to", "x")]).add(4);
    jobs.with("env", "mine").add(5);
    // More than fit.
    let users = registry.counter("users").unwrap();
    (0..300).for_each(|user| users.with("user", &user.to_string()).increment());
    let work = registry.timer("work").unwrap();
    ["mail", "mail", "sms"]
        .into_iter()
        .for_each(|queue| work.with("queue", queue).record(Duration::from_millis(200)));
    registry.hit_ratio("cache").unwrap().with("name", "users").hit();
    let scrapes = metrics.clone();
    let server = Server::start(1, &metrics, move |config: &mut ServiceConfig| {
        config.configure(scrapes.prometheus_at("/metrics"));
    });
    let client = server.client();
    let native_flags = &["--enable-feature=native-histograms"];
    for flags in [&native_flags[..], &[]] {
        let prometheus = Prometheus::start(&client.addr().to_string(), "jobs", Path::new(DEPLOY), flags);
        prometheus.wait_for("up", 1.0);
        prometheus.wait_for("sum(jobs_total)", 12.0);
        let to: Vec<_> = prometheus
            .vector(r#"jobs_total{queue="mail"}"#)
            .into_iter()
            .map(|(labels, value)| {
                (labels["to"].as_str().unwrap().to_owned(), labels["env"].as_str().unwrap().to_owned(), value)
            })
            .collect();
        assert_eq!(to, [(hostile.to_owned(), "prod".to_owned(), 3.0)]);
        assert_eq!(prometheus.value(r#"jobs_total{app_env="mine",env="prod"}"#), Some(5.0));
        assert_eq!(prometheus.value("sum(users_total)"), Some(300.0));
        assert_eq!(prometheus.value(r#"users_total{user="_other"}"#), Some(300.0 - 128.0));
        assert_eq!(prometheus.value("count(users_total)"), Some(129.0));
        assert_eq!(prometheus.value("metrics_core_label_sets_refused_total"), Some(300.0 - 128.0));
        assert_eq!(prometheus.value(r#"cache_lookups_total{name="users",result="hit"}"#), Some(1.0));
        let timed = if flags.is_empty() {
            "work_duration_seconds_count"
        } else {
            "histogram_count(work_duration_seconds)"
        };
        let mail = prometheus.vector(timed).into_iter().filter(|(labels, _)| labels["queue"] == "mail");
        assert_eq!(mail.map(|(_, value)| value).collect::<Vec<_>>(), [2.0]);
        assert_eq!(prometheus.rejected(), [""; 0]);
    }
}

#[test]
#[ignore = "needs prometheus: apt install prometheus"]
fn prometheus_stores_our_counts_and_computes_our_percentiles() {
    let demo = Example::start(&["--workers", "2"]);
    let client = demo.client();
    let target = &client.addr().to_string();
    // One with the files as they are, one with those that the script renders for a service of another name.
    let folder = Folder::new("rendered");
    let rendered = render(&folder, target, &[]);
    let native_flags = &["--enable-feature=native-histograms,exemplar-storage"];
    let native = Prometheus::start(target, "orders", &rendered, native_flags);
    let classic =
        Prometheus::start(target, "shop", Path::new(DEPLOY), &["--enable-feature=exemplar-storage"]);
    for prometheus in [&native, &classic] {
        prometheus.wait_for("up", 1.0);
    }

    let sent = load(client, 20);
    let summary = client.metrics("GET", "summary");
    assert_eq!(summary["total_calls"].as_f64(), Some(sent));
    for prometheus in [&native, &classic] {
        prometheus.wait_for("sum(http_requests_total)", sent);
        assert_eq!(prometheus.value("sum(http_requests_total{status=\"404\"})"), Some(sent / 6.0));
        assert_eq!(prometheus.value("sum(http_requests_panicked_total)"), Some(0.0));
    }
    assert_eq!(native.value("histogram_count(sum(http_request_duration_seconds))"), Some(sent));
    assert_eq!(classic.value("sum(http_request_duration_seconds_count)"), Some(sent));
    for (quantile, name) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
        let ours = summary[format!("{name}_response_time")].as_f64().unwrap();
        let query = format!("histogram_quantile({quantile}, sum(http_request_duration_seconds))");
        let theirs = native.value(&query).unwrap();
        println!("{name}: {ours} of ours, {theirs} native");
        // The native error is below 1.5 %, ours below 0.8 %.
        assert!((theirs / ours - 1.0).abs() < 0.023, "{name}: {theirs} for {ours}");
        let query =
            format!("histogram_quantile({quantile}, sum by (le) (http_request_duration_seconds_bucket))");
        let theirs = classic.value(&query).unwrap();
        let (lower, upper) = classic_bucket(theirs);
        println!("{name}: {ours} of ours, {theirs} classic, in {lower} to {upper}");
        assert!((lower..=upper * 1.008).contains(&ours), "{name}: {theirs} for {ours}");
    }

    assert_eq!(client.metrics("POST", "reset")["total_calls"].as_f64(), Some(sent));
    client.send_with("GET", "/items/4711", &[("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"))]);
    // One in ten fails: 12 errors of the server take 120 requests, mostly.
    let (mut flaky, mut failed) = (0.0, 0);
    while failed < 12 {
        assert!(flaky < 2_000.0, "{failed} of {flaky} requests failed");
        flaky += 1.0;
        failed += u32::from(client.send("GET", "/flaky").status == 500);
    }
    let all = sent + flaky + load(client, 10) + 1.0;
    for prometheus in [&native, &classic] {
        prometheus.wait_for("sum(http_requests_total)", all);
        prometheus.wait_for_exemplar(TRACE);
        // 4 clients, 30 turns in all: each turn has one report and two cache look-ups.
        prometheus.wait_for("analysis_requests_total", 120.0);
        assert_eq!(prometheus.value("sum(cache_lookups_total)"), Some(241.0));
        assert!(prometheus.value("process_cpu_seconds_total") > Some(0.0));
        assert!(prometheus.value("process_resident_memory_bytes") > Some(1e6));
        assert!(prometheus.value("time() - process_start_time_seconds") < Some(600.0));
        assert_eq!(prometheus.value("min_over_time(up[10m])"), Some(1.0));
        assert_eq!(prometheus.value("max(resets(http_requests_total[10m]))"), Some(0.0));
        for query in panels(&rendered) {
            assert!(!prometheus.vector(&query).is_empty(), "the dashboard shows nothing for {query}");
        }
        for name in ["http_request_duration_seconds:avg5m", "http_request_duration_seconds:p95_5m"] {
            assert!(prometheus.value(&format!("job:{name}")) > Some(0.0), "{name}");
        }
        for alert in ["HttpErrorsMany", "HttpErrorRateHigh"] {
            let firing = format!("sum(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})");
            prometheus.wait_for(&firing, 1.0);
        }
        let refused = "max(scrape_samples_scraped - scrape_samples_post_metric_relabeling)";
        assert_eq!(prometheus.value(refused), Some(0.0));
        assert_eq!(prometheus.rejected(), [""; 0]);
    }
    assert_eq!(native.value("max(resets(http_request_duration_seconds[10m]))"), Some(0.0));
}
