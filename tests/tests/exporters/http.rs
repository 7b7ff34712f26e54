//! What exporters send over HTTP, and how they treat the answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use metrics_actix::elasticsearch::Elasticsearch;
use metrics_actix::otlp::{Otlp, OtlpBuilder, Protocol};
use metrics_actix::push::{Engine, Exporter};
use metrics_actix::{HttpOptions, Service};
use metrics_core::Registry;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;

use crate::faults::counts;

const INTERVAL: Duration = Duration::from_millis(50);

/// A request's head, and when it arrived.
type Arrived = (String, Instant);

/// Starts a server that sends these answers in turn, and then repeats the last one.
fn server(answers: Vec<Vec<u8>>) -> (SocketAddr, Receiver<Arrived>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (seen, requests) = channel();
    thread::spawn(move || {
        for (turn, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let head = read(&stream).unwrap_or_default();
            let _ = (&stream).write_all(&answers[turn.min(answers.len() - 1)]);
            if seen.send((head, Instant::now())).is_err() {
                return;
            }
        }
    });
    (addr, requests)
}

/// Reads a request, and returns its head.
fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let head = lines.collect::<Vec<_>>().join("\n");
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse().ok());
    reader.read_exact(&mut vec![0; length.unwrap_or(0)]).ok()?;
    Some(head)
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn start(exporter: impl Exporter) -> Engine {
    Engine::builder(Registry::new(), Service::new("shop")).exporter(exporter).start().unwrap()
}

fn otlp(addr: SocketAddr) -> OtlpBuilder {
    Otlp::builder().endpoint(format!("http://{addr}/base/"))
}

fn options() -> HttpOptions {
    HttpOptions::new().interval(INTERVAL)
}

#[test]
fn rejected_data_points_are_counted_and_not_sent_again() {
    let partial =
        ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "too old".to_owned() };
    let partial = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let (addr, requests) = server(vec![answer("200 ", &partial), answer("400 ", b""), answer("200 ", b"")]);
    let engine = start(otlp(addr).http(options().header("api-key", "hunter2")).build().unwrap());
    let after = counts(&engine, |counts| counts.windows_sent == 2);
    assert_eq!((after.rejected, after.windows_dropped, after.attempts_failed), (3, 1, 1));
    assert!(!format!("{after:?} {engine:?}").contains("hunter2"));
    let (head, _) = requests.recv().unwrap();
    assert!(head.starts_with("POST /base/v1/metrics HTTP/1.1\n"), "{head}");
    for header in ["api-key: hunter2", "content-type: application/x-protobuf", "content-encoding: gzip"] {
        assert!(head.contains(header), "{head}");
    }
}

#[test]
fn requests_pause_for_as_long_as_a_server_asks() {
    let busy = answer("429 \r\nretry-after: 2", b"");
    let (addr, requests) = server(vec![busy, answer("200 ", br#"{"errors":false}"#)]);
    let exporter = Elasticsearch::builder(format!("http://{addr}"));
    let exporter = exporter.basic("elastic", "hunter2").http(options()).build().unwrap();
    let engine = start(exporter);
    let (head, first) = requests.recv().unwrap();
    // Encodes `elastic:hunter2`.
    assert!(head.contains("authorization: Basic ZWxhc3RpYzpodW50ZXIy"), "{head}");
    assert!(head.starts_with("POST /logs-http_service-default/_bulk?filter_path=errors,"), "{head}");
    let (_, second) = requests.recv().unwrap();
    assert!(second - first >= Duration::from_millis(1_900), "{:?}", second - first);
    let after = counts(&engine, |counts| counts.windows_sent >= 1);
    assert_eq!((after.attempts_failed, after.windows_dropped), (1, 0));
}

/// An address that nobody has (RFC 5737), so that only a proxy can answer for it.
const FAR: &str = "192.0.2.1";

#[test]
fn a_proxy_forwards_requests_to_http_urls_and_is_asked_for_no_tunnel() {
    let refusal = answer("503 Service Unavailable", b"no key hunter2 here");
    let (proxy, requests) = server(vec![refusal, answer("200 OK", b"")]);
    let options = options().proxy(format!("http://user:hunter2@{proxy}")).header("api-key", "hunter2");
    let engine = start(otlp(format!("{FAR}:4318").parse().unwrap()).http(options).build().unwrap());
    let (head, _) = requests.recv().unwrap();
    assert!(head.starts_with("POST http://192.0.2.1:4318/base/v1/metrics HTTP/1.1\n"), "{head}");
    // Encodes `user:hunter2`.
    for header in ["host: 192.0.2.1:4318", "proxy-authorization: Basic dXNlcjpodW50ZXIy", "api-key: hunter2"]
    {
        assert!(head.lines().any(|line| line == header), "{head}");
    }
    let after = counts(&engine, |counts| counts.failing > 0 || counts.windows_sent > 0);
    let reason = after.last_error.unwrap_or_default();
    let expected =
        format!("192.0.2.1:4318 (through the proxy {proxy}) answered 503 Service Unavailable: \"no key ***");
    assert!(reason.starts_with(&expected) || after.windows_sent > 0, "{reason}");
    counts(&engine, |counts| counts.windows_sent > 0);
}

#[test]
fn a_proxy_opens_a_tunnel_to_https_urls() {
    let (proxy, requests) = server(vec![answer("403 Forbidden", b"")]);
    let options = options().proxy(format!("http://user:hunter2@{proxy}"));
    let exporter = Otlp::builder().endpoint(format!("https://{FAR}:4318")).http(options).build().unwrap();
    let engine = start(exporter);
    let (head, _) = requests.recv().unwrap();
    assert!(head.starts_with("CONNECT 192.0.2.1:4318 HTTP/1.1\n"), "{head}");
    let after = counts(&engine, |counts| counts.failing > 0);
    let reason = after.last_error.unwrap();
    let expected = format!("the proxy {proxy} opened no tunnel to 192.0.2.1:4318 (responded 403");
    assert!(reason.starts_with(&expected) && reason.ends_with("or name the host in NO_PROXY"), "{reason}");
}

#[test]
fn grpc_goes_through_a_tunnel() {
    let (proxy, requests) = server(vec![answer("403 Forbidden", b"")]);
    let options = options().proxy(format!("http://user:hunter2@{proxy}"));
    let exporter = Otlp::builder().protocol(Protocol::Grpc).endpoint(format!("http://{FAR}")).http(options);
    let engine = start(exporter.build().unwrap());
    let (head, _) = requests.recv().unwrap();
    assert!(head.starts_with("CONNECT 192.0.2.1:80 HTTP/1.1\n"), "{head}");
    assert!(
        head.contains("roxy-authorization: Basic dXNlcjpodW50ZXIy")
            || head.contains("roxy-Authorization: Basic dXNlcjpodW50ZXIy"),
        "{head}"
    );
    let after = counts(&engine, |counts| counts.failing > 0);
    let reason = after.last_error.unwrap();
    assert!(reason.starts_with(&format!("the proxy {proxy} opened no tunnel to 192.0.2.1:80 (")), "{reason}");
}

#[test]
fn a_failure_names_the_host_the_cause_and_the_next_step() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let reason = |url: String| {
        let options = options().timeout(Duration::from_secs(5));
        let engine = start(Otlp::builder().endpoint(url).http(options).build().unwrap());
        counts(&engine, |counts| counts.failing > 0 || counts.windows_dropped > 0).last_error.unwrap()
    };
    let not_found = reason("http://no-such-host.invalid:4318".to_owned());
    assert!(not_found.starts_with("the host of no-such-host.invalid:4318 was not found ("), "{not_found}");
    let refused = reason(format!("http://{closed}"));
    assert_eq!(refused, format!("{closed} refused the connection; check that it is running, and its port"));
    for (said, expected) in [
        (
            answer("404 Not Found", b"<html><title>nothing here</title>"),
            "404 Not Found: \"nothing here\"; check the path",
        ),
        (answer("405 Method Not Allowed", b""), "405 Method Not Allowed; check the path of the URL"),
        (answer("301 \r\nlocation: https://new/hunter2", b""), "it redirects to https://new: set that URL"),
        (
            answer("401 Unauthorized", b"{\"error\":\"no\"}"),
            "401 Unauthorized: \"{\"error\":\"no\"}\"; check the login",
        ),
        (answer("413 Too Large", b""), "413 Payload Too Large; it only accepts smaller messages"),
        (answer("400 Bad Request", b"\x08\x03\x12\x03bad"), "400 Bad Request: \"bad\""),
        // The beginning of HTTP/2, and an alert of TLS.
        (b"\0\0\x12\x04\0\0\0\0\0\0\0\0\r\n\r\n".to_vec(), "is not HTTP/1.1; check the port"),
        (b"\x15\x03\x01\0\x02\x02\x46".to_vec(), "TLS"),
        (Vec::new(), "closed the connection before it answered; if it expects TLS, use https://"),
    ] {
        let (addr, _requests) = server(vec![said]);
        let reason = reason(format!("http://{addr}"));
        assert!(reason.contains(expected) && reason.contains(&addr.to_string()), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}
