//! The figures are right under real traffic.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, error};
use metrics_actix::Metrics;
use serde_json::Value;
use tests::Server;

const CONNECTIONS: u64 = 6;
const ROUNDS: u64 = 50;

/// The requests of a connection in a round, with their statuses.
const MIX: [(&str, &str, u16); 8] = [
    ("GET", "/items/1", 200),
    ("GET", "/items/2?color=red", 200),
    ("POST", "/items/3", 201),
    ("GET", "/shop/v1/orders/17", 200),
    ("GET", "/broken", 500),
    ("GET", "/missing", 404),
    ("GET", "/wait", 200),
    ("DELETE", "/items/9", 204),
];

fn routes(config: &mut ServiceConfig) {
    let item = web::resource(r"/items/{id:\d+}")
        .route(web::get().to(|| async { "an item" }))
        .route(web::post().to(|| async { HttpResponse::Created().finish() }))
        .route(web::delete().to(|| async { HttpResponse::NoContent().finish() }));
    let orders = web::scope("/shop")
        .service(web::scope("/v1").route("/orders/{order}", web::get().to(|| async { "an order" })));
    let broken = || async { Err::<&str, _>(error::ErrorInternalServerError("it broke")) };
    let wait = || async {
        actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        "waited"
    };
    config
        .service(item)
        .service(orders)
        .route("/broken", web::get().to(broken))
        .route("/wait", web::get().to(wait));
}

fn send_the_mix(server: &Server) {
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let client = server.client();
                for _ in 0..ROUNDS {
                    for (method, path, status) in MIX {
                        assert_eq!(client.send(method, path).status, status, "{method} {path}");
                    }
                }
            });
        }
    });
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn the_summary_of_a_known_mix_is_exact() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(2, &metrics, routes);
    send_the_mix(&server);
    let summary = server.client().metrics("GET", "summary");

    let each = CONNECTIONS * ROUNDS;
    let calls = each * MIX.len() as u64;
    assert_eq!(summary["total_calls"], calls);
    assert_eq!(summary["total_errors"], 2 * each);
    assert_eq!(summary["client_errors"], each);
    assert_eq!(summary["server_errors"], each);
    assert_eq!(summary["error_rate"], 25.0);
    assert_eq!(summary["client_error_rate"], 12.5);
    assert_eq!(summary["server_error_rate"], 12.5);
    assert_eq!((&summary["aborted"], &summary["panicked"]), (&Value::from(0), &Value::from(0)));
    // The calling request itself.
    assert_eq!(summary["in_flight"], 0);
    let statuses: BTreeMap<String, u64> = serde_json::from_value(summary["statuses"].clone()).unwrap();
    let expected = [("200", 4), ("201", 1), ("204", 1), ("404", 1), ("500", 1)];
    assert_eq!(statuses, expected.map(|(status, n)| (status.to_owned(), n * each)).into());

    let latencies =
        ["min", "p50", "p95", "p99", "max"].map(|n| float(&summary[format!("{n}_response_time")]));
    assert!(latencies.is_sorted(), "{latencies:?}");
    assert!(latencies[0] > 0.0);
    // One request in eight takes 5 ms.
    assert!(latencies[1] < 0.005 && latencies[2] >= 0.005, "{latencies:?}");

    let total = metrics.registry().summary().total;
    let average = total.sum.as_secs_f64() / calls as f64;
    assert!((float(&summary["avg_response_time"]) - average).abs() < 1e-9);
    let seconds = float(&summary["window_seconds"]);
    assert!((float(&summary["requests_per_second"]) - calls as f64 / seconds).abs() < 1e-6);
}

#[test]
fn each_route_has_its_own_figures_under_its_template() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(2, &metrics, routes);
    send_the_mix(&server);
    let body = server.client().metrics("GET", "routes");
    let rows = body["routes"].as_array().unwrap();
    let calls: Vec<_> = rows.iter().map(|row| row["total_calls"].as_u64().unwrap()).collect();
    assert!(calls.is_sorted_by(|a, b| a >= b), "{calls:?}");

    let each = CONNECTIONS * ROUNDS;
    let mut seen: Vec<_> = rows
        .iter()
        .map(|row| {
            let name = format!("{} {}", row["method"].as_str().unwrap(), row["route"].as_str().unwrap());
            (name, row["total_calls"].as_u64().unwrap(), row["total_errors"].as_u64().unwrap())
        })
        .collect();
    seen.sort();
    let expected = [
        ("DELETE /items/{id}", each, 0),
        ("GET /broken", each, each),
        ("GET /items/{id}", 2 * each, 0),
        ("GET /shop/v1/orders/{order}", each, 0),
        ("GET /wait", each, 0),
        ("GET _unmatched", each, each),
        ("POST /items/{id}", each, 0),
    ];
    assert_eq!(seen, expected.map(|(name, calls, errors)| (name.to_owned(), calls, errors)));
}

#[test]
fn recent_errors_come_newest_first_with_the_services_message() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, routes);
    let client = server.client();
    for path in ["/missing", "/items/1", "/broken"] {
        client.send("GET", path);
    }
    let summary = client.metrics("GET", "summary");
    let errors = summary["recent_errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    assert_eq!((&errors[0]["route"], &errors[0]["status"]), (&"/broken".into(), &500.into()));
    assert_eq!(errors[0]["message"], "it broke");
    assert_eq!((&errors[1]["route"], &errors[1]["status"]), (&"_unmatched".into(), &404.into()));
    assert!(errors[0]["time"].as_str() >= errors[1]["time"].as_str());
    // `GET errors` says more of each.
    let detailed = client.metrics("GET", "errors");
    let detailed = detailed["recent_errors"].as_array().unwrap();
    assert_eq!(detailed.len(), errors.len());
    for (error, detailed) in errors.iter().zip(detailed) {
        for (field, value) in error.as_object().unwrap() {
            assert_eq!(&detailed[field], value, "{field}");
        }
    }
}

#[test]
fn a_reset_returns_the_closed_window_and_begins_a_new_one() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let server = Server::start(2, &metrics, routes);
    let client = server.client();
    send_the_mix(&server);
    let calls = CONNECTIONS * ROUNDS * MIX.len() as u64;
    assert_eq!(client.metrics("POST", "reset")["total_calls"], calls);
    let empty = client.metrics("GET", "summary");
    assert_eq!(empty["total_calls"], 0);
    assert_eq!(empty["recent_errors"], Value::Array(Vec::new()));
    client.send("GET", "/wait");
    let summary = client.metrics("GET", "summary");
    assert_eq!(summary["total_calls"], 1);
    assert!(float(&summary["min_response_time"]) >= 0.005);
    assert_eq!(metrics.registry().snapshot().histogram().total(), calls + 1);
}
