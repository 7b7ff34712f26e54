//! Metrics for high-throughput actix-web services: a middleware that measures every request, and endpoints that show
//! the figures, with a dashboard.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//!
//! async fn order() -> &'static str {
//!     "an order"
//! }
//!
//! #[actix_web::main]
//! async fn main() -> std::io::Result<()> {
//!     let metrics = metrics_actix::Metrics::builder("orders").build()?;
//!     let app_metrics = metrics.clone();
//!     let server = HttpServer::new(move || {
//!         App::new()
//!             .configure(app_metrics.routes("/api/metrics")) // dashboard, summary, routes, errors, ...
//!             .route("/orders/{id}", web::get().to(order))
//!             .wrap(app_metrics.middleware()) // last = outermost
//!     });
//!     metrics.run(server.bind("127.0.0.1:8080")?.run()).await?; // until SIGTERM or Ctrl-C
//!     Ok(())
//! }
//! ```
//!
//! One dependency line is enough: alert rules are in [`alert`], handles of own metrics and the [`Registry`] are here,
//! and [`metrics_core`] is the whole core.
//!
//! | for | type |
//! |---|---|
//! | the monitor of a service; built once, cloned into each worker | [`Metrics`], [`Builder`] |
//! | what could not be sent at a shutdown | [`Unsent`] |
//! | hooks that see actix-web's requests and errors | [`Hooks`] |
//! | `App::wrap` | [`Middleware`] |
//! | `Resource::wrap`, to count requests under their route while they are in progress | [`RouteMarker`] |
//! | when the timing of a request stops | [`Until`] |
//! | the caller of a request | [`Identity`] |
//! | what Prometheus sees | [`prometheus::Exposition`] |
//! | a destination of figures | [`push::Exporter`] |
//!
//! Each request is counted once: by the status of its response, even if the server makes the response from an inner
//! middleware's `Err`; as aborted, if the client disconnected before there was a response; or as panicked. If the body
//! breaks off later, the request keeps its status and also counts as aborted. The latency is the time from the
//! middleware to the head of the response, or to the end of its body.
//!
//! The route is the template that matched, such as `/orders/{id}`, without regular expressions. A tail keeps its star,
//! and a directory of actix-files is `/static/{path}*`. For a resource with several patterns, it is the one that
//! matched, or the first if a middleware answered before routing. Requests whose path belongs to no resource are
//! `_unmatched`; those that only a guard refused keep the route of their path. A request without a response is
//! `_unmatched`, too, unless its resource is wrapped in a [`RouteMarker`]: otherwise only the response tells the route.
//! [`Builder::route_with`](metrics_monitor::Builder::route_with) names the routes of applications that do their own
//! routing. Methods that HTTP does not define are `_OTHER`.
//!
//! All figures are in a [`metrics_core::Registry`]: see [`Monitor::registry`]. Those of the last 24 hours are in a
//! [`metrics_core::History`]: see [`Monitor::history`]. A thread of the monitor updates the history and evaluates the
//! rules of [alerts](metrics_core::alert). This crate only adapts `metrics-monitor` to actix-web.
//!
//! | feature | what it adds |
//! |---|---|
//! | `gzip` (default) | compressed scrapes and dashboard files |
//! | `alert-log`, `alert-webhook`, `alertmanager` | destinations of alert notices |
//! | `alert-toml` | alert rules and objectives from TOML |
//! | `otlp`, `otlp-grpc`, `datadog`, `ecs-log`, `elasticsearch`, `sentry` | destinations of figures and errors |
//! | `tls`, `tls-no-provider` | `https` URLs for all of them, with `ring` or the application's own crypto provider |
//! | `redis`, `redis-cluster`, `redis-tls`, `redis-tls-no-provider` | the totals of all instances of a service, through Redis |
//! | `facade` | metrics that other crates emit through the `metrics` facade |
//! | `tracing-opentelemetry` | the trace of the current span, and `span_context`, which reads that of any span |
//!
//! # Where everything is
//!
//! A file imports only from its own layer and those below. `seen_routes.rs` decides the route of a request, including
//! `_unmatched`.
//!
//! | floor | where | what |
//! |---|---|---|
//! | 5 | `builder.rs`, `metrics.rs`, `serve.rs` | [`Hooks`], [`Metrics`], [`Metrics::run`] |
//! | 4 | `mount.rs`, `adapter.rs` | where the endpoints are mounted; requests to the monitor, answers back |
//! | 3 | `middleware/` | the middleware, the measured body, the marker |
//! | 2 | `worker.rs`, `seen_routes.rs`, `shared.rs` | a worker's recorder; which route a request is counted under; what workers share |
//! | 1 | `request/` | method, route, consumer and trace of a request; event loops |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod adapter;
mod builder;
mod metrics;
mod middleware;
mod mount;
mod request;
mod seen_routes;
mod serve;
mod shared;
mod worker;

pub use builder::{Builder, Hooks};
pub use metrics::Metrics;
pub use metrics_core::{
    Counter, Figures, Gauge, Granularity, HitRatio, InvalidSetting, MetricError, Outcome, Registry,
    RegistryBuilder, Snapshot, Summary, Timer, UniqueCount, Window,
};
#[cfg(any(
    feature = "otlp",
    feature = "datadog",
    feature = "elasticsearch",
    feature = "sentry",
    feature = "alert-webhook",
    feature = "alertmanager",
))]
pub use metrics_monitor::HttpOptions;
pub use metrics_monitor::alert;
#[cfg(feature = "datadog")]
pub use metrics_monitor::datadog;
#[cfg(feature = "ecs-log")]
pub use metrics_monitor::ecs;
#[cfg(feature = "elasticsearch")]
pub use metrics_monitor::elasticsearch;
#[cfg(feature = "facade")]
pub use metrics_monitor::facade;
#[cfg(feature = "redis")]
pub use metrics_monitor::fleet;
pub use metrics_monitor::metrics_core;
#[cfg(feature = "otlp")]
pub use metrics_monitor::otlp;
pub use metrics_monitor::policy::Until;
pub use metrics_monitor::policy::consumers::Identity;
pub use metrics_monitor::prometheus;
pub use metrics_monitor::push;
#[cfg(feature = "sentry")]
pub use metrics_monitor::sentry;
pub use metrics_monitor::{BuildError, Loss, Monitor, Secret, Service, Unsent};
pub use middleware::body::MeasuredBody;
pub use middleware::marker::{MarkerFuture, MarkerService, RouteMarker};
pub use middleware::service::{MetricsService, Middleware, MiddlewareFuture};
#[cfg(feature = "tracing-opentelemetry")]
pub use request::span::span_context;
