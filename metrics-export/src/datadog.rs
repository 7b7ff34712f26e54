//! Datadog's APM, by way of its Agent: figures of all requests, and traces of those that are worth one.
//!
//! | what | where to | what it is |
//! |---|---|---|
//! | stats | `/v0.6/stats` | by resource (`GET /items/{id}`) and status: hits, errors, the sum of durations, and two sketches of them, of requests that went well and of those that failed |
//! | traces | `/v0.4/traces` | one span for each error, and for what was slow or drawn by lot, of what the logs of errors and requests keep |
//!
//! A service's page in Datadog has requests, errors and percentiles of *all* requests by this, though nothing is traced. Hits,
//! errors and sums are exact. An error is a 5xx or a panic, as for Datadog's own libraries; what got no response has status 0.
//! Durations by status need [`Granularity::Exact`](metrics_core::Granularity::Exact); else those that share a histogram are
//! told as of the most frequent status among them.
//!
//! **Sketches.** They have the bins that Datadog itself keeps, with a relative accuracy of 1/129, and a bucket of ours goes
//! where its middle is. Together a quantile is off by less than 1.2 % at two significant digits, by less than 4 % at one and
//! 0.9 % at three. Durations over 68.7 s are in the last bin, but whole in the sum.
//!
//! **Traces.** Spans are made of the logs of errors and of requests by the thread that sends, so they cost a request nothing but
//! its entry. A request that came with a trace is a span of it, below the caller's; others get a trace of their own. Whether a
//! request is traced does not depend on whether its caller is: see [`DatadogBuilder::slow`] and [`DatadogBuilder::sample_rate`].
//!
//! **Windows.** One is a bucket of 10 s by the clock. A window whose answer got lost is sent again under the number that it
//! had, `Sequence`, and its spans keep their ids.

mod agent;
mod builder;
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
