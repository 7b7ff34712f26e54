//! Bytes of bodies: what the service read and what it sent, not what anybody says; and bodies that never arrive.

use std::time::Duration;

use actix_web::dev::Service;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web::{self, Bytes, BytesMut, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse};
use futures_util::StreamExt;
use metrics_actix::{Metrics, Until};
use metrics_core::{EndpointSummary, Outcome};
use tests::{Raw, Server, settled};

const BIG: usize = 20_000_000;

fn service(config: &mut ServiceConfig) {
    let whole = |mut body: web::Payload| async move {
        let mut read = BytesMut::new();
        while let Some(piece) = body.next().await {
            read.extend_from_slice(&piece?);
        }
        Ok::<_, actix_web::Error>(read.freeze())
    };
    let first = |mut body: web::Payload| async move {
        let piece = body.next().await.unwrap()?;
        Ok::<_, actix_web::Error>(piece.len().to_string())
    };
    // Echoes what it reads after its answer, as a web socket does.
    let socket = |body: web::Payload| async move {
        HttpResponse::SwitchingProtocols().upgrade("websocket").streaming(body)
    };
    let streamed = || async {
        let pieces = (0..BIG / 100_000).map(|_| Ok::<_, actix_web::Error>(Bytes::from(vec![b'x'; 100_000])));
        HttpResponse::Ok().streaming(futures_util::stream::iter(pieces))
    };
    config
        .route("/whole", web::to(whole))
        .route("/first", web::post().to(first))
        .route("/unread", web::post().to(|_: HttpRequest| async { "" }))
        .route("/socket", web::get().to(socket))
        .route("/big", web::get().to(|| async { vec![b'x'; BIG] }))
        .route("/streamed", web::get().to(streamed));
}

fn of_route(metrics: &Metrics, route: &str) -> EndpointSummary {
    let endpoints = metrics.registry().summary().endpoints;
    endpoints.into_iter().find(|endpoint| &*endpoint.name.route == route).unwrap()
}

#[test]
fn nobody_can_set_the_bytes_of_requests_by_saying_how_long_a_body_is() {
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(until).build().unwrap();
        let server = Server::start(1, &metrics, service);
        let mut calls = 0;
        for (path, status) in [("/nope", "404"), ("/unread", "200")] {
            let mut client = server.raw();
            client.write(format!("POST {path} HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000000000\r\n\r\n"));
            assert!(client.read_until("\r\n\r\n").contains(status));
            calls += 1;
            let total = settled(&metrics, calls).total;
            assert_eq!(total.request_bytes, 0, "{path}");
        }
        // The service waits for the body, of which two bytes arrive.
        let mut client = server.raw();
        client.write("POST /whole HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000000000\r\n\r\nab");
        std::thread::sleep(Duration::from_millis(100));
        client.reset();
        let total = settled(&metrics, calls + 1).total;
        assert!(total.request_bytes <= 2, "{}", total.request_bytes);
    }
}

fn post(client: &mut Raw, path: &str, head: &str, body: &str) -> String {
    client.write(format!("POST {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{head}\r\n{body}"));
    client.read_while(|_| true)
}

#[test]
fn the_bytes_of_requests_are_those_that_the_service_read() {
    let metrics = Metrics::builder("test").build().unwrap();
    let server = Server::start(1, &metrics, service);
    let body = post(&mut server.raw(), "/whole", "content-length: 5\r\n", "hello");
    assert!(body.ends_with("hello"));
    // Without its framing.
    let chunked = "transfer-encoding: chunked\r\n";
    let body = post(&mut server.raw(), "/whole", chunked, "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    assert!(body.contains("abc") && body.contains("defg"), "{body}");
    let read = post(&mut server.raw(), "/first", "content-length: 3\r\n", "abc");
    assert!(read.ends_with('3'));
    post(&mut server.raw(), "/unread", "content-length: 3\r\n", "abc");
    post(&mut server.raw(), "/whole", "content-length: 0\r\n", "");
    // GET may have a body, too.
    let mut client = server.raw();
    client.write("GET /whole HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
    assert!(client.read_while(|_| true).ends_with("hi"));
    settled(&metrics, 6);
    for (route, bytes) in [("/first", 3), ("/unread", 0)] {
        assert_eq!(of_route(&metrics, route).figures.request_bytes, bytes, "{route}");
    }
    let total = metrics.registry().summary().total;
    assert_eq!((total.request_bytes, total.response_bytes, total.aborted), (5 + 7 + 3 + 2, 5 + 7 + 1 + 2, 0));
}

#[test]
fn what_a_web_socket_reads_after_its_answer_is_counted_while_it_is_open() {
    let metrics = Metrics::builder("test").build().unwrap();
    let server = Server::start(1, &metrics, service);
    let mut client = server.raw();
    client.write("GET /socket HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    client.read_until("\r\n\r\n");
    settled(&metrics, 1);
    for word in ["one", "three"] {
        client.write(word);
        assert!(client.read_until(word).contains(word));
    }
    let figures = of_route(&metrics, "/socket").figures;
    assert_eq!((figures.outcomes, figures.request_bytes), (vec![(Outcome::Status(101), 1)], 8));
    assert_eq!(metrics.registry().summary().open_streams, 1);
    client.reset();
}

#[actix_web::test]
async fn a_body_that_is_read_after_its_request_was_excluded_counts_nowhere() {
    let metrics = Metrics::builder("test").exclude("/whole").build().unwrap();
    let app = init_service(App::new().configure(service).wrap(metrics.middleware())).await;
    for _ in 0..3 {
        let request = TestRequest::post().uri("/whole").set_payload("hello");
        assert_eq!(read_body(call_service(&app, request.to_request()).await).await, "hello");
    }
    let request = TestRequest::post().uri("/first").set_payload("abc");
    read_body(call_service(&app, request.to_request()).await).await;
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.total.request_bytes, summary.in_flight), (1, 3, 0));
}

#[actix_web::test]
async fn bytes_that_were_read_before_a_request_was_dropped_are_counted() {
    let metrics = Metrics::builder("test").build().unwrap();
    let stuck = |mut body: web::Payload| async move {
        body.next().await.unwrap().unwrap();
        std::future::pending::<()>().await;
        ""
    };
    let app = App::new().route("/", web::post().to(stuck)).wrap(metrics.middleware());
    let app = init_service(app).await;
    let call = app.call(TestRequest::post().set_payload("four").to_request());
    assert!(actix_web::rt::time::timeout(Duration::from_millis(5), call).await.is_err());
    let total = metrics.registry().summary().total;
    assert_eq!((total.outcomes, total.request_bytes), (vec![(Outcome::Aborted, 1)], 4));
}

#[test]
fn a_large_body_that_its_client_never_reads_counts_as_broken_off() {
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(until).build().unwrap();
        let server = Server::start(1, &metrics, service);
        let mut calls = 0;
        for path in ["/big", "/streamed"] {
            for _ in 0..5 {
                let mut client = server.raw();
                client.request("GET", path);
                assert!(client.read_while(|read| read.len() < 100).starts_with("HTTP/1.1 200 OK"));
                client.reset();
                calls += 1;
                let total = settled(&metrics, calls).total;
                let deadline = std::time::Instant::now() + Duration::from_secs(10);
                while metrics.registry().summary().total.truncated < calls {
                    assert!(std::time::Instant::now() < deadline, "{path} {until:?} {total:?}");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        let total = settled(&metrics, calls).total;
        assert_eq!((total.outcomes, total.aborted), (vec![(Outcome::Status(200), calls)], calls));
        // Those that are read are whole.
        for path in ["/big", "/streamed"] {
            assert_eq!(server.client().send_with("GET", path, &[]).body.len(), BIG);
            calls += 1;
        }
        assert_eq!(settled(&metrics, calls).total.aborted, calls - 2);
    }
}
