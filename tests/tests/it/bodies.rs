//! Bytes of bodies: what the service read and what it sent, not what anybody says; and bodies that never arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::SizedStream;
use actix_web::dev::Service;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web::{self, Bytes, BytesMut, ServiceConfig};
use actix_web::{App, Error, HttpRequest, HttpResponse, rt};
use futures_util::{StreamExt, stream};
use metrics_actix::{Metrics, Until};
use metrics_core::{EndpointSummary, Outcome, Summary};
use tests::{Raw, Server, settled};

const BIG: usize = 20_000_000;

fn service(config: &mut ServiceConfig) {
    let whole = |mut body: web::Payload| async move {
        let mut read = BytesMut::new();
        while let Some(piece) = body.next().await {
            read.extend_from_slice(&piece?);
        }
        Ok::<_, Error>(read.freeze())
    };
    let first = |mut body: web::Payload| async move {
        let piece = body.next().await.unwrap()?;
        Ok::<_, Error>(piece.len().to_string())
    };
    // Echoes what it reads after its answer, as a web socket does.
    let socket = |body: web::Payload| async move {
        HttpResponse::SwitchingProtocols().upgrade("websocket").streaming(body)
    };
    let streamed = || async {
        let pieces = (0..BIG / 100_000).map(|_| Ok::<_, Error>(Bytes::from(vec![b'x'; 100_000])));
        HttpResponse::Ok().streaming(stream::iter(pieces))
    };
    config
        .route("/whole", web::to(whole))
        .route("/first", web::post().to(first))
        .route("/unread", web::post().to(|_: HttpRequest| async { "" }))
        .route("/socket", web::get().to(socket))
        .route("/big", web::get().to(|| async { vec![b'x'; BIG] }))
        .route("/streamed", web::get().to(streamed))
        .route("/short", web::get().to(short))
        .route("/events", web::get().to(events))
        .route("/no-content", web::get().to(|| async { HttpResponse::NoContent().body("nobody reads this") }))
        .route("/unchanged", web::get().to(|| async { HttpResponse::NotModified().body("nor this") }));
}

/// Ends seven bytes before the length that it announces.
async fn short() -> HttpResponse {
    HttpResponse::Ok().body(SizedStream::new(10, stream::iter([Ok::<_, Error>(Bytes::from_static(b"abc"))])))
}

/// One event, and then silence.
async fn events() -> HttpResponse {
    let event = stream::iter([Ok::<_, Error>(Bytes::from_static(b"data: 1\n\n"))]);
    HttpResponse::Ok()
        .content_type("Text/Event-Stream; charset=utf-8")
        .streaming(event.chain(stream::pending()))
}

/// Waits until the figures are as wanted.
fn wait_until(metrics: &Metrics, wanted: impl Fn(&Summary) -> bool) -> Summary {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let summary = metrics.registry().summary();
        if wanted(&summary) {
            return summary;
        }
        assert!(Instant::now() < deadline, "{summary:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
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
    for measure in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(measure).build().unwrap();
        let server = Server::start(1, &metrics, service);
        let mut calls = 0;
        for path in ["/big", "/streamed"] {
            for _ in 0..5 {
                let mut client = server.raw();
                client.request("GET", path);
                assert!(client.read_while(|read| read.len() < 100).starts_with("HTTP/1.1 200 OK"));
                client.reset();
                calls += 1;
                settled(&metrics, calls);
                wait_until(&metrics, |summary| summary.total.truncated == calls);
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

#[test]
fn a_body_that_ends_before_its_announced_length_counts_as_broken_off() {
    for measure in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(measure).build().unwrap();
        let server = Server::start(1, &metrics, service);
        for calls in 1..=3 {
            let mut client = server.raw();
            client.request("GET", "/short");
            // The server closes the connection, since the client would wait for the rest.
            client.read_while(|_| true);
            let total = wait_until(&metrics, |summary| summary.total.truncated == calls).total;
            assert_eq!((total.outcomes, total.aborted), (vec![(Outcome::Status(200), calls)], calls));
        }
    }
}

#[test]
fn a_request_that_is_measured_until_its_body_ends_is_under_way_until_the_last_byte() {
    let metrics = Metrics::builder("test").measure(Until::BodyEnd).build().unwrap();
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let server = Server::start(1, &metrics, move |config| {
        let gate = Arc::clone(&gate);
        let in_two_pieces = move || {
            let gate = Arc::clone(&gate);
            let second = stream::once(async move {
                while !gate.load(Ordering::Relaxed) {
                    rt::time::sleep(Duration::from_millis(5)).await;
                }
                Ok::<_, Error>(Bytes::from_static(b"second"))
            });
            let first = stream::iter([Ok(Bytes::from_static(b"first, "))]);
            async { HttpResponse::Ok().body(SizedStream::new(13, Box::pin(first.chain(second)))) }
        };
        config.route("/", web::get().to(in_two_pieces));
    });
    let mut client = server.raw();
    client.request("GET", "/");
    assert!(client.read_until("first, ").ends_with("first, "));
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.in_flight), (0, 1));
    open.store(true, Ordering::Relaxed);
    assert_eq!(client.read_until("second"), "second");
    let total = settled(&metrics, 1).total;
    assert_eq!((total.response_bytes, total.aborted), (13, 0));
}

#[test]
fn the_body_of_a_response_that_has_none_by_its_status_is_in_no_figure() {
    for measure in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(measure).build().unwrap();
        let server = Server::start(1, &metrics, service);
        for (path, status) in [("/no-content", 204), ("/unchanged", 304)] {
            let reply = server.client().send("GET", path);
            assert_eq!((reply.status, &*reply.body), (status, ""), "{path}");
        }
        let total = settled(&metrics, 2).total;
        assert_eq!(total.outcomes, [204, 304].map(|status| (Outcome::Status(status), 1)));
        assert_eq!((total.response_bytes, total.aborted), (0, 0), "{measure:?}");
    }
}

#[test]
fn an_event_stream_counts_with_its_head_and_never_as_broken_off() {
    for measure in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(measure).build().unwrap();
        let server = Server::start(1, &metrics, service);
        let mut client = server.raw();
        client.request("GET", "/events");
        assert!(client.read_until("data: 1").contains("200 OK"));
        let summary = settled(&metrics, 1);
        assert_eq!((summary.open_streams, summary.total.response_bytes), (1, 0), "{measure:?}");
        client.reset();
        let total = wait_until(&metrics, |summary| summary.open_streams == 0).total;
        assert_eq!((total.calls, total.response_bytes, total.aborted), (1, 9, 0), "{measure:?}");
    }
}

/// Sends requests over one connection of HTTP/2, and returns the bodies of the answers.
async fn ask_over_http2(server: &Server, requests: &[(&str, Option<&str>, &'static str)]) -> Vec<String> {
    let connection = rt::net::TcpStream::connect(server.addr()).await.unwrap();
    let (client, connection) = h2::client::handshake(connection).await.unwrap();
    let connection = rt::spawn(connection);
    let mut answers = Vec::new();
    for &(method, length, body) in requests {
        let request = ureq::http::Request::builder().method(method).uri("http://test/whole");
        let request =
            length.iter().fold(request, |request, length| request.header("content-length", *length));
        let mut client = client.clone().ready().await.unwrap();
        let (answer, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
        stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
        let mut answer = answer.await.unwrap().into_body();
        let mut read = BytesMut::new();
        while let Some(data) = answer.data().await {
            read.extend_from_slice(&data.unwrap());
        }
        answers.push(String::from_utf8(read.to_vec()).unwrap());
    }
    drop(client);
    connection.await.unwrap().unwrap();
    answers
}

#[test]
fn the_bytes_of_requests_over_http2_are_counted_whether_or_not_their_length_is_announced() {
    let metrics = Metrics::builder("test").build().unwrap();
    let server = Server::start(1, &metrics, service);
    let requests = [("POST", None, "hello"), ("POST", Some("4"), "four"), ("GET", Some("2"), "hi")];
    let answers = rt::System::new().block_on(ask_over_http2(&server, &requests));
    assert_eq!(answers, requests.map(|(_, _, body)| body));
    let total = settled(&metrics, 3).total;
    assert_eq!((total.request_bytes, total.response_bytes), (11, 11));
}
