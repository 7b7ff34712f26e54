//! Storms of requests on a real server, one for each way to end: each request is counted once, as what it was.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::time::{sleep, timeout};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpResponse, error};
use futures_util::stream::{self, StreamExt};
use metrics_actix::{Metrics, Until};
use metrics_core::{Outcome, Summary};
use tests::{Raw, Server, settled};

/// Requests in each storm.
const STORM: u64 = 40;

/// Which requests of the storm of resets have reached their handler, for both ways to measure.
static ARRIVED: [AtomicBool; 2 * STORM as usize] = [const { AtomicBool::new(false) }; 2 * STORM as usize];

async fn arrives(ticket: web::Path<usize>) -> &'static str {
    ARRIVED[*ticket].store(true, Ordering::Release);
    std::future::pending().await
}

/// How many of the late requests of the storm over HTTP/2 may be answered, for both ways to measure.
static LET_GO: AtomicUsize = AtomicUsize::new(0);

async fn late(ticket: web::Path<usize>) -> &'static str {
    while LET_GO.load(Ordering::Acquire) <= *ticket {
        sleep(Duration::from_millis(1)).await;
    }
    "late"
}

fn routes(config: &mut ServiceConfig) {
    let slow = || async {
        sleep(Duration::from_secs(60)).await;
        "never"
    };
    let panics = || async {
        sleep(Duration::from_millis(1)).await;
        if true {
            panic!("a test panics");
        }
        ""
    };
    let refuse = |_: ServiceRequest, _: Next<BoxBody>| async {
        Err::<ServiceResponse, _>(error::ErrorForbidden("not you"))
    };
    let impatient = |request: ServiceRequest, next: Next<BoxBody>| async move {
        let answered = timeout(Duration::from_millis(5), next.call(request)).await;
        answered.unwrap_or_else(|_| Err(error::ErrorGatewayTimeout("too slow")))
    };
    config
        .route("/fine", web::get().to(|| async { "fine" }))
        .route("/fine", web::head().to(|| async { "fine" }))
        .route("/empty", web::get().to(|| async { HttpResponse::NoContent().finish() }))
        .route("/slow", web::get().to(slow))
        .route("/arrives/{ticket}", web::get().to(arrives))
        .route("/late/{ticket}", web::get().to(late))
        .route("/panics", web::get().to(panics))
        .route("/endless", web::get().to(|| async { HttpResponse::Ok().streaming(endless()) }))
        .route("/large", web::get().to(large))
        .route("/breaks", web::get().to(breaks))
        .route("/short", web::get().to(short))
        .route("/panics-late", web::get().to(panics_late))
        .route("/events", web::get().to(events))
        .route("/upgrade", web::get().to(upgrade))
        .service(web::resource("/impatient").wrap(from_fn(impatient)).to(slow))
        .service(web::resource("/refused").wrap(from_fn(refuse)).to(|| async { "" }));
}

fn endless() -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::repeat(()).then(|()| async {
        sleep(Duration::from_millis(1)).await;
        Ok(Bytes::from_static(b"and so on "))
    })
}

/// A body larger than the socket buffers between server and client.
async fn large() -> HttpResponse {
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let chunks = stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())).take(64);
    HttpResponse::Ok().no_chunking(64 << 20).streaming(chunks)
}

async fn breaks() -> HttpResponse {
    let chunks = [Ok(Bytes::from_static(b"so far so good")), Err(error::ErrorInternalServerError("no more"))];
    HttpResponse::Ok().streaming(stream::iter(chunks))
}

/// A body that ends before the length that its head announces.
async fn short() -> HttpResponse {
    let chunks = [Ok::<_, Infallible>(Bytes::from_static(b"so far so good"))];
    HttpResponse::Ok().no_chunking(1_000).streaming(stream::iter(chunks))
}

/// A body that panics half-way.
async fn panics_late() -> HttpResponse {
    let chunks = stream::iter(0..).map(|i| {
        assert!(i < 1, "a test panics");
        Ok::<_, Infallible>(Bytes::from_static(b"so far so good"))
    });
    HttpResponse::Ok().streaming(chunks)
}

async fn events() -> HttpResponse {
    HttpResponse::Ok().content_type("text/event-stream").streaming(endless())
}

async fn upgrade() -> HttpResponse {
    HttpResponse::SwitchingProtocols().upgrade("nonsense").streaming(endless())
}

fn count(summary: &Summary, outcome: Outcome) -> u64 {
    let outcomes = &summary.total.outcomes;
    outcomes.iter().find(|(known, _)| *known == outcome).map_or(0, |&(_, count)| count)
}

/// Runs a storm of one kind of request against a new server, for both ways to measure. `ends` sends one request and
/// ends it in the storm's way; `calls` is the number of calls that it makes.
fn storm(calls: u64, ends: impl Fn(&Server, &Metrics) + Sync, check: impl Fn(&Summary)) {
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("storm").measure(until).build().unwrap();
        let server = Server::start(2, &metrics, routes);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..STORM / 4).for_each(|_| ends(&server, &metrics)));
            }
        });
        settled(&metrics, calls * STORM);
        // A body may end after its call was counted.
        drop(server);
        let summary = metrics.registry().summary();
        check(&summary);
        assert_eq!((summary.total.calls, summary.in_flight, summary.open_streams), (calls * STORM, 0, 0));
    }
}

/// Checks the figures of a storm whose requests all ended in one way.
fn all(outcome: Outcome, truncated: bool) -> impl Fn(&Summary) {
    move |summary| {
        assert_eq!(summary.total.outcomes, [(outcome, STORM)]);
        let truncated = if truncated { STORM } else { 0 };
        let aborted = truncated + if outcome == Outcome::Aborted { STORM } else { 0 };
        assert_eq!((summary.total.truncated, summary.total.aborted), (truncated, aborted));
        assert_eq!(summary.total.errors, if outcome.is_error() { STORM } else { 0 });
        assert_eq!(summary.open_streams, 0);
    }
}

const OK: Outcome = Outcome::Status(200);

#[test]
fn clients_that_reset_while_the_handler_runs_are_aborted() {
    let reset = |server: &Server, _: &Metrics| {
        static TICKETS: AtomicUsize = AtomicUsize::new(0);
        let ticket = TICKETS.fetch_add(1, Ordering::Relaxed) % ARRIVED.len();
        let mut client = server.raw();
        client.request("GET", &format!("/arrives/{ticket}"));
        while !ARRIVED[ticket].load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        client.reset();
    };
    storm(1, reset, all(Outcome::Aborted, false));
}

#[test]
fn clients_that_close_their_writing_side_still_get_their_response() {
    let finish = |server: &Server, _: &Metrics| {
        let mut client = server.raw();
        client.request("GET", "/fine");
        client.finish();
        assert!(client.read_until("\r\n\r\nfine").ends_with("fine"));
    };
    storm(1, finish, all(OK, false));
}

#[test]
fn pipelined_requests_are_counted_one_by_one() {
    let pipeline = |server: &Server, _: &Metrics| {
        let mut client = server.raw();
        client.write("GET /fine HTTP/1.1\r\nhost: test\r\n\r\n".repeat(10));
        let read =
            client.read_while(|read| String::from_utf8_lossy(read).matches("\r\n\r\nfine").count() < 10);
        assert_eq!(read.matches("HTTP/1.1 200 OK").count(), 10);
    };
    storm(10, pipeline, |summary| {
        assert_eq!(summary.total.outcomes, [(OK, 10 * STORM)]);
        assert_eq!(summary.total.response_bytes, 10 * STORM * "fine".len() as u64);
    });
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    let heads = |server: &Server, _: &Metrics| {
        let mut client = server.raw();
        client.request("HEAD", "/fine");
        client.read_until("\r\n\r\n");
        client.request("GET", "/empty");
        client.read_until("\r\n\r\n");
    };
    storm(2, heads, |summary| {
        assert_eq!(summary.total.outcomes, [(OK, STORM), (Outcome::Status(204), STORM)]);
        assert_eq!((summary.total.aborted, summary.total.response_bytes), (0, 0));
    });
}

#[test]
fn a_request_is_in_flight_until_its_head_or_until_the_end_of_its_body() {
    for (until, calls, in_flight) in [(Until::Head, 1, 0), (Until::BodyEnd, 0, 1)] {
        let metrics = Metrics::builder("ends").measure(until).build().unwrap();
        let server = Server::start(1, &metrics, routes);
        let mut client = server.raw();
        client.request("GET", "/endless");
        client.read_until("and so on");
        let begun = std::time::Instant::now();
        let summary = metrics.registry().summary();
        assert_eq!((summary.total.calls, summary.in_flight), (calls, in_flight), "{until:?}");
        client.read_while(|read| read.len() < 1_000);
        let at_least = begun.elapsed();
        client.reset();
        let longest = settled(&metrics, 1).total.max;
        assert!(until == Until::Head || longest >= at_least, "{longest:?} {at_least:?}");
    }
}

#[test]
fn streams_that_clients_leave_half_way_count_as_aborted_with_their_status() {
    for path in ["/endless", "/large"] {
        let leave = |server: &Server, _: &Metrics| {
            let mut client = server.raw();
            client.request("GET", path);
            client.read_until("\r\n\r\n");
            client.reset();
        };
        storm(1, leave, all(OK, true));
    }
}

#[test]
fn streams_that_fail_half_way_count_as_aborted_with_their_status() {
    for path in ["/breaks", "/short", "/panics-late"] {
        let read = |server: &Server, _: &Metrics| {
            let mut client = server.raw();
            client.request("GET", path);
            let read = client.read_while(|_| true);
            assert!(!read.ends_with("0\r\n\r\n"), "{read}");
        };
        storm(1, read, |summary| {
            all(OK, true)(summary);
            // The announced length, or else the bytes that were sent.
            let bytes = if path == "/short" { 1_000 } else { "so far so good".len() as u64 };
            assert_eq!(summary.total.response_bytes, STORM * bytes, "{path}");
        });
    }
}

#[test]
fn panics_are_errors_of_their_own() {
    let panic = |server: &Server, _: &Metrics| {
        let mut client = server.raw();
        client.request("GET", "/panics");
        assert_eq!(client.read_while(|_| true), "");
    };
    storm(1, panic, all(Outcome::Panicked, false));
}

#[test]
fn errors_of_inner_middlewares_count_with_their_status() {
    for (path, status) in [("/refused", StatusCode::FORBIDDEN), ("/impatient", StatusCode::GATEWAY_TIMEOUT)] {
        let refused = |server: &Server, _: &Metrics| {
            let mut client = server.raw();
            client.request("GET", path);
            assert!(client.read_until("\r\n\r\n").contains(status.as_str()));
        };
        storm(1, refused, all(Outcome::Status(status.as_u16()), false));
    }
}

#[test]
fn open_streams_are_counted_as_open_and_spoil_no_percentile() {
    for (path, status) in [("/events", 200), ("/upgrade", 101)] {
        for until in [Until::Head, Until::BodyEnd] {
            let metrics = Metrics::builder("streams").measure(until).build().unwrap();
            let server = Server::start(2, &metrics, routes);
            let mut clients: Vec<Raw> = (0..5).map(|_| server.raw()).collect();
            for client in &mut clients {
                client.write(format!(
                    "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: nonsense\r\n\r\n"
                ));
                client.read_until("and so on");
            }
            let summary = settled(&metrics, 5);
            assert_eq!((summary.open_streams, count(&summary, Outcome::Status(status))), (5, 5));
            clients[0].read_while(|read| read.len() < 1_000);
            clients.into_iter().for_each(Raw::reset);
            let closed = wait_for(&metrics, |summary| summary.open_streams == 0);
            assert_eq!((closed.total.calls, closed.total.aborted), (5, 0));
            // Only the records of their opening exist.
            assert_eq!((closed.total.max, closed.total.sum), (summary.total.max, summary.total.sum));
            assert!(closed.total.response_bytes >= 1_000);
        }
    }
}

fn wait_for(metrics: &Metrics, holds: impl Fn(&Summary) -> bool) -> Summary {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let summary = metrics.registry().summary();
        if holds(&summary) {
            return summary;
        }
        assert!(std::time::Instant::now() < deadline, "{summary:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn http_2_streams_that_are_reset_are_counted_once() {
    for (run, until) in [Until::Head, Until::BodyEnd].into_iter().enumerate() {
        let metrics = Metrics::builder("h2").measure(until).build().unwrap();
        let server = Server::start(2, &metrics, routes);
        let mut client = server.http2(65_535);
        // Half of them during the handler, which actix-web runs to its end, and half during the body.
        for i in 0..STORM {
            let ticket = run * STORM as usize + i as usize;
            let path = if i % 2 == 0 { format!("/late/{ticket}") } else { "/endless".to_owned() };
            let stream = client.get(&path);
            wait_for(&metrics, |summary| summary.in_flight == 1 || summary.total.calls > i);
            client.reset(stream);
            // Else the handler's answer may be sent before the server knows that nobody wants it.
            client.wait_until_read();
            LET_GO.store(ticket + 1, Ordering::Release);
            wait_for(&metrics, |summary| summary.total.truncated > i);
        }
        all(OK, true)(&settled(&metrics, STORM));
    }
}
