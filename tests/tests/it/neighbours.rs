//! Each request is counted once: with other middlewares, on several listeners, and after the end of a worker.

use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::middleware::{Compress, Condition, DefaultHeaders, ErrorHandlers, Logger, NormalizePath};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error, HttpResponse, HttpServer, error};
use metrics_actix::{Metrics, Until};
use metrics_core::Outcome;
use tests::{Server, settled};

fn shop(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/fails", web::get().to(|| async { Err::<&str, _>(error::ErrorBadGateway("no chairs")) }));
}

#[actix_web::test]
async fn with_the_middlewares_of_actix_web_each_request_is_counted_once() {
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("shop").measure(until).build().unwrap();
        let app = App::new()
            .configure(shop)
            .wrap(ErrorHandlers::new())
            .wrap(DefaultHeaders::new().add(("x-version", "1")))
            .wrap(Logger::default())
            .wrap(Condition::new(true, metrics.middleware()))
            // Outside of ours: it changes the path before and the body after our middleware.
            .wrap(Compress::default())
            .wrap(NormalizePath::trim());
        let app = init_service(app).await;
        for (path, status) in [("/items/1/", 200), ("//items//2", 200), ("/fails", 502), ("/nowhere", 404)] {
            let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            read_body(response).await;
        }
        let summary = metrics.registry().summary();
        let expected = [(Outcome::Status(200), 2), (Outcome::Status(404), 1), (Outcome::Status(502), 1)];
        assert_eq!(summary.total.outcomes, expected);
        assert_eq!((summary.in_flight, summary.total.aborted), (0, 0));
        assert_eq!(&*summary.endpoints[0].name.route, "/items/{id}");
    }
}

#[actix_web::test]
async fn a_body_keeps_its_size_and_returns_its_bytes_without_being_polled() {
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("shop").measure(until).build().unwrap();
        let app = init_service(App::new().configure(shop).wrap(metrics.middleware())).await;
        let response = call_service(&app, TestRequest::get().uri("/items/1").to_request()).await;
        let body = response.into_body();
        assert_eq!(body.size(), BodySize::Sized(7));
        let expected = if until == Until::Head { (1, 0) } else { (0, 1) };
        let summary = metrics.registry().summary();
        assert_eq!((summary.total.calls, summary.in_flight), expected);
        assert_eq!(body.try_into_bytes().unwrap_or_default(), "a chair");
        let summary = metrics.registry().summary();
        assert_eq!((summary.total.calls, summary.in_flight, summary.total.aborted), (1, 0, 0));
        assert_eq!(summary.total.response_bytes, 7);
    }
}

/// A service that is always busy.
struct Busy;

impl Service<ServiceRequest> for Busy {
    type Response = ServiceResponse;
    type Error = Error;
    type Future = Ready<Result<ServiceResponse, Error>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Pending
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        ready(Ok(request.into_response(HttpResponse::Ok().finish())))
    }
}

#[actix_web::test]
async fn a_service_that_is_busy_is_busy_with_ours_around_it() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let measured = metrics.middleware().new_transform(Busy).await.unwrap();
    let marked = metrics.route_marker().new_transform(Busy).await.unwrap();
    let context = &mut Context::from_waker(Waker::noop());
    assert!(measured.poll_ready(context).is_pending());
    assert!(marked.poll_ready(context).is_pending());
}

#[actix_web::test]
async fn a_default_service_that_answers_is_unmatched() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new()
        .configure(shop)
        .default_service(web::to(|| async { HttpResponse::Ok().body("a page of the front end") }))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for path in ["/", "/about", "/items", "/about"] {
        read_body(call_service(&app, TestRequest::get().uri(path).to_request()).await).await;
    }
    let endpoints = metrics.registry().summary().endpoints;
    let seen: Vec<_> = endpoints.iter().map(|e| (&*e.name.route, e.figures.calls)).collect();
    assert_eq!(seen, [("_unmatched", 4)]);
}

#[actix_web::test]
async fn a_route_with_a_tail_is_distinguished_from_the_same_one_without() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new()
        .route(r"/files/{path:\d+}", web::get().to(|| async { "" }))
        .route("/files/{path}*", web::get().to(|| async { "" }))
        .route("/pages/{path}", web::get().to(|| async { "" }))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for path in ["/files/1", "/files/a", "/files/2", "/files/a/b", "/files/3", "/files/c", "/pages/1"] {
        call_service(&app, TestRequest::get().uri(path).to_request()).await;
    }
    let endpoints = metrics.registry().summary().endpoints;
    let seen: Vec<_> = endpoints.iter().map(|e| (&*e.name.route, e.figures.calls)).collect();
    assert_eq!(seen, [("/files/{path}", 3), ("/files/{path}*", 3), ("/pages/{path}", 1)]);
}

#[test]
fn several_listeners_and_workers_share_one_monitor() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let system = actix_web::rt::System::new();
    let shared = metrics.clone();
    let (addrs, handle) = system.block_on(async {
        let app = move || App::new().configure(shop).wrap(shared.middleware());
        let server = HttpServer::new(app).workers(2).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap().bind("127.0.0.1:0").unwrap();
        let addrs = server.addrs();
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        (addrs, handle)
    });
    assert_eq!(addrs.len(), 2);
    let clients = std::thread::spawn(move || {
        for i in 0..100 {
            let url = format!("http://{}/items/{i}", addrs[i % 2]);
            assert_eq!(ureq::get(url).call().unwrap().status(), 200);
        }
    });
    system.block_on(async {
        while !clients.is_finished() {
            actix_web::rt::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        handle.stop(true).await;
    });
    clients.join().unwrap();
    assert_eq!(settled(&metrics, 100).total.outcomes, [(Outcome::Status(200), 100)]);
    // A worker has one shard for all of its listeners and apps.
    assert!(metrics.registry().snapshot().health().shards <= 2);
}

#[test]
fn counts_of_workers_stay_after_their_end_and_later_workers_continue_them() {
    let metrics = Metrics::builder("shop").build().unwrap();
    for round in 1..=3 {
        let server = Server::start(2, &metrics, shop);
        for i in 0..10 {
            assert_eq!(server.client().send("GET", &format!("/items/{i}")).status, 200);
        }
        settled(&metrics, 10 * round);
    }
    // The workers of the second and third server took over the first server's shards.
    assert!(metrics.registry().snapshot().health().shards <= 2);
}
