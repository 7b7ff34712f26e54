//! What Prometheus scrapes: a snapshot as text 0.0.4, as OpenMetrics 1.0, or as protobuf with native histograms.
//!
//! There is no I/O and no global registry. An [`Exposition`] holds the settings, [`Format::negotiate`] picks the
//! format, and [`Exposition::render`] writes into a buffer of the caller. Pass it the cumulative
//! [`Registry::snapshot`](metrics_core::Registry::snapshot): resets do not affect it, so no counter decreases.
//!
//! ```
//! use metrics_export::prometheus::{Exposition, Format};
//! let registry = metrics_core::Registry::new();
//! registry.record(registry.endpoint("GET", "/items/{id}"), 200, std::time::Duration::from_millis(2));
//!
//! let exposition = Exposition::builder().constant_label("env", "prod").build()?;
//! let format = Format::negotiate("application/openmetrics-text;version=1.0.0,*/*;q=0.1");
//! let mut buffer = Vec::new(); // reuse it for the next scrape
//! exposition.render(&registry.snapshot(), format, &mut buffer);
//! let line = r#"http_requests_total{env="prod",method="GET",route="/items/{id}",status="200"} 1"#;
//! assert!(String::from_utf8(buffer)?.lines().any(|written| written == line));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Scraper`] renders the same bytes, but keeps its text and only rewrites what changed since the last time.
//!
//! # Families
//!
//! | family | labels | meaning |
//! |---|---|---|
//! | `http_requests_total` | `method`, `route`, `status` | requests that got a response; `status` is a number, or `other` outside 100 to 599 |
//! | `http_requests_aborted_total` | `method`, `route` | requests whose client disconnected before the response |
//! | `http_requests_panicked_total` | `method`, `route` | requests that panicked before the response |
//! | `http_request_duration_seconds` | `method`, `route`, `status_class` | a histogram; classes are `1xx` to `5xx`, `other`, `aborted` and `panicked`, or `success` and `error` if the registry [groups](metrics_core::Granularity) by outcome |
//! | `http_requests_in_flight` | | requests in flight, without the scrape itself |
//! | `http_open_streams` | | responses that stay open |
//! | `http_request_body_bytes_total`, `http_response_body_bytes_total` | `method`, `route` | bytes of bodies |
//! | `http_responses_truncated_total` | `method`, `route` | responses whose body broke off; they also count in `http_requests_total` |
//! | `http_consumer_requests_total`, `http_consumer_errors_total`, `http_consumer_duration_seconds_total` | `consumer` | the consumers with the most calls, if [`ExpositionBuilder::top_consumers`] is set |
//! | `http_objective_valid_total`, `http_objective_good_total`, `http_objective_target_ratio` | `objective` | valid and good requests of an [objective](metrics_core::objective), and the share that must be good; if [`ExpositionBuilder::objectives`] is set |
//! | `http_apdex_requests_total`, `http_apdex_target_seconds` | `rating` | requests by how users rate them: `satisfied`, `tolerating` or `frustrated`; if [`ExpositionBuilder::apdex`] is set |
//! | `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, ... | | what the process uses, under the standard names of Prometheus clients; if [`Resources`] has it |
//! | `host_network_receive_bytes_total`, `host_network_transmit_bytes_total` | | bytes over all interfaces of the host; if [`Resources`] has it |
//! | `event_loop_lag_seconds` | | the longest delay of a worker's event loop in the last minute; if [`Resources`] has it |
//! | `metrics_exporter_windows_total`, `metrics_exporter_errors_total`, `metrics_exporter_requests_total` | `exporter`, `outcome` | counts by outcome: `sent`, `idle`, `dropped`, `merged` or `missed`; if there are [`ExporterCounts`](crate::push::ExporterCounts) |
//! | `metrics_exporter_windows_waiting`, `metrics_exporter_attempts_failed_total`, `metrics_exporter_last_sent_timestamp_seconds`, ... | `exporter` | the state of each exporter |
//! | `metrics_denied_total` | `reason` | refused requests to the monitor's endpoints: `no_token`, `wrong_token`, `host`, `remote` or `cross_site`; if [`Resources`] has it |
//! | `metrics_core_...` | | how full the registry's tables are, what did not fit, and what the monitor itself uses; `metrics_core_..._bytes` are the memory of its parts that grow, within bounds: `history`, `shard`, `error_groups`, `scrapes_kept` |
//!
//! The application's metrics keep their names and get the endings that Prometheus recommends:
//!
//! | a metric `x` | family | meaning |
//! |---|---|---|
//! | [`Counter`](metrics_core::Counter) | `x_total` | a counter |
//! | [`Gauge`](metrics_core::Gauge) | `x` | a gauge |
//! | [`Timer`](metrics_core::Timer) | `x_duration_seconds` | a histogram with the bounds, schema and error of the request histogram |
//! | [`HitRatio`](metrics_core::HitRatio) | `x_lookups_total{result="hit"}`, `{result="miss"}` | a counter; divide the two rates |
//! | [`UniqueCount`](metrics_core::UniqueCount) | `x` | a gauge: distinct values today (UTC) |
//!
//! Labels of own metrics are labels of the series. A label with the name of a [constant
//! label](ExpositionBuilder::constant_label) gets the prefix `app_`.
//!
//! If the name already has the ending, it is not repeated. A name that, with its ending, starts with `event_loop_`,
//! `host_`, `http_`, `metrics_core_`, `metrics_denied`, `metrics_exporter_` or `process_` gets the prefix `app_`, so
//! that it never clashes with a family of ours. So do `up` and names that start with `scrape_`, which belong to
//! Prometheus: a gauge `up` would replace the series that says whether a target can be scraped. If the samples of two
//! metrics would have the same name, such as a counter `x` and a gauge `x_total`, the metric whose name sorts first is
//! exposed; `metrics_core_metrics_hidden` counts the others.
//!
//! Every request is in exactly one of the first three families, and in exactly one series of the histogram. So the sum
//! of these three equals the sum of all `http_request_duration_seconds_count`: the number of calls.
//!
//! # Exemplars
//!
//! OpenMetrics and protobuf attach each endpoint's latest slow or failed request, with its `trace_id`, to its classic
//! bucket; see [`Snapshot::exemplars`](metrics_core::Snapshot::exemplars). Prometheus stores them with
//! `--enable-feature=exemplar-storage`.
//!
//! # Errors
//!
//! Counts and sums are exact. In the histogram, each bucket of ours goes to one exported bucket as a whole:
//!
//! - Classic: a bound counts all durations up to it. It may also count durations above it by less than the registry's
//!   relative error (6.25 %, 0.79 % or 0.098 % for 1, 2 or 3 significant digits).
//! - Native: the schema is the finest whose buckets are nowhere narrower than ours, so that a smooth distribution shows
//!   no holes. A duration within half a bucket of ours from an edge may land in the adjacent exported bucket.
//!
//! | digits | schema | width of a native bucket | error of a duration | error of a quantile below |
//! |---|---|---|---|---|
//! | 1 | 3 | 9.1 % | 3.1 % | 12.5 % |
//! | 2 | 6 | 1.1 % | 0.4 % | 1.5 % |
//! | 3 | 8 | 0.27 % | 0.05 % | 0.33 % |
//!
//! Durations over 68.7 s are exact in the sum, above every classic bound, and in the last native bucket (around 68.6 s
//! with two digits). `metrics_core_durations_clamped_total` counts them.

mod bounds;
mod business;
mod catalog;
mod consumers;
mod durations;
mod encoder;
mod exporters;
mod exposition;
mod families;
mod family;
mod field;
mod format;
mod known_labels;
mod labels;
mod names;
mod native;
mod objectives;
mod padded;
mod page;
mod protobuf;
mod render;
mod resources;
mod rules;
mod scraper;
mod text;

pub use self::bounds::DEFAULT_DURATION_BOUNDS;
pub use self::exposition::{Exposition, ExpositionBuilder};
pub use self::format::Format;
pub use self::names::Names;
pub use self::resources::{Denied, Resources};
pub use self::rules::objective_rules;
pub use self::scraper::Scraper;
