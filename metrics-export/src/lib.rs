//! Formats and destinations for what `metrics-core` measures: one module and one feature each.
//!
//! A format is a function of a [`Snapshot`](metrics_core::Snapshot) or a [`Summary`](metrics_core::Summary). Only
//! [`facade`] records anything.
//!
//! | feature | module | purpose |
//! |---|---|---|
//! | | [`alert`] | delivers alert notices; each destination has a feature |
//! | `facade` | [`facade`] | records what other crates emit through the `metrics` facade |
//! | `fleet` | [`fleet`] | the report that an instance sends to the others, as bytes, and the sum of all reports |
//! | `gzip` | [`gzip`] | compresses bodies, without affecting what others compress |
//! | `redis` | [`fleet`] | sends and reads these reports through a Redis |
//! | `json` (default) | [`json`] | the bodies of the HTTP endpoints, as serialisable types |
//! | `push` | [`push`] | the engine that pushes to other systems; each destination has a feature |
//! | `datadog` | [`datadog`] | stats and traces of errors, to a Datadog Agent |
//! | `ecs-log` | [`ecs`] | errors and summaries as JSON lines of ECS, the Elastic Common Schema |
//! | `elasticsearch` | [`elasticsearch`] | ECS documents, directly to Elasticsearch or OpenSearch |
//! | `otlp`, `otlp-grpc` | [`otlp`] | OpenTelemetry's metrics, pushed over HTTP or gRPC |
//! | `sentry` | [`sentry`] | errors and release health, to Sentry |
//! | `prometheus` | [`prometheus`] | scrapes: text 0.0.4, OpenMetrics 1.0, and protobuf with native histograms |
//!
//! [`Service`] names the service for all destinations. `HttpOptions` has the settings that all HTTP destinations share.
//!
//! To send figures elsewhere, implement [`push::Exporter`] (example: `otlp/exporter.rs`) and pass it to the monitor's
//! `Builder::exporter`. To send alert notices elsewhere, implement [`alert::Destination`] (example: `alert/log.rs`).

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub mod alert;
mod backoff;
#[cfg(feature = "datadog")]
pub mod datadog;
#[cfg(feature = "ecs-log")]
pub mod ecs;
#[cfg(feature = "elasticsearch")]
pub mod elasticsearch;
#[cfg(any(
    feature = "alert-log",
    feature = "alert-webhook",
    feature = "alertmanager",
    feature = "_push-http",
    feature = "redis"
))]
#[cfg_attr(
    not(all(feature = "datadog", feature = "otlp", feature = "sentry")),
    allow(dead_code, reason = "each destination reads few kinds of variables")
)]
mod environment;
#[cfg(any(feature = "prometheus", feature = "otlp"))]
mod exponential;
#[cfg(feature = "facade")]
pub mod facade;
#[cfg(feature = "fleet")]
pub mod fleet;
#[cfg(feature = "gzip")]
pub mod gzip;
#[cfg(any(feature = "alert-webhook", feature = "alertmanager", feature = "_push-http"))]
mod http;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "prometheus")]
pub mod prometheus;
#[cfg(feature = "push")]
pub mod push;
mod random;
mod secret;
#[cfg(feature = "sentry")]
pub mod sentry;
mod service;
mod start_error;
mod state_log;
#[cfg(any(feature = "datadog", feature = "prometheus"))]
#[cfg_attr(not(feature = "prometheus"), allow(dead_code, reason = "sketches have few kinds of fields"))]
mod wire;

#[cfg(any(feature = "alert-webhook", feature = "alertmanager", feature = "_push-http"))]
pub use http::HttpOptions;
pub use secret::Secret;
pub use service::Service;
pub use start_error::StartError;
