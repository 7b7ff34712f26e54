//! Traces that begin in the application's spans: `tracing`, `tracing-actix-web` and OpenTelemetry.

use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpMessage, HttpResponse, HttpServer, web};
use metrics_actix::{Metrics, span_context};
use metrics_core::TraceId;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tests::{Client, settled};
use tracing_actix_web::{RootSpan, TracingLogger};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

const TRACEPARENT: (&str, &str) = ("traceparent", "00-11111111111111111111111111111111-b7ad6b7169203331-01");

/// A server whose worker has a subscriber with OpenTelemetry's layer, so that tests beside this one have none.
struct Traced {
    client: Client,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Traced {
    /// `is_within` says whether the monitor's middleware is within the one that begins spans.
    fn start(metrics: &Metrics, is_within: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (started, starts) = mpsc::channel();
        let metrics = metrics.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    // Apps are made on the thread of their worker.
                    let provider = SdkTracerProvider::builder().build();
                    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
                    let subscriber = tracing_subscriber::registry().with(layer);
                    std::mem::forget(tracing::subscriber::set_default(subscriber));
                    let app = App::new()
                        .configure(metrics.routes("/api/metrics"))
                        .route("/fails", web::get().to(fails));
                    // The last one is the outermost.
                    app.wrap(actix_web::middleware::Condition::new(!is_within, TracingLogger::default()))
                        .wrap(metrics.middleware())
                        .wrap(actix_web::middleware::Condition::new(is_within, TracingLogger::default()))
                };
                let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1);
                let server = server.listen(listener).unwrap().run();
                started.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        let handle = starts.recv().unwrap();
        Self { client: Client::to(addr), handle, thread: Some(thread) }
    }

    /// Calls the route that fails, and returns the trace of its span.
    fn trace(&self) -> String {
        let reply = self.client.send_with("GET", "/fails", &[TRACEPARENT]);
        assert_eq!(reply.status, 500);
        String::from_utf8(reply.body).unwrap()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Answers with the trace of the request's span.
async fn fails(span: RootSpan) -> HttpResponse {
    HttpResponse::InternalServerError().body(span.context().span().span_context().trace_id().to_string())
}

fn trace_of_error(metrics: &Metrics) -> Option<TraceId> {
    metrics.registry().recent_errors()[0].trace.map(|trace| trace.trace)
}

#[test]
fn an_error_within_a_span_is_in_the_trace_of_the_span_and_not_of_the_caller() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Traced::start(&metrics, true);
    let trace = server.trace();
    settled(&metrics, 1);
    assert_eq!(trace_of_error(&metrics), Some(trace.parse().unwrap()));
    let listed = metrics.registry().snapshot().exemplars()[0].trace;
    assert_eq!(listed.to_string(), trace);
}

#[test]
fn an_error_of_a_root_span_that_was_left_is_in_its_trace_if_a_hook_reads_it() {
    let hook = |request: &actix_web::HttpRequest| span_context(request.extensions().get::<RootSpan>()?);
    let metrics = Metrics::builder("shop").trace_context(hook).build().unwrap();
    let server = Traced::start(&metrics, false);
    let trace = server.trace();
    settled(&metrics, 1);
    assert_eq!(trace_of_error(&metrics), Some(trace.parse().unwrap()));
}

#[test]
fn an_error_outside_of_spans_is_in_the_trace_of_its_caller() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Traced::start(&metrics, false);
    assert_ne!(server.trace(), "1".repeat(32));
    settled(&metrics, 1);
    assert_eq!(trace_of_error(&metrics), Some("1".repeat(32).parse().unwrap()));
}
