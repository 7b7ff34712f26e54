//! What Prometheus scrapes: a snapshot as text 0.0.4, as OpenMetrics 1.0, or as protobuf with native histograms.
//!
//! Pure: no I/O, no global registry. An [`Exposition`] says what is written, [`Format::negotiate`] in which format, and
//! [`Exposition::render`] writes it into a buffer of the caller's. Give it the cumulative
//! [`Registry::snapshot`](metrics_core::Registry::snapshot), which resets do not touch, so that no counter goes down.
//!
//! ```
//! use metrics_export::prometheus::{Exposition, Format};
//! let registry = metrics_core::Registry::new();
//! registry.record(registry.endpoint("GET", "/items/{id}"), 200, std::time::Duration::from_millis(2));
//!
//! let exposition = Exposition::builder().constant_label("env", "prod").build()?;
//! let format = Format::negotiate("application/openmetrics-text;version=1.0.0,*/*;q=0.1");
//! let mut buffer = Vec::new(); // keep it for the next time
//! exposition.render(&registry.snapshot(), format, &mut buffer);
//! let line = r#"http_requests_total{env="prod",method="GET",route="/items/{id}",status="200"} 1"#;
//! assert!(String::from_utf8(buffer)?.lines().any(|written| written == line));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Families
//!
//! | family | labels | what it is |
//! |---|---|---|
//! | `http_requests_total` | `method`, `route`, `status` | requests that got a response; `status` is its number, `other` outside 100 to 599 |
//! | `http_requests_aborted_total` | `method`, `route` | requests whose client went away before there was a response |
//! | `http_requests_panicked_total` | `method`, `route` | requests that panicked before there was a response |
//! | `http_request_duration_seconds` | `method`, `route`, `status_class` | a histogram; classes are `1xx` to `5xx`, `other`, `aborted`, `panicked`, or `success` and `error` where the registry [groups](metrics_core::Granularity) so |
//! | `http_requests_in_flight` | | requests under way, with the scrape itself where a middleware counts it |
//! | `http_open_streams` | | responses that stay open |
//! | `http_request_body_bytes_total`, `http_response_body_bytes_total` | `method`, `route` | bytes of bodies |
//! | `http_responses_truncated_total` | `method`, `route` | responses whose body broke off; they are in `http_requests_total`, too |
//! | `http_consumer_requests_total`, `http_consumer_errors_total`, `http_consumer_duration_seconds_total` | `consumer` | of those with the most calls, where [`Builder::top_consumers`] asks for them |
//! | `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, ... | | what the process uses, under the names that all clients of Prometheus use; where [`Resources`] says so |
//! | `host_network_receive_bytes_total`, `host_network_transmit_bytes_total` | | of all interfaces of the host; where [`Resources`] says so |
//! | `event_loop_lag_seconds` | | the longest by which a worker's event loop was late within the last minute; where [`Resources`] says so |
//! | `metrics_exporter_windows_total`, `metrics_exporter_errors_total`, `metrics_exporter_requests_total` | `exporter`, `outcome` | what became of what was to be sent to other places: `sent`, `dropped`, `merged` or `missed`; where there are [`Counts`](crate::push::Counts) |
//! | `metrics_exporter_windows_waiting`, `metrics_exporter_attempts_failed_total`, `metrics_exporter_last_sent_timestamp_seconds`, ... | `exporter` | how each destination does |
//! | `metrics_core_...` | | how full the registry's own tables are, what did not fit, and what the monitor takes |
//!
//! Metrics of the application's own are called as it calls them, with the endings that Prometheus advises:
//!
//! | a metric `x` | family | what it is |
//! |---|---|---|
//! | [`Counter`](metrics_core::Counter) | `x_total` | a counter |
//! | [`Gauge`](metrics_core::Gauge) | `x` | a gauge |
//! | [`Timer`](metrics_core::Timer) | `x_duration_seconds` | a histogram with the bounds, the schema and the errors of that of requests |
//! | [`HitRatio`](metrics_core::HitRatio) | `x_lookups_total{result="hit"}`, `{result="miss"}` | a counter; the ratio is that of their rates |
//! | [`UniqueCount`](metrics_core::UniqueCount) | `x` | a gauge: distinct values of the day (UTC) |
//!
//! An ending that is there already is not put there twice. A name that, with its ending, begins with `event_loop_`, `host_`,
//! `http_`, `metrics_core_`, `metrics_exporter_` or `process_` gets `app_` before it, so that it never meets a family of ours;
//! so do `up` and what begins with `scrape_`, which are Prometheus' own: a gauge `up` would take the place of what says whether
//! a target can be scraped. Of two metrics whose samples would be called the same, such as a counter `x` and a gauge
//! `x_total`, the one whose name comes first is exposed, and `metrics_core_metrics_hidden` counts the others.
//!
//! Every request is in exactly one of the first three families, and in exactly one series of the histogram. So the sum
//! of these three is the sum of all `http_request_duration_seconds_count`, and both are all calls.
//!
//! # Exemplars
//!
//! OpenMetrics and protobuf show each endpoint's latest slow or failed request with its `trace_id`, on the classic bucket in
//! which it is: that of [`Snapshot::exemplars`](metrics_core::Snapshot::exemplars). Prometheus keeps them with
//! `--enable-feature=exemplar-storage`.
//!
//! # Errors
//!
//! Counts and sums are exact. Of the histogram, a bucket of ours falls into an exported one as a whole:
//!
//! - Classic: whatever took no longer than a bound is counted at it, and so can be what took longer by less than the
//!   registry's relative error (6.25 %, 0.79 % or 0.098 % for 1, 2 or 3 significant digits).
//! - Native: the schema is the finest whose buckets are nowhere narrower than ours, so that a smooth distribution shows
//!   no holes. A duration can land in the next exported bucket when it is nearer to its edge than half a bucket of ours.
//!
//! | digits | schema | a native bucket's width | a duration is off by | a quantile is off by less than |
//! |---|---|---|---|---|
//! | 1 | 3 | 9.1 % | 3.1 % | 12.5 % |
//! | 2 | 6 | 1.1 % | 0.4 % | 1.5 % |
//! | 3 | 8 | 0.27 % | 0.05 % | 0.33 % |
//!
//! Durations over 68.7 s are whole in the sum, above every classic bound, and in the last native bucket (around 68.6 s, with
//! two digits); `metrics_core_durations_clamped_total` says how many there are.

mod bounds;
mod business;
mod durations;
mod exporters;
mod exposition;
mod families;
mod format;
mod names;
mod native;
mod protobuf;
mod resources;
mod text;

pub use bounds::DEFAULT_DURATION_BOUNDS;
pub use exposition::{BuildError, Builder, Exposition};
pub use format::Format;
pub use names::Names;
pub use resources::Resources;
