//! The clean end: `Metrics::run`.

use std::time::{Duration, Instant};

use actix_web::{App, HttpServer, web};
use metrics_actix::push::{Accepted, Exporter, Failed, Window};
use metrics_actix::{Metrics, Unsent};
use tests::Client;

/// Accepts every window, or none.
struct Destination {
    accepts: bool,
}

impl Exporter for Destination {
    fn name(&self) -> &str {
        if self.accepts { "accepts" } else { "refuses" }
    }

    fn export(&mut self, _: &Window, _: Instant) -> Result<Accepted, Failed> {
        if self.accepts { Ok(Accepted::default()) } else { Err(Failed::permanent("not today")) }
    }
}

/// Runs a server until it has answered a request, and an open dashboard has its first event.
fn run(metrics: &Metrics) -> Unsent {
    let (app, metrics) = (metrics.clone(), metrics.clone());
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .configure(app.routes("/api/metrics"))
                .route("/", web::get().to(|| async { "" }))
                .wrap(app.middleware())
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let addr = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        let client = std::thread::spawn(move || assert_eq!(Client::to(addr).send("GET", "/").status, 200));
        let stop = actix_web::rt::spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !client.is_finished() && Instant::now() < deadline {
                actix_web::rt::time::sleep(Duration::from_millis(10)).await;
            }
            client.join().unwrap();
            handle.stop(true).await;
        });
        let unsent = metrics.run(server).await.unwrap();
        stop.await.unwrap();
        unsent
    })
}

#[test]
fn run_serves_then_sends_the_last_window() {
    let metrics = Metrics::builder("run").exporter(Destination { accepts: true }).build().unwrap();
    let unsent = run(&metrics);
    assert!(unsent.is_empty(), "{unsent}");
    let counts = &metrics.exporters()[0];
    assert_eq!((counts.windows_sent, counts.windows_dropped), (1, 0), "{counts:?}");
}

#[test]
fn run_returns_what_could_not_be_sent_and_why() {
    let metrics = Metrics::builder("run").exporter(Destination { accepts: false }).build().unwrap();
    let unsent = run(&metrics);
    assert_eq!(unsent.to_string(), "1 window with 1 request not sent to refuses (not today)");
}
