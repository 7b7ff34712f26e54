//! A real server on a free port of 127.0.0.1.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use metrics_actix::Metrics;
use metrics_core::Summary;

use crate::client::METRICS;
use crate::{Client, Http2, Raw};

/// A running server. Dropping it stops it and waits for its threads.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `workers` workers that serve `routes` and the endpoints of `metrics` over HTTP/1.1 and HTTP/2, measured
    /// by its middleware.
    pub fn start(
        workers: usize,
        metrics: &Metrics,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        // As many as actix-web has by default.
        Self::with_blocking_threads(workers, (512 / workers).max(1), metrics, routes)
    }

    /// Like [`Server::start`], but each worker has at most so many threads for blocking work.
    pub fn with_blocking_threads(
        workers: usize,
        blocking_threads: usize,
        metrics: &Metrics,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let metrics = metrics.clone();
        let (started, starts) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    let app = App::new().configure(metrics.routes(METRICS)).configure(routes.clone());
                    app.wrap(metrics.middleware())
                };
                let server = HttpServer::new(app).workers(workers).disable_signals().shutdown_timeout(5);
                let server = server.worker_max_blocking_threads(blocking_threads);
                let server = server.listen_auto_h2c(listener).expect("the listener can be used").run();
                started.send(server.handle()).expect("the starting thread waits");
                server.await.expect("the server shuts down");
            });
        });
        let handle = starts.recv().expect("the server starts");
        Self { addr, handle, thread: Some(thread) }
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A client with a connection of its own, kept alive between calls.
    pub fn client(&self) -> Client {
        Client::to(self.addr)
    }

    /// A connection of HTTP/2 whose streams have room for this many bytes of a body.
    pub fn http2(&self, window: u32) -> Http2 {
        Http2::connect(self.addr, window)
    }

    /// A connection for raw bytes.
    pub fn raw(&self) -> Raw {
        Raw::to(self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self.handle.stop(true);
        futures_util::FutureExt::now_or_never(stopped);
        if let Some(thread) = self.thread.take() {
            // If the server panicked, it has printed why and its test has failed.
            let _ = thread.join();
        }
    }
}

/// Waits until nothing is in flight and `calls` calls are counted, since a server takes a moment to notice that a
/// client is gone. Returns the figures.
///
/// # Panics
///
/// When that takes more than 20 seconds.
pub fn settled(metrics: &Metrics, calls: u64) -> Summary {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let summary = metrics.registry().summary();
        if summary.in_flight == 0 && summary.total.calls == calls {
            return summary;
        }
        assert!(
            Instant::now() < deadline,
            "{calls} calls were not counted, or some never ended: {summary:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
