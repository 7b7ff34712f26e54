//! OpenTelemetry's metrics, pushed as protobuf (OTLP), by HTTP or, with the feature `otlp-grpc`, by gRPC.
//!
//! | metric | what it is |
//! |---|---|
//! | `http.server.request.duration` | a [histogram](Histograms), by `http.request.method`, `http.route`, `url.scheme` and status: `http.response.status_code` where the registry keeps [`Granularity::Exact`](metrics_core::Granularity::Exact), else `http.response.status_class`; `error.type` for 5xx, and `aborted` or `panicked` where there was no response |
//! | `http.server.active_requests` | requests under way, of all endpoints together |
//! | `http.server.request.body.size`, `http.server.response.body.size` | how many and how many bytes, in a histogram of one bucket: sizes are not kept one by one |
//! | the application's own | under their names: counters as sums, gauges, timers as histograms in seconds, hit ratios as sums by `result`, distinct values as gauges by `day` |
//! | `process.cpu.time`, `process.memory.usage`, `process.thread.count`, `process.unix.file_descriptor.count`, `process.uptime` | what the process uses, where somebody says so |
//!
//! Counts and sums are exact. What a collector answers with 500 is sent again as part of the next window, which the protocol
//! advises only for 429, 502, 503 and 504; with gRPC it is as the protocol advises.

mod attributes;
mod builder;
mod encode;
mod environment;
mod exemplars;
mod exporter;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod histogram;
mod protocol;
mod resource;
mod temporality;

pub use self::builder::OtlpBuilder;
pub use self::exporter::Otlp;
pub use self::histogram::{DEFAULT_BOUNDS, Histograms};
pub use self::protocol::Protocol;
pub use self::temporality::Temporality;
