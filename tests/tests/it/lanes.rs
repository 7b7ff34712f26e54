//! Answers are computed on the monitor's own threads, in lanes with bounded queues.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};
use metrics_actix::Metrics;
use metrics_core::Registry;
use tests::{Raw, Server};

/// Longer than anything takes, unless it hangs.
const LONG: Duration = Duration::from_secs(20);

fn no_routes(_: &mut ServiceConfig) {}

/// A monitor with so many routes that requests for their list arrive faster than they are answered: writing the list
/// takes milliseconds, reading such a request a fraction of one.
fn slow_to_read() -> Metrics {
    let registry = Registry::builder().max_series(4_000).build().unwrap();
    for route in 0..4_000 {
        registry.record_nanos(registry.endpoint("GET", &format!("/{route}")), 200, 1_000);
    }
    Metrics::builder("shop").with_registry(registry).build().unwrap()
}

/// Requests the list of routes, and does not wait for it.
fn list_routes(server: &Server) -> Raw {
    let mut client = server.raw();
    client.write("GET /api/metrics/routes HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
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
fn a_full_lane_asks_clients_to_come_back() {
    let metrics = slow_to_read();
    let server = Server::start(1, &metrics, no_routes);
    let clients: Vec<_> = (0..200).map(|_| list_routes(&server)).collect();
    let replies: Vec<_> = clients.into_iter().map(|mut client| client.read_while(|_| true)).collect();
    let (answered, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.starts_with("HTTP/1.1 200"));
    assert!(answered.len() >= 64 && !refused.is_empty(), "{} were answered", answered.len());
    for reply in refused {
        assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
        assert!(reply.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{reply}");
        assert!(
            reply.contains(r#""code":"unavailable","message":"too many requests are waiting"#),
            "{reply}"
        );
    }
    assert_eq!(server.client().send("GET", "/api/metrics/summary").status, 200);
}

#[test]
fn clients_that_give_up_free_their_places_in_the_queue() {
    let metrics = slow_to_read();
    let server = Server::start(1, &metrics, |config| {
        config.route("/ping", web::get().to(|| async { "pong" }));
    });
    let clients: Vec<_> = (0..150).map(|_| list_routes(&server)).collect();
    assert_eq!(server.client().send("GET", "/api/metrics/summary").status, 503, "the queue is not full");
    clients.into_iter().for_each(Raw::reset);
    // The server has seen that they are gone when it answers this; it has one worker.
    assert_eq!(server.client().send("GET", "/ping").body, "pong");
    let clients: Vec<_> = (0..60).map(|_| list_routes(&server)).collect();
    for mut client in clients {
        let reply = client.read_while(|_| true);
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}
