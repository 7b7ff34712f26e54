//! The service under test, in a process of its own: it measures itself with all that the monitor has.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::rt::signal::ctrl_c;
use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use futures_util::future::select;
use metrics_actix::datadog::Datadog;
use metrics_actix::elasticsearch::Elasticsearch;
use metrics_actix::fleet::FleetSettings;
use metrics_actix::otlp::{Otlp, Temporality};
use metrics_actix::prometheus::{Exposition, Format};
use metrics_actix::push::{Exporter, ExporterCounts, PushSettings};
use metrics_actix::sentry::Sentry;
use metrics_actix::{HttpOptions, Metrics, Until};
use serde_json::{Value, json};
use tests::Adjusted;

use crate::routes::{self, ALLOCATED, ARRIVED, PANIC};
use crate::witness::{Witness, watch};

/// Where the endpoints are mounted.
pub(crate) const METRICS: &str = "/api/metrics";

/// The token that resets need.
pub(crate) const RESET_TOKEN: &str = "the-token-of-the-soak";

/// The header with the API key.
pub(crate) const API_KEY: &str = "x-api-key";

/// The beginnings of the two lines that the service prints.
pub(crate) const LISTENS: &str = "listens ";
pub(crate) const LAST_WORDS: &str = "last words ";

/// How often the exporters and the fleet send.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Longer than a healthy destination takes on a busy machine, and shorter than a slow answer, which takes 7 s.
const TIMEOUT: Duration = Duration::from_secs(6);

/// How long the server waits for requests under way once it is told to end.
const GRACE_SECONDS: u64 = 2;

/// How long the last figures may take, while destinations fail.
const SHUTDOWN: Duration = Duration::from_secs(6);

/// Serves until a signal ends it, or whoever started it is gone. The settings come as JSON.
pub(crate) fn run(settings: &str) -> Result<(), Box<dyn std::error::Error>> {
    let settings: Value = serde_json::from_str(settings)?;
    end_with_parent();
    quiet_panics();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    actix_web::rt::System::new().block_on(serve(&settings, listener, addr))
}

/// Ends this process once whoever started it is gone.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        // Open for as long as whoever started it lives.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(3);
    });
}

/// Keeps the panics that clients ask for from filling stderr.
fn quiet_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        if text.or(payload.downcast_ref::<String>().map(|text| &**text)) != Some(PANIC) {
            before(panic);
        }
    }));
}

async fn serve(
    settings: &Value,
    listener: TcpListener,
    addr: SocketAddr,
) -> Result<(), Box<dyn std::error::Error>> {
    let witness = Data::new(Witness::default());
    if settings["bare"] == true {
        return serve_bare(witness, listener, addr).await;
    }
    let metrics = monitor(settings)?;
    let (app_metrics, app_witness) = (metrics.clone(), witness.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(app_witness.clone())
            .configure(app_metrics.routes(METRICS))
            .configure(app_metrics.prometheus_at("/metrics"))
            .configure(routes::mount)
            .wrap(app_metrics.middleware())
            .wrap(from_fn(watch))
    });
    let server = server.workers(2).shutdown_timeout(GRACE_SECONDS).listen_auto_h2c(listener)?.run();
    say(&format!("{LISTENS}{addr}"))?;
    let stopping = metrics.clone();
    actix_web::rt::spawn(async move {
        let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
        select(pin!(ctrl_c()), pin!(terminated.recv())).await;
        stopping.stop_answering();
    });
    server.await?;
    let all_sent = metrics.shutdown(SHUTDOWN).await;
    say(&format!("{LAST_WORDS}{}", last_words(&metrics, &witness, all_sent)))?;
    Ok(())
}

/// The same without a monitor.
async fn serve_bare(
    witness: Data<Witness>,
    listener: TcpListener,
    addr: SocketAddr,
) -> Result<(), Box<dyn std::error::Error>> {
    let app_witness = witness.clone();
    let server = HttpServer::new(move || {
        App::new().app_data(app_witness.clone()).configure(routes::mount).wrap(from_fn(watch))
    });
    let server = server.workers(2).shutdown_timeout(GRACE_SECONDS).listen_auto_h2c(listener)?.run();
    say(&format!("{LISTENS}{addr}"))?;
    server.await?;
    say(&format!("{LAST_WORDS}{}", json!({ "arrived": witness.all() })))?;
    Ok(())
}

/// Prints a line for whoever started this process.
pub(crate) fn say(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

fn monitor(settings: &Value) -> Result<Metrics, Box<dyn std::error::Error>> {
    let text = |name: &str| settings[name].as_str().unwrap_or_default();
    let options = || HttpOptions::new().interval(INTERVAL).timeout(TIMEOUT);
    let otlp = Otlp::builder().endpoint(text("otlp")).temporality(Temporality::Delta).http(options());
    let elastic = Elasticsearch::builder(text("elastic")).http(options());
    let datadog = Datadog::builder().agent_url(text("datadog")).sample_rate(0.01).http(options());
    let sentry = Sentry::builder().dsn(text("sentry")).max_events(20).http(options());
    let fleet = FleetSettings::new(text("redis"))?.interval(INTERVAL);
    let metrics = Metrics::builder("soak")
        .version("1.0.0")
        .instance(text("name"))
        .measure(Until::BodyEnd)
        .exclude(ARRIVED)
        .exclude(ALLOCATED)
        .reset_token(RESET_TOKEN)
        .api_key_header(API_KEY)
        .fleet(fleet)
        .exporter(hasty(otlp.build()?))
        .exporter(hasty(elastic.build()?))
        .exporter(hasty(datadog.build()?))
        .exporter(hasty(sentry.build()?));
    Ok(metrics.build()?)
}

/// An exporter with short pauses between attempts, so that a short soak sees it recover.
fn hasty<E: Exporter>(inner: E) -> Adjusted<E> {
    let adjust = |settings: &mut PushSettings| {
        settings.first_pause = settings.interval / 2;
        settings.max_pause = settings.interval * 2;
    };
    Adjusted { inner, adjust }
}

/// All figures after the end.
fn last_words(metrics: &Metrics, witness: &Witness, all_sent: bool) -> Value {
    let summary = metrics.registry().summary();
    let outcomes =
        summary.total.outcomes.iter().map(|(outcome, count)| (outcome.to_string(), (*count).into()));
    let mut exposition = Vec::new();
    Exposition::new().render(&metrics.registry().snapshot(), Format::Text, &mut exposition);
    json!({
        "all_sent": all_sent,
        "statuses": Value::Object(outcomes.collect()),
        "aborted": summary.total.aborted,
        "in_flight": summary.in_flight,
        "exposition": String::from_utf8_lossy(&exposition),
        "exporters": metrics.exporters().iter().map(counts).collect::<Vec<_>>(),
        "arrived": witness.all(),
    })
}

fn counts(counts: &ExporterCounts) -> Value {
    json!({
        "name": counts.exporter,
        "off": counts.off,
        "calls_dropped": counts.calls_dropped,
        "windows_sent": counts.windows_sent,
        "windows_dropped": counts.windows_dropped,
        "windows_waiting": counts.windows_waiting,
        "errors_sent": counts.errors_sent,
        "errors_dropped": counts.errors_dropped,
        "errors_missed": counts.errors_missed,
        "errors_waiting": counts.errors_waiting,
        "rejected": counts.rejected,
        "attempts_failed": counts.attempts_failed,
        "last_error": counts.last_error,
    })
}
