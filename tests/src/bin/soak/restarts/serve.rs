//! The service that is restarted, in a process of its own: it counts what it is told.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpResponse, HttpServer};
use metrics_actix::Metrics;
use metrics_actix::fleet::FleetSettings;
use metrics_core::{Counter, MetricError, Registry, Timer};
use serde_json::{Value, json};

use super::load::{Batch, request};
use crate::service::{LAST_WORDS, LISTENS, METRICS, end_with_parent, say};

/// How often a history is written: in place of each minute.
pub(crate) const HISTORY_INTERVAL: Duration = Duration::from_millis(100);

/// How often an instance writes its reports: in place of ten seconds.
const FLEET_INTERVAL: Duration = Duration::from_millis(300);

/// How long the last writes may take.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// What counts. Without a middleware, so that durations are those of the batches.
#[derive(Debug, Clone)]
struct Recording {
    registry: Registry,
    counter: Counter,
    timer: Timer,
}

/// Serves until a signal ends it, or whoever started it is gone. The settings come as JSON.
pub(crate) fn run(settings: &str) -> Result<(), Box<dyn std::error::Error>> {
    let settings: Value = serde_json::from_str(settings)?;
    end_with_parent();
    actix_web::rt::System::new().block_on(serve(&settings))
}

async fn serve(settings: &Value) -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Metrics::builder("restarts").instance("a");
    if let Some(file) = settings["file"].as_str() {
        builder = builder.history_file(file).history_interval(HISTORY_INTERVAL);
    }
    if let Some(redis) = settings["redis"].as_str() {
        let fleet = FleetSettings::new(redis)?.interval(FLEET_INTERVAL);
        builder = builder.fleet(fleet).history_interval(HISTORY_INTERVAL);
    }
    let metrics = builder.build()?;
    let recording = Data::new(Recording::new(metrics.registry())?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let of_app = metrics.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(recording.clone())
            .configure(of_app.routes(METRICS))
            .route("/record/{life}/{first}/{calls}", web::post().to(record))
    });
    let server = server.workers(1).listen(listener)?.run();
    say(&format!("{LISTENS}{addr}"))?;
    server.await?;
    let all_sent = metrics.shutdown(SHUTDOWN).await;
    say(&format!("{LAST_WORDS}{}", json!({ "all_sent": all_sent })))?;
    Ok(())
}

async fn record(recording: Data<Recording>, path: Path<(u64, u64, u64)>) -> HttpResponse {
    let (life, first, calls) = path.into_inner();
    recording.record(Batch { life, first, calls });
    HttpResponse::NoContent().finish()
}

impl Recording {
    fn new(registry: &Registry) -> Result<Self, MetricError> {
        let (counter, timer) = (registry.counter("recorded")?, registry.timer("took")?);
        Ok(Self { registry: registry.clone(), counter, timer })
    }

    fn record(&self, batch: Batch) {
        let endpoint = self.registry.endpoint("GET", &batch.route());
        for number in 0..batch.calls {
            let (status, nanos) = request(batch.life, batch.first + number);
            self.registry.record_nanos(endpoint, status, nanos);
            // Tails are cut off, and own metrics are not saved at the same moment as requests.
            if !batch.is_tail() {
                self.counter.increment();
                self.timer.record(Duration::from_nanos(nanos));
            }
        }
    }
}
