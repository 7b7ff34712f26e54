//! What `metrics-core` measured, in the formats that others read: one module and one feature each.
//!
//! Nothing here touches a writer, but for [`facade`], which is one: a format is a function of a [`Snapshot`](metrics_core::Snapshot) or a
//! [`Summary`](metrics_core::Summary).
//!
//! | feature | module | what it gives |
//! |---|---|---|
//! | | [`alert`] | notices of alerts, delivered; each destination has a feature of its own |
//! | `facade` | [`facade`] | the `metrics` crate's recorder: what other crates emit through it, in our registry |
//! | `fleet` | [`fleet`] | what the instances of a service tell each other, in bytes, and how it is added up |
//! | `redis` | [`fleet`] | the same by way of a Redis |
//! | `json` (default) | [`json`] | the bodies of the HTTP endpoints, as serialisable types |
//! | `push` | [`push`] | the engine that sends what is counted to other places; each destination has a feature of its own |
//! | `datadog` | [`datadog`] | figures and traces of errors, to a Datadog Agent |
//! | `ecs-log` | [`ecs`] | errors and summaries as lines of ECS, the Elastic Common Schema |
//! | `elasticsearch` | [`elasticsearch`] | the same straight to Elasticsearch or OpenSearch |
//! | `otlp` | [`otlp`] | OpenTelemetry's metrics, pushed by HTTP |
//! | `sentry` | [`sentry`] | errors and the health of releases, to Sentry |
//! | `prometheus` | [`prometheus`] | what Prometheus scrapes: text 0.0.4, OpenMetrics 1.0, and protobuf with native histograms |

#![forbid(unsafe_code)]

pub mod alert;
mod backoff;
#[cfg(feature = "datadog")]
pub mod datadog;
#[cfg(feature = "ecs-log")]
pub mod ecs;
#[cfg(feature = "elasticsearch")]
pub mod elasticsearch;
#[cfg(feature = "_push-http")]
mod environment;
#[cfg(any(feature = "prometheus", feature = "otlp"))]
mod exponential;
#[cfg(feature = "facade")]
pub mod facade;
#[cfg(feature = "fleet")]
pub mod fleet;
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
#[cfg(any(feature = "datadog", feature = "prometheus"))]
#[cfg_attr(not(feature = "prometheus"), allow(dead_code, reason = "sketches have few kinds of fields"))]
mod wire;

#[cfg(any(feature = "alert-webhook", feature = "alertmanager", feature = "_push-http"))]
pub use http::HttpOptions;
pub use secret::Secret;
pub use service::Service;
pub use start_error::StartError;
