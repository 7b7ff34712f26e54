//! Floods of strangers' requests, beside which a service's own failures must stay visible.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use metrics_actix::push::{Accepted, Exporter, Failed, PushSettings, Window};
use metrics_core::{ErrorPriority, RecentError};
use tests::Server;

/// 5xx of the service while strangers flood it.
const FAILURES: usize = 40;
/// 404s between two of them: 20,000 in all, each over a kept connection.
const STRANGERS: usize = 500;

fn routes(config: &mut ServiceConfig) {
    config
        .route("/pay/{order}", web::get().to(|| async { HttpResponse::InternalServerError().finish() }))
        .route("/items/{id}", web::get().to(|| async { HttpResponse::NotFound().finish() }));
}

/// Forwards the errors of each window.
struct Errors(Sender<Vec<RecentError>>);

impl Exporter for Errors {
    fn name(&self) -> &str {
        "errors"
    }

    fn settings(&self) -> PushSettings {
        let mut settings = PushSettings::default();
        settings.interval = Duration::from_secs(3_600);
        settings.max_errors = 60;
        settings
    }

    fn export(&mut self, window: &Window, _deadline: Instant) -> Result<Accepted, Failed> {
        let _ = self.0.send(window.errors.to_vec());
        Ok(Accepted::default())
    }
}

#[test]
fn each_5xx_is_listed_and_exported_beside_a_flood_of_404s() {
    for stranger in ["/.git/config", "/items/0"] {
        let (sender, exported) = channel();
        let metrics = Metrics::builder("shop").exporter(Errors(sender)).build().unwrap();
        let server = Server::start(2, &metrics, routes);
        let mut raw = server.raw();
        let flood = format!("GET {stranger} HTTP/1.1\r\nhost: shop\r\n\r\n").repeat(STRANGERS);
        for order in 0..FAILURES {
            raw.write(&flood);
            assert_eq!(server.client().send("GET", &format!("/pay/{order}")).status, 500);
            let answered = |read: &[u8]| String::from_utf8_lossy(read).matches("HTTP/1.1 404").count();
            assert_eq!(answered(raw.read_while(|read| answered(read) < STRANGERS).as_bytes()), STRANGERS);
        }
        let errors = server.client().metrics("GET", "errors");
        let listed = errors["recent_errors"].as_array().unwrap();
        assert_eq!(listed.iter().filter(|error| error["status"] == 500).count(), FAILURES, "{stranger}");
        assert!(listed.iter().any(|error| error["status"] == 404) && listed.len() <= 128, "{stranger}");
        let server_errors = &errors["missing"][ErrorPriority::ServerError as usize];
        assert_eq!((&server_errors["evicted"], &server_errors["thinned"]), (&0.into(), &0.into()));

        assert!(actix_web::rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
        let exported: Vec<_> = exported.try_iter().flatten().collect();
        let server_errors = exported.iter().filter(|error| error.priority() == ErrorPriority::ServerError);
        assert_eq!(server_errors.count(), FAILURES, "{stranger}");
        assert_eq!(exported.len(), 60, "{stranger}");
    }
}
