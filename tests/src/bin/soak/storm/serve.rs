//! The service in the storm, in a process of its own.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::error::{ErrorBadRequest, ErrorInternalServerError};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use metrics_actix::Metrics;
use metrics_actix::prometheus::{Exposition, Format};
use metrics_core::Window;
use serde_json::{Value, json};

use crate::heap;
use crate::routes::ALLOCATED;
use crate::service::{API_KEY, LAST_WORDS, LISTENS, METRICS, end_with_parent, say};

/// Longer than clients of a service have no turn.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

fn mount(config: &mut ServiceConfig) {
    // With a message that clients choose.
    let fails = |text: web::Path<String>| async move {
        Err::<HttpResponse, _>(ErrorInternalServerError(text.into_inner()))
    };
    let refused =
        |text: web::Path<String>| async move { Err::<HttpResponse, _>(ErrorBadRequest(text.into_inner())) };
    config
        .route("/well", web::get().to(|| async { "well" }))
        .route("/items/{text}", web::get().to(|text: web::Path<String>| async move { text.into_inner() }))
        .route("/fails/{text}", web::get().to(fails))
        .route("/refused/{text}", web::get().to(refused))
        .route(ALLOCATED, web::get().to(|| async { heap::allocated().to_string() }));
}

/// Serves until a signal ends it, or whoever started it is gone. The settings come as JSON.
pub(crate) fn run(settings: &str) -> Result<(), Box<dyn std::error::Error>> {
    let settings: Value = serde_json::from_str(settings)?;
    end_with_parent();
    actix_web::rt::System::new()
        .block_on(async { if settings["bare"] == true { serve_bare().await } else { serve().await } })
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let builder = Metrics::builder("storm").api_key_header(API_KEY).keep_paths(true).exclude(ALLOCATED);
    let metrics = builder.build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let of_app = metrics.clone();
    let server = HttpServer::new(move || {
        App::new().configure(of_app.routes(METRICS)).configure(mount).wrap(of_app.middleware())
    });
    let server = server.workers(2).keep_alive(KEEP_ALIVE).listen(listener)?.run();
    say(&format!("{LISTENS}{addr}"))?;
    server.await?;
    say(&format!("{LAST_WORDS}{}", last_words(&metrics)))?;
    Ok(())
}

/// The same without a monitor.
async fn serve_bare() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = HttpServer::new(|| App::new().configure(mount));
    let server = server.workers(2).keep_alive(KEEP_ALIVE).listen(listener)?.run();
    say(&format!("{LISTENS}{addr}"))?;
    server.await?;
    say(&format!("{LAST_WORDS}{{}}"))?;
    Ok(())
}

/// All figures after the end.
fn last_words(metrics: &Metrics) -> Value {
    let registry = metrics.registry();
    let (summary, snapshot) = (registry.summary(), registry.snapshot());
    let outcomes =
        summary.total.outcomes.iter().map(|(outcome, count)| (outcome.to_string(), (*count).into()));
    let mut exposition = Vec::new();
    Exposition::new().render(&snapshot, Format::Text, &mut exposition);
    let groups = metrics.history().error_groups(Window::SinceReset);
    let consumers = snapshot.consumers();
    json!({
        "statuses": Value::Object(outcomes.collect()),
        "aborted": summary.total.aborted,
        "exposition": String::from_utf8_lossy(&exposition),
        "groups": groups.groups.len(),
        "grouped": groups.groups.iter().map(|group| group.count).sum::<u64>(),
        "ungrouped": groups.ungrouped.iter().sum::<u64>(),
        "evicted": groups.evicted,
        "paths": groups.unmatched_paths.len(),
        "consumers": consumers.len(),
        "consumer_calls": consumers.iter().map(|consumer| consumer.calls).sum::<u64>(),
    })
}
