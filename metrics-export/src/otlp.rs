//! OpenTelemetry's metrics, pushed as protobuf (OTLP) over HTTP or, with the feature `otlp-grpc`, over gRPC.
//!
//! - `http.server.request.duration` is a [histogram](Histograms) by `http.request.method`, `http.route`, `url.scheme`
//!   and status. The status is `http.response.status_code` if the registry keeps
//!   [`Granularity::Exact`](metrics_core::Granularity::Exact), and `http.response.status_class` otherwise. `error.type`
//!   is the status for a 5xx, and `aborted` or `panicked` without a response.
//! - `http.server.active_requests` counts the requests in flight by method, of all endpoints together.
//! - `http.server.request.body.size` and `http.server.response.body.size` are histograms of one bucket, with count and
//!   sum of bytes, since single sizes are not kept.
//! - The application's own metrics have their own names: counters as sums, gauges, timers as histograms in seconds, hit
//!   ratios as sums by `result`, distinct values as gauges by `day`.
//! - `process.cpu.time`, `process.memory.usage`, `process.thread.count`, `process.unix.file_descriptor.count` and
//!   `process.uptime` are what the process uses; unknown ones are left out.
//!
//! Counts and sums are exact. After a 500 the window is sent again with the next one, although the protocol advises
//! that only for 429, 502, 503 and 504; over gRPC retries follow the protocol.

mod attributes;
mod builder;
mod encode;
mod endpoint;
mod environment;
mod exemplars;
mod exporter;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod histogram;
mod protocol;
mod resource;
mod split;
mod temporality;

pub use self::builder::OtlpBuilder;
pub use self::exporter::Otlp;
pub use self::histogram::{DEFAULT_BOUNDS, Histograms};
pub use self::protocol::Protocol;
pub use self::temporality::Temporality;
