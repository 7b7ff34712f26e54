//! Answers are computed on the monitor's own threads, in lanes with bounded queues.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};
use metrics_actix::Metrics;
use metrics_actix::fleet::FleetSettings;
use metrics_core::Registry;
use tests::{Raw, Server};

/// Longer than anything takes, unless it hangs.
const LONG: Duration = Duration::from_secs(20);

fn no_routes(_: &mut ServiceConfig) {}

/// A monitor with so many routes that requests for consumers arrive faster than they are answered: each reads the whole
/// window, which takes milliseconds, and shares no answer with those for another number of consumers.
fn slow_to_read() -> Metrics {
    let registry = Registry::builder().max_series(4_000).build().unwrap();
    for route in 0..4_000 {
        registry.record_nanos(registry.endpoint("GET", &format!("/{route}")), 200, 1_000);
    }
    Metrics::builder("shop").with_registry(registry).api_key_header("x-api-key").build().unwrap()
}

/// Requests different numbers of consumers, and does not wait for them.
fn list_consumers(server: &Server, requests: usize) -> Vec<Raw> {
    (1..=requests).map(|top| begin(server, "GET", &format!("consumers?top={top}"))).collect()
}

/// Sends a request to an endpoint, and does not wait for the answer.
fn begin(server: &Server, method: &str, name: &str) -> Raw {
    let mut client = server.raw();
    let request =
        format!("{method} /api/metrics/{name} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    client.write(request);
    client
}

/// Reports that a handler began, and waits for its release.
struct Gate {
    began: Mutex<Sender<()>>,
    released: Arc<Mutex<Receiver<()>>>,
}

/// A handler that occupies a blocking thread of its worker until it is released.
async fn occupy(gate: web::Data<Gate>) -> &'static str {
    let released = Arc::clone(&gate.released);
    gate.began.lock().unwrap().send(()).unwrap();
    let waited = web::block(move || released.lock().unwrap().recv_timeout(LONG).is_err());
    if waited.await.unwrap() { "released" } else { "never released" }
}

#[test]
fn answers_and_scrapes_need_none_of_the_runtimes_blocking_threads() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let ((began, begins), (release, released)) = (channel::<()>(), channel::<()>());
    let gate = web::Data::new(Gate { began: Mutex::new(began), released: Arc::new(Mutex::new(released)) });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let app = move || {
        App::new()
            .app_data(gate.clone())
            .configure(metrics.routes("/api/metrics"))
            .configure(metrics.prometheus_at("/metrics"))
            .route("/occupy", web::get().to(occupy))
            .wrap(metrics.middleware())
    };
    let system = actix_web::rt::System::new();
    let server = HttpServer::new(app).workers(1).worker_max_blocking_threads(1).disable_signals();
    #[expect(clippy::async_yields_async, reason = "a server is created within a runtime, and runs later")]
    let server = system.block_on(async { server.listen(listener).unwrap().run() });
    let handle = server.handle();
    let client = std::thread::spawn(move || {
        let get = |path: &str| {
            let reply = ureq::get(format!("http://{addr}{path}")).call().unwrap();
            let status = reply.status().as_u16();
            (status, reply.into_body().read_to_string().unwrap())
        };
        std::thread::scope(|scope| {
            let occupied = scope.spawn(|| get("/occupy"));
            begins.recv_timeout(LONG).unwrap();
            // The worker's one blocking thread is occupied from here on.
            let begun = Instant::now();
            for path in ["/metrics", "/api/metrics/summary", "/api/metrics/prometheus", "/api/metrics/routes"]
            {
                assert_eq!(get(path).0, 200, "{path}");
            }
            // A bound for a machine that is overloaded. Where the pool was used, they would wait for the release.
            assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
            assert!(!occupied.is_finished(), "the thread was not occupied all the time");
            drop(release);
            assert_eq!(occupied.join().unwrap(), (200, "released".to_owned()));
        });
    });
    system.block_on(async {
        let serving = actix_web::rt::spawn(server);
        while !client.is_finished() {
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
        handle.stop(true).await;
        serving.await.unwrap().unwrap();
    });
    client.join().unwrap();
}

#[test]
fn too_many_different_requests_to_one_endpoint_are_asked_to_come_back_and_others_are_answered() {
    let metrics = slow_to_read();
    let server = Server::start(1, &metrics, no_routes);
    let clients = list_consumers(&server, 120);
    for name in ["summary", "routes", "prometheus", "errors", "history"] {
        assert_eq!(server.client().send("GET", &format!("/api/metrics/{name}")).status, 200, "{name}");
    }
    let replies: Vec<_> = clients.into_iter().map(|mut client| client.read_while(|_| true)).collect();
    let (answered, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.starts_with("HTTP/1.1 200"));
    assert!(answered.len() >= 32 && !refused.is_empty(), "{} were answered", answered.len());
    for reply in refused {
        assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
        assert!(reply.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{reply}");
        assert!(
            reply.contains(
                r#""code":"unavailable","message":"too many requests from one address are waiting"#
            ),
            "{reply}"
        );
    }
    assert_eq!(server.client().send("GET", "/api/metrics/consumers?top=1000").status, 200);
}

#[test]
fn a_crowd_with_the_same_question_is_answered_together() {
    let metrics = slow_to_read();
    let server = Server::start(1, &metrics, no_routes);
    let clients: Vec<_> = (0..100).map(|_| begin(&server, "GET", "routes")).collect();
    assert_eq!(server.client().send("GET", "/api/metrics/summary").status, 200);
    for mut client in clients {
        let reply = client.read_while(|_| true);
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}

#[test]
fn clients_that_give_up_free_their_places_in_the_queue() {
    let metrics = slow_to_read();
    let server = Server::start(1, &metrics, |config| {
        config.route("/ping", web::get().to(|| async { "pong" }));
    });
    // The queue may be empty again by the time of the last question.
    let clients = (0..20).find_map(|_| {
        let clients = list_consumers(&server, 120);
        let refused = server.client().send("GET", "/api/metrics/consumers?top=1000").status == 503;
        refused.then_some(clients)
    });
    clients.expect("the queue was full once").into_iter().for_each(Raw::reset);
    // The server has seen that they are gone when it answers this; it has one worker.
    assert_eq!(server.client().send("GET", "/ping").body, "pong");
    let clients = list_consumers(&server, 30);
    for mut client in clients {
        let reply = client.read_while(|_| true);
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}

/// Ends the floods, also when the test fails.
struct IsOver<'a>(&'a AtomicBool);

impl Drop for IsOver<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Keeps sending one kind of request on connections of its own, and reads no answer, until the flag is set.
fn flood(server: &Server, is_over: &AtomicBool, request: &str) {
    let mut clients = VecDeque::new();
    while !is_over.load(Ordering::Relaxed) {
        let mut client = server.raw();
        client.write(request);
        clients.push_back(client);
        // Few enough for the files that a process may open, with both ends in one.
        if clients.len() > 10 {
            clients.pop_front().into_iter().for_each(Raw::reset);
        }
        // New connections alone are not to keep the server's workers busy.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_scrape_and_the_summary_are_answered_whatever_others_do() {
    // A Redis that was stopped: it accepts connections, and never answers.
    let redis = TcpListener::bind("127.0.0.1:0").unwrap();
    let fleet = FleetSettings::new(&format!("redis://{}/0", redis.local_addr().unwrap())).unwrap();
    let registry = Registry::builder().max_series(1_000).build().unwrap();
    for route in 0..300 {
        registry.record_nanos(registry.endpoint("GET", &format!("/{route}")), 200, 1_000);
    }
    let builder = Metrics::builder("shop").instance("a").with_registry(registry).reset_without_token();
    let metrics = builder.fleet(fleet).build().unwrap();
    let server = Server::start(2, &metrics, no_routes);
    let request = |method: &str, name: &str, lines: &str| {
        format!("{method} /api/metrics/{name} HTTP/1.1\r\nhost: test\r\n{lines}\r\n")
    };
    let floods = [
        request("POST", "fleet/reset", ""),
        request("GET", "fleet/summary", ""),
        request("POST", "reset", ""),
        request("GET", "events", ""),
        request("GET", "routes", ""),
        request("GET", "prometheus", "accept-encoding: gzip\r\n"),
        request("GET", "prometheus", "accept: application/openmetrics-text\r\n"),
        // One connection, many requests.
        request("GET", "routes", "").repeat(50),
    ];
    // As Prometheus does, it keeps its connection.
    let client = server.client();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for request in &floods {
            scope.spawn(|| flood(&server, &is_over, request));
        }
        let over = IsOver(&is_over);
        // Long enough for the floods to fill what they can.
        std::thread::sleep(Duration::from_millis(300));
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..20 {
            for (path, times) in ["prometheus", "summary"].into_iter().zip(&mut times) {
                let begun = Instant::now();
                let reply = client.send("GET", &format!("/api/metrics/{path}"));
                times.push(begun.elapsed());
                assert_eq!(reply.status, 200, "{path}: {}", reply.body);
            }
        }
        drop(over);
        times.iter_mut().for_each(|times| times.sort());
        println!("median, longest: scrape {:?} {:?}", times[0][10], times[0][19]);
        println!("median, longest: summary {:?} {:?}", times[1][10], times[1][19]);
    });
}
