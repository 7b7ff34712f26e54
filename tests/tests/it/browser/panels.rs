//! The contents of each panel.

use std::time::Duration;

use actix_web::web;
use metrics_actix::Metrics;
use metrics_core::alert::{Comparison, Metric, Rule, Scope};
use serde_json::{Value, json};
use tests::{Browser, Look, Server};

use super::support::{Traffic, agree, page, pictures, shop, tile, values, wait_until_live};

#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_panel_shows_the_endpoints_figures_without_complaints_of_the_browser() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").reset_without_token().build().unwrap();
    let registry = metrics.registry();
    let analyses = registry.counter("analysis_requests").unwrap();
    analyses.add(42);
    registry.gauge("queue_length").unwrap().set(2.5);
    let (cache, db) = (registry.hit_ratio("cache").unwrap(), registry.timer("db_query").unwrap());
    let users = registry.unique("daily_active_users").unwrap();
    (0..3).for_each(|i: u64| {
        cache.hit();
        db.record(Duration::from_millis(1 + i));
        users.insert(i.to_le_bytes());
    });
    cache.miss();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    let traffic = Traffic::start(server.client());
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    // The page updates.
    let before = tile(&browser, "total_calls");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value > {before}"));
    client.send("GET", "/hostile/0");
    drop(traffic);

    // After the traffic, the page and the endpoints agree.
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    let list = |value: &Value| value.as_array().unwrap().clone();
    let summary = client.metrics("GET", "summary?window=5m");
    let calls = summary["total_calls"].as_u64().unwrap();
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));
    for (name, field) in [
        ("p50", "p50_response_time"),
        ("p95", "p95_response_time"),
        ("p99", "p99_response_time"),
        ("average", "avg_response_time"),
        ("error_rate", "error_rate"),
    ] {
        assert_eq!(tile(&browser, name), number(&summary[field]), "{name}");
    }

    // Charts of requests: the newest point that has any.
    let newest = || {
        let points = list(&client.metrics("GET", "history?window=5m")["points"]);
        points.into_iter().rfind(|point| point["total_calls"] != 0).unwrap()
    };
    for (chart, fields) in [
        (
            "#latency",
            &["p99_response_time", "p95_response_time", "p50_response_time", "avg_response_time"][..],
        ),
        ("#throughput", &["requests_per_second"]),
        ("#error-rate", &["client_error_rate", "server_error_rate"]),
    ] {
        let wanted = || fields.iter().map(|field| number(&newest()[*field])).collect();
        agree(chart, || values(&browser, chart), wanted);
    }
    let latencies = || list(&newest()["latencies"]).iter().rev().map(|pair| number(&pair[1])).collect();
    agree("#heat", || values(&browser, "#heat"), latencies);
    let points = || list(&client.metrics("GET", "history?window=5m")["points"]).len() as f64;
    let shown = browser.get("Number(document.querySelector('#latency').dataset.points)").as_f64().unwrap();
    assert!((points() - shown).abs() <= 3.0, "{shown} of {} points", points());

    let routes = client.metrics("GET", "routes?window=5m");
    for route in list(&routes["routes"]) {
        let name = format!("{} {}", route["method"].as_str().unwrap(), route["route"].as_str().unwrap());
        let calls = route["total_calls"].as_u64().unwrap();
        let row = format!(
            "[...document.querySelectorAll('#routes tbody tr')].find(row => row.dataset.key === {})",
            json!(name)
        );
        browser.wait(&format!("{row}.cells[2].textContent.replace(/\\D/g, '') == {calls}"));
    }
    let errors = list(&client.metrics("GET", "errors")["recent_errors"]).len().min(50);
    browser.wait(&format!("document.querySelectorAll('#recent-errors li').length == {errors}"));
    let consumers = list(&client.metrics("GET", "consumers?top=10")["consumers"]);
    browser.wait(&format!("document.querySelectorAll('#consumers tbody tr').length == {}", consumers.len()));
    for (i, consumer) in consumers.iter().enumerate() {
        let cell = |at: usize| format!("document.querySelectorAll('#consumers tbody tr')[{i}].cells[{at}]");
        assert_eq!(browser.get(&format!("{}.textContent", cell(0))), consumer["consumer"]);
        browser.wait(&format!("{}.textContent.replace(/\\D/g, '') == {}", cell(1), consumer["calls"]));
    }
    let active = list(&client.metrics("GET", "alerts")["alerts"]);
    let active = active.iter().filter(|alert| alert["state"] != "inactive").count();
    browser.wait(&format!("document.querySelectorAll('#alerts li').length == {active}"));
    assert_eq!(browser.get("document.querySelector('#alerts').hidden"), active == 0);

    // The service's own metrics: figures and trends.
    let business = list(&client.metrics("GET", "business?window=5m")["metrics"]);
    assert_eq!(business.len(), 5);
    for metric in &business {
        let (name, kind) = (metric["name"].as_str().unwrap(), metric["kind"].as_str().unwrap());
        let card = format!("#business [data-key='{kind} {name}']");
        browser.wait(&format!("document.querySelector({})", json!(card)));
        let value = browser.get(&format!("Number(document.querySelector({}).dataset.value)", json!(card)));
        assert_eq!(number(&value), number(&metric["value"]), "{name}");
        let fields: &[&str] = match kind {
            "timer" => &["p99_time", "p95_time", "p50_time", "avg_time"],
            "hit_ratio" => &["hit_rate"],
            "counter" => &["per_second"],
            "unique_count" => &["today"],
            _ => &["value"],
        };
        let scale = if kind == "counter" { 60.0 } else { 1.0 };
        let newest = || {
            // So that it is not 0.
            analyses.add(7);
            let points = list(&client.metrics("GET", &format!("history?window=5m&metric={name}"))["points"]);
            let counted = |point: &&Value| match kind {
                "timer" => point["calls"] != 0,
                "hit_ratio" => point["hits"] != 0,
                _ => true,
            };
            let newest = points.iter().rfind(counted).cloned().unwrap_or_default();
            fields.iter().filter_map(|field| Some(newest[*field].as_f64()? * scale)).collect::<Vec<_>>()
        };
        agree(name, || values(&browser, &format!("{card} .chart")), newest);
        assert_eq!(newest().len(), fields.len(), "{name} has a trend");
    }

    // Resources change each second, so the shown value must be one of the recent ones.
    for (chart, field) in [
        ("#cpu", "cpu_percent"),
        ("#memory", "resident_bytes"),
        ("#network", "network_received_per_second"),
        ("#lag", "worker_lags"),
        ("#busy", "worker_busy_percent"),
        ("#files", "open_files"),
    ] {
        browser.wait(&format!("document.querySelector('{chart}').dataset.points > 0"));
        let shown = values(&browser, chart)[0];
        let resources = client.metrics("GET", "resources?window=5m");
        let known = list(&resources["points"]).into_iter().map(|point| match &point[field] {
            Value::Array(workers) => workers.iter().map(number).fold(0.0, f64::max),
            value => number(value),
        });
        assert!(
            known.into_iter().any(|value| (value - shown).abs() <= 1e-12 * shown),
            "{chart} shows {shown}: {resources}"
        );
    }

    assert_eq!(browser.get("document.querySelector('#exporters').hidden"), true);

    // The limits are those of the rules.
    assert_eq!(browser.text("#latency-note"), "log scale; limits: P95 5 s, Average 3 s");
    assert_eq!(browser.text("#errors-note"), "% of requests; limits: Error rate 5%");
    assert_eq!(browser.text("#service"), "shop");
    let cost = browser.text("#cost");
    assert!(cost.contains("3 of 1,024 series") && cost.contains("per record"), "{cost}");
    assert!(cost.contains(" shards ") && cost.contains("history "), "{cost}");
    assert_eq!(metrics.registry().summary().total.calls, calls, "the page counts itself");

    // A reset is marked and clears no trend.
    client.metrics("POST", "reset");
    browser.wait("document.querySelector('#throughput').dataset.resets == 1");
    browser.wait("document.querySelector('#business .chart').dataset.resets == 1");
    browser.screenshot(&pictures().join("reset.png"));
    assert_eq!(tile(&browser, "total_calls"), calls as f64);

    let paint = browser.get("performance.getEntriesByName('first-contentful-paint')[0]?.startTime");
    let files = "performance.getEntriesByType('resource').filter(file => file.name.includes('/dashboard/'))";
    let weight = browser.get(&format!(
        "[...performance.getEntriesByType('navigation'), ...{files}]\
            .reduce((sum, file) => sum + file.encodedBodySize, 0)"
    ));
    println!("first contentful paint after {paint} ms; {weight} bytes, compressed");
    assert!((1.0..=61_440.0).contains(&number(&weight)), "{weight}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn sets_of_labels_of_an_own_metric_have_cards_and_charts_of_their_own() {
    let metrics = Metrics::builder("jobs").build().unwrap();
    let jobs = metrics.registry().counter("jobs_done").unwrap();
    jobs.with_labels([("queue", "mail"), ("to", "a \"b\" \\")]).add(5);
    jobs.with("queue", "<b>sms</b>").add(2);
    metrics.registry().unique("users").unwrap().with("plan", "pro").insert("Ann");
    let server = Server::start(1, &metrics, shop);
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    for (at, title, value) in [
        (0, "jobs done · queue: <b>sms</b>", 2.0),
        (1, "jobs done · queue: mail · to: a \"b\" \\", 5.0),
        (2, "users · plan: pro", 1.0),
    ] {
        let card = format!("document.querySelectorAll('#business .card')[{at}]");
        browser.wait(&format!("{card}?.querySelector('h3').textContent === {}", json!(title)));
        browser.wait(&format!("Number({card}.dataset.value) === {value}"));
        // Its trend came, too.
        browser.wait(&format!("{card}.querySelector('.chart').dataset.points > 0"));
    }
    browser.screenshot(&pictures().join("own-labels.png"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_service_without_calls_says_so() {
    let slow = Rule::new("slow", Metric::P95, Comparison::Above, 0.25);
    let metrics = Metrics::builder("quiet").without_default_alerts().alert(slow).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser
        .wait("document.querySelector('#latency .empty').textContent === 'No requests in this window yet'");
    browser.wait("!document.querySelector('#recent-errors .empty').hidden");
    for tile in ["total_calls", "error_rate", "p99"] {
        assert_eq!(self::tile(&browser, tile), 0.0);
    }
    assert_eq!(browser.get("document.querySelector('#consumers').hidden"), true);
    assert_eq!(browser.get("document.querySelector('#business').hidden"), true);
    // The limits are those of the rules.
    browser.wait("document.querySelector('#latency-note').textContent === 'log scale; limits: P95 250 ms'");
    assert_eq!(browser.text("#errors-note"), "% of requests");
    browser.screenshot(&pictures().join("quiet.png"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn tiles_tell_the_figures_of_matched_routes_which_alerts_are_about() {
    let rule = |metric, threshold| {
        Rule::new(format!("{metric}"), metric, Comparison::Above, threshold).scope(Scope::Matched)
    };
    let metrics = Metrics::builder("shop")
        .without_default_alerts()
        .alert(rule(Metric::ErrorRate, 5.0))
        .alert(rule(Metric::P95, 0.02))
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, |config| {
        let slow = || async {
            actix_web::rt::time::sleep(Duration::from_millis(30)).await;
            "slow"
        };
        shop(config.route("/slow", web::get().to(slow)));
    });
    let client = server.client();
    (0..12).for_each(|_| drop(client.send("GET", "/slow")));
    (0..2).for_each(|_| drop(client.send("GET", "/hostile/0")));
    // So many probes that none of the slow requests is among the slowest 5 %.
    (0..300).for_each(|_| drop(client.send("GET", "/.env")));
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    let note = |tile: &str| format!("document.querySelector('[data-tile={tile}] .matched').textContent");
    browser.wait(&format!("{} === 'matched routes 14.3%'", note("error_rate")));
    let fits =
        "((e) => e.scrollWidth <= e.clientWidth)(document.querySelector('[data-tile=error_rate] .matched'))";
    assert_eq!(browser.get(fits), true);
    browser.wait(&format!("/matched routes [3-9]\\d(\\.\\d)? ms$/.test({})", note("p95")));
    let alerts = client.metrics("GET", "alerts")["alerts"].clone();
    let rate = alerts.as_array().unwrap().iter().find(|alert| alert["metric"] == "error_rate").unwrap();
    assert!((rate["value"].as_f64().unwrap() - 200.0 / 14.0).abs() < 1e-9, "{rate}");
    browser.screenshot(&pictures().join("matched.png"));
    // Of one endpoint, there is nothing else to tell.
    browser.click("#routes tbody button");
    browser.wait("document.querySelector('[data-tile=error_rate] .matched').hidden");
    browser.click("#unfilter");
    browser.get("document.querySelector('#language').value = 'ko'");
    browser.get("document.querySelector('#language').dispatchEvent(new Event('change'))");
    browser.wait(&format!("{} === '일치한 경로 14.3%'", note("error_rate")));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
