//! The monitor's own endpoints are in no figure: an idle service has nothing in flight, whatever way one asks.

use std::time::Duration;

use actix_web::dev::Service;
use actix_web::rt::time::timeout;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, guard};
use metrics_actix::Metrics;
use serde_json::Value;
use tests::{Server, settled};

fn shop(config: &mut ServiceConfig) {
    config.route("/items/{id}", web::get().to(|| async { "a chair" }));
}

#[test]
fn an_idle_service_has_nothing_in_flight_whatever_way_one_asks() {
    let metrics = Metrics::builder("shop").api_key_header("x-key").reset_without_token().build().unwrap();
    let scrapes = metrics.clone();
    let server = Server::start(2, &metrics, move |config| {
        config.configure(scrapes.prometheus_at("/metrics")).configure(shop);
    });
    let client = server.client();
    // An open stream of events, and a request to an endpoint whose body does not end.
    let mut events = server.raw();
    events.request("GET", "/api/metrics/events");
    let mut slow = server.raw();
    slow.write("POST /api/metrics/reset HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n");
    for _ in 0..20 {
        for path in ["summary", "summary?window=5m", "summary/"] {
            assert_eq!(client.metrics("GET", path)["in_flight"], 0, "{path}");
        }
        assert_eq!(client.metrics("POST", "reset")["in_flight"], 0);
        for path in ["/metrics", "/api/metrics/prometheus"] {
            let text = client.send("GET", path).body;
            assert!(text.contains("\nhttp_requests_in_flight 0\n"), "{path}: {text}");
        }
        for path in ["routes", "history", "consumers", "errors", "alerts"] {
            client.metrics("GET", path);
        }
        assert_eq!(metrics.registry().in_flight(), 0);
    }
    let event = events.read_until("\"in_flight\":0,");
    assert!(event.contains("\"in_flight\":0,"), "{event}");
    slow.write("0123456789");
    slow.read_until("\r\n\r\n");
    // A request to the application is in flight, and counted.
    assert_eq!(client.send("GET", "/items/1").status, 200);
    settled(&metrics, 1);
}

#[actix_web::test]
async fn requests_to_endpoints_that_are_given_up_or_repeated_are_in_no_figure() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new().configure(metrics.routes("/api/metrics")).configure(shop).wrap(metrics.middleware());
    let app = init_service(app).await;
    for path in ["/api/metrics/summary", "/api/metrics/prometheus", "/api/metrics/events"] {
        for _ in 0..50 {
            let call = app.call(TestRequest::with_uri(path).to_request());
            timeout(Duration::ZERO, call).await.ok();
            // Not polled at all.
            drop(app.call(TestRequest::with_uri(path).to_request()));
        }
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.in_flight, summary.total.calls), (0, 0));
    // Nothing is left over that another request would be mistaken for.
    let pending = app.call(TestRequest::with_uri("/items/1").to_request());
    assert_eq!(metrics.registry().in_flight(), 1);
    drop(pending);
    assert_eq!((metrics.registry().in_flight(), metrics.registry().summary().total.calls), (0, 1));
}

#[actix_web::test]
async fn a_marker_around_the_endpoints_does_not_count_them() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let scope = web::scope("/api").wrap(metrics.route_marker()).configure(metrics.routes("metrics"));
    let app = init_service(App::new().service(scope).wrap(metrics.middleware())).await;
    for _ in 0..5 {
        let response = call_service(&app, TestRequest::with_uri("/api/metrics/summary").to_request()).await;
        let body: Value = actix_web::test::read_body_json(response).await;
        assert_eq!(body["data"]["in_flight"], 0);
        drop(app.call(TestRequest::with_uri("/api/metrics/summary").to_request()));
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.in_flight, summary.total.calls, summary.endpoints.len()), (0, 0, 0));
}

#[actix_web::test]
async fn the_route_of_the_application_at_the_path_of_an_endpoint_is_counted() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let ours = guard::Host("shop.example");
    let app = App::new()
        .service(web::resource("/metrics").guard(ours).to(|| async { HttpResponse::Ok().body("the shop's") }))
        .configure(metrics.prometheus_at("/metrics"))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for _ in 0..3 {
        for host in ["monitor.example", "shop.example"] {
            let request = TestRequest::with_uri("/metrics").insert_header(("host", host)).to_request();
            assert_eq!(call_service(&app, request).await.status(), 200);
        }
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.in_flight, summary.total.calls), (0, 3));
}
