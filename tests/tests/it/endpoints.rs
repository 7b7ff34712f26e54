//! The endpoints follow HTTP.

use actix_web::web::ServiceConfig;
use metrics_actix::Metrics;
use serde_json::Value;
use tests::Server;

fn no_routes(_: &mut ServiceConfig) {}

#[test]
fn answers_are_json_and_must_not_be_cached() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let client = server.client();
    for (method, name) in [("GET", "summary"), ("GET", "routes"), ("GET", "errors"), ("POST", "reset")] {
        let reply = client.send(method, &format!("/api/metrics/{name}"));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let answer: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(answer["success"], true);
    }
}

#[test]
fn a_wrong_method_is_405_with_the_allowed_ones() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let client = server.client();
    for (name, wrong, allow) in [
        ("summary", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"], "GET, HEAD"),
        ("routes", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"], "GET, HEAD"),
        ("prometheus", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"], "GET, HEAD"),
        ("reset", ["GET", "PUT", "DELETE", "OPTIONS", "BREW"], "POST"),
    ] {
        for method in wrong {
            let reply = client.send(method, &format!("/api/metrics/{name}"));
            assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {name}");
            let answer: Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(answer["error"]["code"], "method_not_allowed");
            assert_eq!(answer["success"], false);
            assert!(!reply.body.contains("BREW"), "{}", reply.body);
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let reply = server.client().send("HEAD", "/api/metrics/summary");
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
}

#[test]
fn the_reset_endpoint_does_not_exist_unless_it_is_enabled() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let client = server.client();
    for method in ["POST", "GET", "OPTIONS"] {
        assert_eq!(client.send(method, "/api/metrics/reset").status, 404, "{method}");
    }
}

#[test]
fn calls_of_the_endpoints_are_not_in_the_figures() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let server = Server::start(1, &metrics, no_routes);
    let client = server.client();
    let calls = [
        ("GET", "summary"),
        ("GET", "errors"),
        ("GET", "prometheus"),
        ("POST", "summary"),
        ("POST", "reset"),
    ];
    for (method, name) in calls {
        client.send(method, &format!("/api/metrics/{name}"));
    }
    let summary = client.metrics("GET", "summary");
    assert_eq!((&summary["total_calls"], &summary["in_flight"]), (&0.into(), &0.into()), "{summary}");
}
