//! Datadog's APM, through its Agent: stats of all requests, and traces of selected ones.
//!
//! - Stats go to `/v0.6/stats`: by resource (`GET /items/{id}`) and status, hits, errors, the sum of durations, and two
//!   sketches of durations, one of successful and one of failed requests.
//! - Traces go to `/v0.4/traces`: one span for each error, and for each slow or sampled request, if the error log or
//!   the request log still has it.
//!
//! So a service's page in Datadog shows requests, errors and percentiles of *all* requests, even if nothing is traced.
//! Hits, errors and sums are exact. An error is a 5xx or a panic, as in Datadog's own libraries; a request without a
//! response has status 0. Durations by status need [`Granularity::Exact`](metrics_core::Granularity::Exact); otherwise
//! the durations of a shared histogram count for its most frequent status.
//!
//! **Sketches.** They have the bins of Datadog's backend, with a relative accuracy of 1/129. Each of our buckets goes
//! to the bin of its middle. Together, the error of a quantile is below 1.2 % at two significant digits, 4 % at one and
//! 0.9 % at three. Durations over 68.7 s go to the last bin, but count fully in the sum.
//!
//! **Traces.** The thread that sends makes spans from the logs of errors and of requests, so a request pays only for
//! its log entry. A request that came with a trace becomes a span of it, a child of the caller's; others get a new
//! trace. Whether a request is traced does not depend on whether its caller is: see [`DatadogBuilder::slow`] and
//! [`DatadogBuilder::sample_rate`].
//!
//! **Windows.** Each is a bucket of 10 s by the clock. A window whose answer is lost is sent again under the same
//! number, `Sequence`, and its spans keep their ids.

mod agent;
mod builder;
mod container;
mod environment;
mod exporter;
mod origin;
mod sketch;
#[cfg(unix)]
mod socket;
mod stats;
mod traces;

pub use self::builder::DatadogBuilder;
pub use self::exporter::Datadog;
