//! Sentry's client and middleware together with the exporter, configured as docs/sentry.md says: each failure is
//! reported once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::sentry::integrations::actix::{Sentry as Middleware, SentryBuilder};
use ::sentry::integrations::panic::PanicIntegration;
use ::sentry::{Client, ClientOptions, Envelope, Hub, Transport};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, error, rt};
use metrics_actix::Metrics;
use metrics_actix::sentry::SentryBuilder as ExporterBuilder;
use serde_json::Value;
use tests::{Server, settled};

use crate::sentry::{dsn, keeping};

/// How often an error, a 5xx without an error, and a panic were reported.
type Reports = BTreeMap<String, usize>;

/// Sends the client's envelopes to the exporter's stub.
struct Posting(String);

impl Transport for Posting {
    fn send_envelope(&self, envelope: Envelope) {
        let mut body = Vec::new();
        envelope.to_writer(&mut body).unwrap();
        ureq::post(&self.0).send(body.as_slice()).unwrap();
    }
}

fn service(config: &mut ServiceConfig, middleware: Middleware) {
    let fails = || async { Err::<HttpResponse, _>(error::ErrorServiceUnavailable("no stock")) };
    let refuses = || async { Err::<HttpResponse, _>(error::ErrorForbidden("not yours")) };
    let plain = || async { HttpResponse::InternalServerError().finish() };
    let panics = |body: web::Bytes| async move {
        if body.is_empty() {
            panic!("a test panics");
        }
        ""
    };
    let scope = web::scope("").wrap(middleware);
    let scope = scope.route("/fails", web::get().to(fails)).route("/refuses", web::get().to(refuses));
    config.service(scope.route("/plain", web::get().to(plain)).route("/panics", web::get().to(panics)));
}

/// Sends a service one request for each kind of failure. Returns what both reported.
fn reports(
    client: fn(ClientOptions) -> ClientOptions,
    middleware: fn(SentryBuilder) -> SentryBuilder,
    exporter: fn(ExporterBuilder) -> ExporterBuilder,
) -> Reports {
    let (stub, bodies, builder) = keeping();
    let options = ClientOptions::new().dsn(&dsn(&stub)).release("shop@1.2.3");
    let options = client(options.transport(Arc::new(Posting(stub.url()))));
    let hub = Arc::new(Hub::new(Some(Arc::new(Client::with_options(options))), Arc::default()));
    let metrics = Metrics::builder("shop")
        .version("1.2.3")
        .exporter(exporter(builder).build().unwrap())
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, move |config| {
        service(config, middleware(Middleware::builder().with_hub(Arc::clone(&hub))).finish());
    });
    for path in ["fails", "refuses", "plain", "panics"] {
        let mut client = server.raw();
        client.write(format!("GET /{path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"));
        let _ = client.read_while(|_| true);
    }
    settled(&metrics, 4);
    drop(server);
    assert!(rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
    let bodies = bodies.lock().unwrap();
    let lines = bodies.iter().flat_map(|body| body.split(|byte| *byte == b'\n'));
    let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let mut reports = Reports::new();
    // An item's header, followed by the event.
    for event in lines.windows(2).filter(|lines| lines[0]["type"] == "event").map(|lines| &lines[1]) {
        let exception = event["exception"]["values"].as_array().and_then(|values| values.last());
        let exception = exception.expect("each is of an exception");
        let text = if exception["type"] == "panic" { &exception["type"] } else { &exception["value"] };
        *reports.entry(text.as_str().unwrap_or("5xx").to_owned()).or_default() += 1;
    }
    reports
}

fn of(reports: &[(&str, usize)]) -> Reports {
    reports.iter().map(|&(what, count)| (what.to_owned(), count)).collect()
}

#[test]
fn if_the_client_reports_errors_and_the_exporter_does_not_each_arrives_once() {
    let panics = |options: ClientOptions| options.add_integration(PanicIntegration::new());
    let reports = reports(panics, |middleware| middleware, |exporter| exporter.max_events(0));
    // The client does not see a 5xx without an error.
    assert_eq!(reports, of(&[("no stock", 1), ("panic", 1)]));
}

#[test]
fn if_the_exporter_reports_errors_and_the_client_does_not_each_arrives_once() {
    let quiet = |middleware: SentryBuilder| middleware.capture_server_errors(false);
    let reports = reports(|options| options, quiet, |exporter| exporter);
    assert_eq!(reports, of(&[("5xx", 1), ("no stock", 1), ("panic", 1)]));
}

/// Shows why the settings are needed.
#[test]
fn if_both_report_errors_each_arrives_twice() {
    let panics = |options: ClientOptions| options.add_integration(PanicIntegration::new());
    let reports = reports(panics, |middleware| middleware, |exporter| exporter);
    assert_eq!(reports, of(&[("5xx", 1), ("no stock", 2), ("panic", 2)]));
}
