//! What the apps of a worker share of a request, and what they do not.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, guard, rt, web};
use metrics_actix::Metrics;
use metrics_core::Outcome;

async fn waits() -> HttpResponse {
    std::future::pending().await
}

#[actix_web::test]
async fn endpoints_in_an_app_without_the_middleware_are_no_part_of_the_last_request() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let shop = App::new().route("/waits", web::to(waits)).wrap(metrics.middleware());
    let (shop, private) = (init_service(shop).await, App::new().configure(metrics.routes("/metrics")));
    let private = init_service(private).await;
    let waiting = shop.call(TestRequest::with_uri("/waits").to_request());
    for _ in 0..3 {
        let summary = TestRequest::with_uri("/metrics/summary").to_request();
        assert_eq!(call_service(&private, summary).await.status(), 200);
        assert_eq!(metrics.registry().in_flight(), 1);
    }
    drop(waiting);
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.in_flight), (1, 0));
}

#[actix_web::test]
async fn endpoints_inside_a_marker_take_no_other_request_out_of_those_in_flight() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let scope = web::scope("/api").wrap(metrics.route_marker()).configure(metrics.routes("metrics"));
    let app = App::new().service(scope).route("/waits", web::to(waits)).wrap(metrics.middleware());
    let app = init_service(app).await;
    let waiting = app.call(TestRequest::with_uri("/waits").to_request());
    for _ in 0..3 {
        let summary = TestRequest::with_uri("/api/metrics/summary").to_request();
        read_body(call_service(&app, summary).await).await;
        assert_eq!(metrics.registry().in_flight(), 1);
    }
    drop(waiting);
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.in_flight), (1, 0));
}

#[actix_web::test]
async fn calls_of_endpoints_leave_no_request_of_their_method_in_flight() {
    let metrics = Metrics::builder("shop").reset_without_token().build().unwrap();
    let app = App::new().configure(metrics.routes("/metrics")).wrap(metrics.middleware());
    let app = init_service(app).await;
    for (method, path) in [
        (Method::POST, "/metrics/reset"),
        (Method::HEAD, "/metrics/summary"),
        (Method::GET, "/metrics/summary"),
        (Method::DELETE, "/metrics/summary"),
        (Method::POST, "/metrics/reset"),
    ] {
        read_body(call_service(&app, TestRequest::with_uri(path).method(method).to_request()).await).await;
    }
    let snapshot = metrics.registry().snapshot();
    let in_flight: Vec<_> = snapshot.in_flight_by_method().filter(|(_, requests)| *requests > 0).collect();
    assert_eq!(in_flight, []);
    assert_eq!(snapshot.in_flight(), 0);
}

#[actix_web::test]
async fn a_request_that_waits_after_its_marker_keeps_its_route_while_others_end() {
    let metrics = Metrics::builder("shop").build().unwrap();
    // Waits for good, once it is told to.
    let waits = Rc::new(Cell::new(true));
    let waiting = Rc::clone(&waits);
    let wait = move |request: ServiceRequest, next: Next<BoxBody>| {
        let waits = waiting.replace(false);
        async move {
            let response = next.call(request).await;
            if waits {
                std::future::pending::<()>().await;
            }
            response
        }
    };
    let marked = |path| web::resource(path).wrap(metrics.route_marker()).to(|| async { "a chair" });
    let app = App::new()
        .service(marked("/slow"))
        .service(marked("/items"))
        .wrap(from_fn(wait))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    let slow = rt::spawn(app.call(TestRequest::with_uri("/slow").to_request()));
    rt::task::yield_now().await;
    assert!(!waits.get());
    for _ in 0..3 {
        read_body(call_service(&app, TestRequest::with_uri("/items").to_request()).await).await;
    }
    slow.abort();
    assert!(slow.await.is_err_and(|error| error.is_cancelled()));
    let summary = metrics.registry().summary();
    let seen: Vec<_> = summary.endpoints.iter().map(|row| (&*row.name.route, row.figures.calls)).collect();
    assert_eq!(seen, [("/items", 3), ("/slow", 1)]);
    assert_eq!(summary.endpoints[1].figures.outcomes, [(Outcome::Aborted, 1)]);
}

#[actix_web::test]
async fn nobody_is_a_consumer_where_none_are_counted() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new().route("/waits", web::to(waits)).wrap(metrics.middleware());
    let app = init_service(app).await;
    drop(app.call(TestRequest::with_uri("/waits").to_request()));
    let snapshot = metrics.registry().snapshot();
    assert_eq!(snapshot.summary().total.aborted, 1);
    assert!(snapshot.consumers().is_empty(), "{:?}", snapshot.consumers());
}

#[actix_web::test]
async fn a_scope_that_finds_nothing_is_no_call_of_a_resource_with_the_same_literals_and_names() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let ok = || web::to(|| async { HttpResponse::Ok().finish() });
    let app = App::new()
        .route(r"/items/{id:\d+}", ok())
        .service(web::scope("/items/{id}").route("/parts", ok()))
        .service(web::resource([r"/a/{id:\d+}", r"/b/{id:\d+}"]).guard(guard::Get()).route(ok()))
        .service(web::scope("/b/{id}").route("/parts", ok()))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for _ in 0..3 {
        for (path, status) in [("/items/7", 200), ("/items/x", 404), ("/b/7", 200), ("/b/x", 404)] {
            let response = call_service(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!(response.status(), status, "{path}");
            read_body(response).await;
        }
    }
    let summary = metrics.registry().summary();
    let mut seen: Vec<_> =
        summary.endpoints.iter().map(|row| (row.name.route.to_string(), row.figures.calls)).collect();
    seen.sort();
    let expected = [("/b/{id}", 3), ("/items/{id}", 3), ("_unmatched", 6)];
    assert_eq!(seen, expected.map(|(route, calls)| (route.to_owned(), calls)));
}
