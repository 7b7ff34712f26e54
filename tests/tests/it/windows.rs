//! Windows and trends: figures over time, on a real server.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use serde_json::Value;
use tests::{Server, settled};

fn shop(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().finish() }));
}

fn sum(points: &Value, name: &str) -> u64 {
    points.as_array().unwrap().iter().map(|point| point[name].as_u64().unwrap()).sum()
}

#[test]
fn a_trend_adds_up_to_what_was_sent_and_outlives_a_reset() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    for i in 0..60 {
        client.send("GET", &format!("/items/{i}"));
        client.send("GET", "/fails");
        std::thread::sleep(Duration::from_millis(25));
    }
    settled(&metrics, 120);
    client.metrics("POST", "reset");

    // At most one tick later the trend has everything, with the reset.
    let deadline = Instant::now() + Duration::from_secs(20);
    let history = loop {
        let history = client.metrics("GET", "history?window=5m&step=1s");
        if sum(&history["points"], "total_calls") == 120 && history["resets"][0].is_string() {
            break history;
        }
        assert!(Instant::now() < deadline, "{history}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let points = &history["points"];
    assert!(points.as_array().unwrap().len() >= 2, "{points}");
    assert_eq!(sum(points, "server_errors"), 60);
    for point in points.as_array().unwrap() {
        let durations: u64 =
            point["latencies"].as_array().unwrap().iter().map(|pair| pair[1].as_u64().unwrap()).sum();
        assert_eq!(durations, point["total_calls"].as_u64().unwrap());
    }

    let since_reset = client.metrics("GET", "summary");
    assert_eq!(since_reset["total_calls"], 0);
    assert_eq!(client.metrics("GET", "summary?window=reset")["total_calls"], 0);
    for window in ["1m", "5m", "1h", "24h"] {
        let summary = client.metrics("GET", &format!("summary?window={window}"));
        assert_eq!(
            (&summary["total_calls"], &summary["error_rate"]),
            (&120.into(), &50.0.into()),
            "{window}"
        );
        let routes = client.metrics("GET", &format!("routes?window={window}"));
        let calls: Vec<_> =
            routes["routes"].as_array().unwrap().iter().map(|route| &route["total_calls"]).collect();
        assert_eq!(calls, [60, 60], "{window}");
    }
}

#[test]
fn the_applications_metrics_have_windows_and_a_trend() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let registry = metrics.registry();
    let (jobs, cache) = (registry.counter("jobs").unwrap(), registry.hit_ratio("cache").unwrap());
    let db = registry.timer("db_query").unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    let count = |from: u64, to: u64| {
        for i in from..to {
            jobs.increment();
            if i % 4 == 0 {
                cache.miss()
            } else {
                cache.hit()
            }
            db.record(Duration::from_millis(i));
        }
    };
    count(0, 40);
    client.metrics("POST", "reset");
    count(40, 100);
    let named = |window: &str, name: &str| {
        let business = client.metrics("GET", &format!("business?window={window}"));
        let found = business["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == name);
        (found.unwrap().clone(), business["window_seconds"].as_f64().unwrap())
    };
    // Since the reset, and in all windows that begin before it.
    assert_eq!(named("reset", "jobs").0["value"], 60);
    assert_eq!(client.metrics("GET", "business")["metrics"][2]["value"], 60);
    assert_eq!(client.metrics("GET", "summary")["business"]["jobs"]["value"], 60);
    for window in ["1m", "5m", "1h", "24h"] {
        let (jobs, seconds) = named(window, "jobs");
        assert_eq!(jobs["value"], 100, "{window}");
        let rate = jobs["per_second"].as_f64().unwrap();
        assert!((rate * seconds - 100.0).abs() < 1e-6, "{window}: {rate} {seconds}");
        assert_eq!(named(window, "cache").0["hit_rate"], 75.0, "{window}");
        let (db, _) = named(window, "db_query");
        assert_eq!((&db["calls"], &db["avg_time"]), (&100.into(), &0.0495.into()), "{window}");
        let p50 = db["p50_time"].as_f64().unwrap();
        assert!((0.049..0.0495).contains(&p50), "{window}: {p50}");
        let summary = client.metrics("GET", &format!("summary?window={window}"));
        assert_eq!(summary["business"]["cache"]["hits"], 75, "{window}");
    }
    // At most ten seconds later the trend has everything.
    let deadline = Instant::now() + Duration::from_secs(30);
    let history = loop {
        let history = client.metrics("GET", "history?window=5m&metric=jobs");
        if sum(&history["points"], "value") == 100 {
            break history;
        }
        assert!(Instant::now() < deadline, "{history}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!((&history["step"], &history["metric"]), (&"10s".into(), &"jobs".into()));
    assert!(history["resets"][0].is_string(), "{history}");
    let times = client.metrics("GET", "history?window=5m&metric=db_query");
    assert_eq!(sum(&times["points"], "calls"), 100);
}

#[test]
fn the_event_loop_of_a_worker_that_computes_is_busy() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, |config| {
        config.route(
            "/compute",
            web::get().to(|| async {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(400) {
                    std::hint::spin_loop();
                }
                "done"
            }),
        );
    });
    let client = server.client();
    let busy = || -> Vec<f64> {
        let resources = client.metrics("GET", "resources?window=1m");
        let points = resources["points"].as_array().unwrap();
        assert!(points.iter().all(|point| point["seconds"].as_f64() > Some(0.0)), "{points:?}");
        points.iter().filter_map(|point| point["worker_busy_percent"][0].as_f64()).collect()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !busy().iter().any(|&share| share >= 20.0) {
        assert!(Instant::now() < deadline, "{:?}", busy());
        client.send("GET", "/compute");
    }
    assert!(busy().iter().all(|&share| (0.0..=100.0).contains(&share)), "{:?}", busy());
}

#[test]
fn a_refused_query_is_answered_with_the_allowed_values() {
    let metrics = Metrics::builder("shop").build().unwrap();
    metrics.registry().counter("jobs").unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    for (query, allowed) in [
        ("summary?window=2m", "allowed: 1m, 5m, 1h, 24h, reset"),
        ("routes?window=", "allowed: 1m, 5m, 1h, 24h, reset"),
        ("history?window=%3Cscript%3E", "allowed: 1m, 5m, 1h, 24h, reset"),
        ("history?window=1h&step=1s", "allowed: 10s, 1m, 5m, 30m, 1h (window 1h)"),
        ("history?window=24h&step=7s", "allowed: 1m, 5m, 30m, 1h, 2h (window 24h)"),
        ("history?window=24h&step=1m&method=GET&route=/", "allowed: 2h (window 24h)"),
        ("history?method=GET&route=/nowhere", "allowed: those that GET routes?window=24h lists"),
        ("summary?windw=5m", "`from`, `until`, `instance`"),
        ("summary?window=5m&window=1h", "duplicate parameter `window`; allowed: each parameter once"),
        ("history?route=/items/{id}", "allowed: both or none"),
        ("history?metric=cache", "allowed: those that GET business lists"),
        ("history?metric=cache&method=GET&route=/", "allowed: metric, or method and route"),
        ("history?metric=jobs&step=1s&window=1h", "allowed: 1m, 5m, 30m, 1h (window 1h)"),
        ("business?window=7m", "allowed: 1m, 5m, 1h, 24h, reset"),
        ("resources?window=1", "allowed: 1m, 5m, 1h, 24h, reset"),
    ] {
        let reply = client.send("GET", &format!("/api/metrics/{query}"));
        assert_eq!(reply.status, 400, "{query}");
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["success"], false);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.ends_with(allowed), "{query}: {message}");
    }
    assert_eq!(metrics.registry().summary().total.calls, 0);
}
