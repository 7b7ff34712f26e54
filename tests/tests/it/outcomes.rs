//! Each request is counted once, however it ends.

use std::future::{Ready, ready};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, try_call_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error, error};
use metrics_actix::Metrics;
use metrics_core::Outcome;
use socket2::SockRef;
use tests::Server;

fn outcomes(metrics: &Metrics) -> Vec<(Outcome, u64)> {
    metrics.registry().summary().total.outcomes
}

#[actix_web::test]
async fn an_error_of_an_inner_middleware_counts_with_its_status_and_is_passed_on() {
    let metrics = Metrics::builder("test").build().unwrap();
    let refuse = |_: ServiceRequest, _| -> Ready<Result<ServiceResponse, Error>> {
        ready(Err(error::ErrorForbidden("not you")))
    };
    let app = App::new().wrap(from_fn(refuse)).wrap(metrics.middleware());
    let app = init_service(app).await;
    let error = try_call_service(&app, TestRequest::get().to_request()).await.unwrap_err();
    assert_eq!(error.to_string(), "not you");
    // No response was made of it, so it counts when it is dropped.
    drop(error);
    let summary = metrics.registry().summary();
    assert_eq!(summary.total.outcomes, [(Outcome::Status(403), 1)]);
    assert_eq!(summary.recent_errors[0].message, "not you");
    assert_eq!(summary.in_flight, 0);
}

#[actix_web::test]
async fn a_dropped_request_is_aborted_and_leaves_in_flight_at_zero() {
    let metrics = Metrics::builder("test").build().unwrap();
    let never = || async {
        std::future::pending::<()>().await;
        ""
    };
    let app = init_service(App::new().route("/", web::get().to(never)).wrap(metrics.middleware())).await;
    let call = app.call(TestRequest::get().to_request());
    assert_eq!(metrics.registry().summary().in_flight, 1);
    assert!(actix_web::rt::time::timeout(Duration::from_millis(5), call).await.is_err());
    let summary = metrics.registry().summary();
    assert_eq!((summary.in_flight, summary.total.aborted, summary.total.errors), (0, 1, 0));
    assert_eq!(summary.total.calls, 1);
}

#[actix_web::test]
async fn the_apps_of_a_thread_share_one_shard() {
    let metrics = Metrics::builder("test").build().unwrap();
    for _ in 0..3 {
        let app = App::new().route("/", web::get().to(|| async { "" })).wrap(metrics.middleware());
        let app = init_service(app).await;
        call_service(&app, TestRequest::get().to_request()).await;
    }
    let snapshot = metrics.registry().snapshot();
    assert_eq!((snapshot.health().shards, snapshot.histogram().total()), (1, 3));
}

fn troublesome(config: &mut ServiceConfig) {
    let panics = || async {
        if true {
            panic!("a test panics");
        }
        ""
    };
    let slow = || async {
        actix_web::rt::time::sleep(Duration::from_secs(20)).await;
        ""
    };
    config.route("/panics", web::get().to(panics)).route("/slow", web::get().to(slow));
    config.route("/fine", web::get().to(|| async { "" }));
}

fn send(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    stream
}

/// Sends a request and resets the connection as soon as the request is in flight.
fn send_and_leave(server: &Server, metrics: &Metrics, path: &str) {
    let stream = send(server, path);
    let deadline = Instant::now() + Duration::from_secs(10);
    while metrics.registry().summary().in_flight == 0 {
        assert!(Instant::now() < deadline, "the request never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Without lingering, the drop sends RST instead of FIN.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits until nothing is in flight, since a server takes a moment to notice that a client is gone.
fn settled(metrics: &Metrics, calls: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let summary = metrics.registry().summary();
        if summary.in_flight == 0 && summary.total.calls == calls {
            return;
        }
        assert!(Instant::now() < deadline, "{summary:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn panics_and_clients_that_leave_are_counted_once_on_a_real_server() {
    let metrics = Metrics::builder("test").build().unwrap();
    let server = Server::start(2, &metrics, troublesome);
    for round in 1..=5 {
        send_and_leave(&server, &metrics, "/slow");
        settled(&metrics, 3 * round - 2);
        // The server closes the connection without a response.
        let mut nothing = Vec::new();
        assert!(send(&server, "/panics").read_to_end(&mut nothing).is_err() || nothing.is_empty());
        assert_eq!(server.client().send("GET", "/fine").status, 200);
        settled(&metrics, 3 * round);
    }
    let expected = [(Outcome::Status(200), 5), (Outcome::Aborted, 5), (Outcome::Panicked, 5)];
    assert_eq!(outcomes(&metrics), expected);
    let total = metrics.registry().summary().total;
    assert_eq!((total.errors, total.aborted, total.panicked), (5, 5, 5));
    // Who leaves is no error of the service.
    let errors = metrics.registry().recent_errors();
    assert_eq!(errors.iter().map(|error| error.outcome).collect::<Vec<_>>(), [Outcome::Panicked; 5]);
}
