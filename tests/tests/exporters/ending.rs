//! The demo's end under load: each request that it answered is in what it exported.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Example, Folder};

const CLIENTS: usize = 4;

/// Sends requests over one connection, each after the answer to the one before, until there is no answer. Returns how
/// many were answered.
fn send(addr: SocketAddr) -> u64 {
    let mut connection = TcpStream::connect(addr).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answered = 0;
    let mut buffer = [0; 4_096];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if connection.write_all(b"GET /items/7 HTTP/1.1\r\nhost: shop\r\n\r\n").is_err() {
            break;
        }
        // Small enough to arrive at once.
        match connection.read(&mut buffer) {
            Ok(read) if buffer[..read].starts_with(b"HTTP/1.1 200") => answered += 1,
            _ => break,
        }
    }
    answered
}

/// The requests in all windows that were written.
fn exported(log: &str) -> u64 {
    let documents = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let windows = documents.filter(|document| document["event"]["dataset"] == "http.summary");
    let totals = windows.filter(|document| document["labels"].is_null());
    totals.map(|document| document["requests"]["count"].as_u64().unwrap()).sum()
}

#[test]
fn each_request_that_the_demo_answered_before_a_signal_ended_it_is_exported() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new("ending");
        let log = folder.path().join("ecs.json");
        let mut demo = Example::full(&["--ecs-log", log.to_str().unwrap(), "--workers", "2"]);
        // An open dashboard, for which a graceful stop would wait.
        let mut events = TcpStream::connect(demo.addr()).unwrap();
        events.write_all(b"GET /api/metrics/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let answered: u64 = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| send(demo.addr()))).collect();
            thread::sleep(Duration::from_millis(500));
            demo.signal(signal);
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        let said = demo.wait_until_ended(Duration::from_secs(40));
        let exported = exported(&fs::read_to_string(log).unwrap());
        assert!(answered > 100, "{answered}");
        // A client that lost its connection does not know whether its last request was counted.
        let all = answered..=answered + CLIENTS as u64;
        assert!(all.contains(&exported), "{signal}: {answered} answered, {exported} exported; {said:?}");
        assert_eq!(said, "", "{signal}");
    }
}
