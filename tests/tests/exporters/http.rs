//! What exporters send over HTTP, and how they treat the answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use metrics_actix::elasticsearch::Elasticsearch;
use metrics_actix::otlp::{Otlp, OtlpBuilder};
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

#[test]
fn requests_go_through_the_proxy() {
    let (proxy, requests) = server(vec![answer("502 ", b"")]);
    let options = options().proxy(format!("http://user:hunter2@{proxy}"));
    let engine = start(otlp("192.0.2.1:4318".parse().unwrap()).http(options).build().unwrap());
    let (head, _) = requests.recv().unwrap();
    assert!(head.starts_with("CONNECT 192.0.2.1:4318 HTTP/1.1\n"), "{head}");
    let after = counts(&engine, |counts| counts.failing > 0);
    assert_eq!(after.last_error.as_deref(), Some("the proxy refused the connection"));
}
