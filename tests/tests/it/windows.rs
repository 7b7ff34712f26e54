//! Windows and trends: what the figures were over time, on a real server.

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

    // At most a tick later all of it is in the trend, and so is the reset.
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
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    for (query, allowed) in [
        ("summary?window=2m", "allowed: 1m, 5m, 1h, 24h, reset"),
        ("routes?window=", "allowed: 1m, 5m, 1h, 24h, reset"),
        ("history?window=%3Cscript%3E", "allowed: 1m, 5m, 1h, 24h, reset"),
        ("history?window=1h&step=1s", "allowed for 1h: 10s, 1m, 5m, 1h"),
        ("history?window=24h&step=7s", "allowed for 24h: 1m, 5m, 1h, 2h"),
        ("history?window=24h&step=1m&method=GET&route=/", "allowed for 24h: 2h"),
        ("history?route=/items/{id}", "allowed: both or none"),
    ] {
        let reply = client.send("GET", &format!("/api/metrics/{query}"));
        assert_eq!(reply.status, 400, "{query}");
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["success"], false);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.ends_with(allowed), "{query}: {message}");
    }
    let nothing = client.metrics("GET", "history?method=GET&route=/nowhere");
    assert_eq!(nothing["points"], Value::Array(Vec::new()));
    assert_eq!(metrics.registry().summary().total.calls, 0);
}
