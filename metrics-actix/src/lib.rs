//! Metrics for actix-web services that run hot: a middleware that measures every request, and the endpoints that show
//! the figures.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//!
//! async fn order() -> &'static str {
//!     "an order"
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = metrics_actix::Metrics::builder("orders").build()?;
//! HttpServer::new(move || {
//!     App::new()
//!         .configure(metrics.routes("/api/metrics")) // dashboard, summary, routes, errors, ...
//!         .route("/orders/{id}", web::get().to(order))
//!         .wrap(metrics.middleware()) // last = outermost
//! })
//! # .bind("127.0.0.1:0")?;
//! # Ok(())
//! # }
//! ```
//!
//! | role | type |
//! |---|---|
//! | the monitor of a service; made once, cloned into each worker | [`Metrics`], [`Builder`] |
//! | what `App::wrap` takes | [`Middleware`] |
//! | what `Resource::wrap` takes, to know where requests are while they are under way | [`RouteMarker`] |
//! | until when a request is timed | [`Until`] |
//! | on whose behalf a request is made | [`Identity`] |
//! | what Prometheus gets to see | [`prometheus::Exposition`] |
//! | what sends figures to other places | [`push::Exporter`] |
//!
//! Every request ends in exactly one of: a response, an `Err` of an inner middleware (its status counts), aborted (the
//! client went away before there was a response), or panicked. A response whose body breaks off counts by its status, and
//! as aborted beside that. The latency is the time from the middleware to the head of the response, or to the end of its
//! body. The route is the template that matched, such as `/orders/{id}`, without regular expressions; requests
//! that matched nothing are `_unmatched`, and so are those that never got a response and that no marker saw, for only the
//! response tells what matched. Methods that HTTP does not define are `_OTHER`.
//!
//! All figures live in a [`metrics_core::Registry`]: see [`Metrics::registry`]. What they were over the last 24 hours is in a
//! [`metrics_core::History`], which a thread of the monitor keeps going: see [`Metrics::history`]. The same thread evaluates
//! the rules of [alerts](metrics_core::alert): see [`Builder::alert`].
//!
//! | feature | what it adds |
//! |---|---|
//! | `alert-log`, `alert-webhook`, `alertmanager` | where notices of alerts can go |
//! | `alert-toml` | rules of alerts from TOML |
//! | `otlp`, `otlp-grpc`, `datadog`, `ecs-log`, `elasticsearch`, `sentry` | where figures and errors can be [sent to](Builder::exporter) |
//! | `tls` | `https` URLs for all of them |
//! | `redis`, `redis-cluster`, `redis-tls` | the figures of all instances of a service, by way of a Redis |
//! | `facade` | what other crates emit through the `metrics` facade, in the registry |

#![forbid(unsafe_code)]

#[path = "../../metrics-monitor/src/endpoints/access.rs"]
mod access;
#[path = "../../metrics-monitor/src/background/alerting.rs"]
mod alerts;
#[path = "../../metrics-monitor/src/endpoints/answer.rs"]
mod answer;
#[path = "../../metrics-monitor/src/background/lanes.rs"]
mod background;
#[path = "middleware/body.rs"]
mod body;
#[path = "../../metrics-monitor/src/builder.rs"]
mod builder;
#[path = "../../metrics-monitor/src/policy/consumers.rs"]
mod consumer;
#[path = "../../metrics-monitor/src/background/cost.rs"]
mod cost;
#[path = "../../metrics-monitor/src/dashboard.rs"]
mod dashboard;
#[path = "../../metrics-monitor/src/endpoints.rs"]
mod endpoints;
#[path = "request/event_loops.rs"]
mod event_loops;
#[path = "../../metrics-monitor/src/policy/exclusions.rs"]
mod exclude;
#[path = "../../metrics-monitor/src/background/exporting.rs"]
mod exporters;
#[cfg(feature = "redis")]
#[path = "../../metrics-monitor/src/endpoints/fleet.rs"]
pub mod fleet;
#[cfg(feature = "gzip")]
#[path = "../../metrics-monitor/src/endpoints/gzip.rs"]
mod gzip;
#[path = "../../metrics-monitor/src/endpoints/events.rs"]
mod live;
#[path = "middleware/marker.rs"]
mod marker;
#[path = "../../metrics-monitor/src/policy/message.rs"]
mod message;
#[path = "request/method.rs"]
mod method;
#[path = "middleware/service.rs"]
mod middleware;
#[path = "../../metrics-monitor/src/policy/capture.rs"]
mod notable;
#[path = "../../metrics-monitor/src/background/resources.rs"]
mod resources;
#[path = "request/route.rs"]
mod route;
#[path = "../../metrics-monitor/src/endpoints/prometheus.rs"]
mod scrape;
#[path = "../../metrics-monitor/src/background/ticker.rs"]
mod ticker;
#[path = "../../metrics-monitor/src/policy/trace.rs"]
mod trace;
mod worker;

pub use body::MeasuredBody;
pub use builder::{BuildError, Builder, Metrics, Until};
pub use consumer::Identity;
pub use marker::{Marked, MarkedService, RouteMarker};
#[cfg(any(
    feature = "otlp",
    feature = "datadog",
    feature = "elasticsearch",
    feature = "sentry",
    feature = "alert-webhook",
    feature = "alertmanager",
))]
pub use metrics_export::HttpOptions;
pub use metrics_export::alert;
#[cfg(feature = "datadog")]
pub use metrics_export::datadog;
#[cfg(feature = "ecs-log")]
pub use metrics_export::ecs;
#[cfg(feature = "elasticsearch")]
pub use metrics_export::elasticsearch;
#[cfg(feature = "facade")]
pub use metrics_export::facade;
#[cfg(feature = "otlp")]
pub use metrics_export::otlp;
pub use metrics_export::prometheus;
pub use metrics_export::push;
#[cfg(feature = "sentry")]
pub use metrics_export::sentry;
pub use metrics_export::{Secret, Service};
pub use middleware::{MetricsService, Middleware, Recorded};

/// The README's examples, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// As those of the README.
#[cfg(doctest)]
#[doc = include_str!("../../docs/otlp.md")]
struct OtlpPage;

/// As those of the README.
#[cfg(doctest)]
#[doc = include_str!("../../docs/datadog.md")]
struct DatadogPage;

/// As those of the README.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sentry.md")]
struct SentryPage;

/// As those of the README.
#[cfg(doctest)]
#[doc = include_str!("../../docs/elk.md")]
struct ElkPage;
