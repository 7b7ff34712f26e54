//! A lock-free metrics core for high-throughput services. It measures every request, without sampling.
//!
//! Recording a request only writes to memory that its thread owns, its shard. Readers add up the shards.
//!
//! ```
//! use std::time::Duration;
//! let registry = metrics_core::Registry::new();
//! let get_item = registry.endpoint("GET", "/items/{id}"); // once; keep the id
//!
//! let recorder = registry.recorder(); // one per thread
//! recorder.record(get_item, 200, Duration::from_micros(350));
//! recorder.record_nanos(get_item, 500, 1_200_000);
//! registry.record(get_item, 200, Duration::from_micros(410)); // from any thread
//!
//! let summary = registry.summary(); // since the last reset
//! assert_eq!((summary.total.calls, summary.total.errors), (3, 1));
//!
//! let closed = registry.reset(); // the window just closed
//! assert_eq!(closed.total.calls, 3);
//! assert_eq!(registry.summary().total.calls, 0);
//! assert_eq!(registry.snapshot().histogram().total(), 3); // cumulative, since the start
//! ```
//!
//! | role | type |
//! |---|---|
//! | all figures of a service; created once, cloned freely | [`Registry`], [`RegistryBuilder`] |
//! | an interned (method, route) | [`EndpointId`] |
//! | the consumer that a request is counted for | [`Consumer`], [`ConsumerId`] |
//! | a thread's writer | [`Recorder`] |
//! | the merged state, to export, store, add or subtract | [`Snapshot`], [`EndpointSnapshot`], [`GroupSnapshot`] |
//! | durations in HdrHistogram's buckets | [`Histogram`] |
//! | a snapshot as plain parts, for other formats | [`SnapshotParts`] |
//! | errors by endpoint, outcome and message template | [`ErrorGroups`], [`ErrorGroup`], [`RequestDetails`] |
//! | the slowest requests of a window | [`SlowRequests`], [`SlowRequest`] |
//! | the figures of a window, for people | [`Summary`], [`Figures`], [`RecentError`] |
//! | single slow or sampled requests, and their traces | [`RecentRequest`], [`TraceContext`] |
//! | the application's own metrics | [`Counter`], [`Gauge`], [`Timer`], [`HitRatio`], [`UniqueCount`] |
//! | rules over the figures of a window, and their states | [`alert`] |
//! | objectives, their budgets and burn rates | [`objective`] |
//! | the figures over time | [`History`], [`Window`], [`Trend`], [`Point`], [`Business`], [`MetricTrend`] |
//! | a setting that was refused | [`InvalidSetting`] |
//!
//! # Where things are
//!
//! Top layer first; each row imports only from the rows below it.
//!
//! | folder or file | what happens there |
//! |---|---|
//! | `objective/` | good and valid requests are counted; budgets and burn rates are computed |
//! | `alert/` | rules are evaluated (`engine`), and become notices |
//! | `history/`, `builder.rs` | windows and trends of the last 24 hours; settings are checked |
//! | `registry.rs` | the methods that an application calls |
//! | `core.rs`, `core/` | snapshots are taken; the baseline of the last reset is kept and subtracted |
//! | `business.rs` | handles of the application's own metrics |
//! | `read/` | shards are merged (`reader`); snapshots are added and subtracted; summaries are computed |
//! | `record/` | a request is counted: `recorder`, `slot` (which count), `shard`, `cell` (adds to bucket, count, sum) |
//! | `events/` | the error log, groups of errors, the request log, exemplars |
//! | `labels/` | endpoints, consumers and metrics get their ids; methods, outcomes and status groups |
//! | `histogram/` | a duration's bucket is computed (`layout`); quantiles |
//! | `hyperloglog.rs` | distinct values are estimated |
//! | `space_saving.rs`, `template.rs` | frequent keys; message templates |
//! | `bytes.rs`, `setting.rs`, `sync.rs` | bytes of bodies; refused settings; atomics |
//!
//! # What is exact and what is not
//!
//! Counts by status and the sum of durations are exact. Each record falls into exactly one window, however often and
//! from wherever the registry is reset. One exception: a reading waits at most 5 ms in total for records that are half
//! written. If a thread is stopped in a record for longer, or never pauses, that record's duration can be in the sum of
//! one window and its count in the next. Nothing is lost.
//!
//! Percentiles have the relative error of the histogram, below 0.79 % at the default precision. Minimum and maximum are
//! exact, except for records that race with a reset: those are right to within the bucket.
//!
//! # Memory
//!
//! Memory is bounded by the [`RegistryBuilder`]'s settings and the number of recorders that live at once. A shard is
//! one recorder's memory. It outlives its recorder and is leased to the next one.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod alert;
mod builder;
mod business;
mod bytes;
mod core;
mod events;
mod histogram;
mod history;
mod hyperloglog;
mod labels;
pub mod objective;
mod read;
mod record;
mod registry;
mod setting;
mod space_saving;
mod sync;
mod template;
mod text;
mod wall_clock;

pub use builder::RegistryBuilder;
pub use business::{Counter, Gauge, HitRatio, Timer, Timing, UniqueCount};
pub use events::context::{MAX_PATH_BYTES, MAX_REQUEST_ID_BYTES, RequestContext, RequestDetails};
pub use events::error_groups::{ErrorGroup, ErrorGroups};
pub use events::error_log::{ErrorCursor, ErrorsMissing, MAX_MESSAGE_BYTES, RecentError};
pub use events::error_priority::ErrorPriority;
pub use events::exemplar::Exemplar;
pub use events::request_log::{RecentRequest, RequestCursor};
pub use events::slow::{SlowRequest, SlowRequests};
pub use histogram::{Bucket, Histogram, MAX_NANOS, PrecisionMismatch};
pub use history::{
    Beginning, Business, CountPoint, CountTrend, Gap, History, MetricPoint, MetricTrend, ParseWindowError,
    Period, Point, SavedError, Selection, StepError, Trend, Window,
};
pub use labels::consumer::{Consumer, ConsumerId};
pub use labels::endpoint::{EndpointId, EndpointName, MAX_NAME_BYTES, UNMATCHED};
pub use labels::label_set::{LabelSet, MAX_LABEL_NAME_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS};
pub use labels::method::METHODS;
pub use labels::metric_kind::{MetricKind, MetricValue};
pub use labels::metric_names::MetricError;
pub use labels::outcome::{Granularity, Outcome, ParseOutcomeError, StatusGroup};
pub use labels::trace::{ParseSpanIdError, ParseTraceIdError, SpanId, TraceContext, TraceId};
pub use read::merge_error::MergeError;
pub use read::snapshot::Snapshot;
pub use read::snapshot::consumers::ConsumerSnapshot;
pub use read::snapshot::endpoint::EndpointSnapshot;
pub use read::snapshot::group::GroupSnapshot;
pub use read::snapshot::health::Health;
pub use read::snapshot::metrics::{MetricReading, MetricSnapshot};
pub use read::snapshot::parts::{
    EndpointParts, GroupParts, MetricParts, MetricStateParts, SnapshotParts, UNIQUE_REGISTERS,
};
pub use read::snapshot::parts_error::PartsError;
pub use read::snapshot::version::Version;
pub use read::summary::figures::Figures;
pub use read::summary::metrics::{MetricFigures, MetricSummary};
pub use read::summary::{EndpointSummary, Summary};
pub use record::recorder::{Finished, Recorder, Start};
pub use registry::Registry;
pub use setting::InvalidSetting;
pub use space_saving::SpaceSaving;
pub use template::message_template;
pub use text::{each_visible, is_hidden, visible};
