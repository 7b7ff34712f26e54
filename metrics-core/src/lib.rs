//! A lock-free metrics core for services that run hot: every request is measured, none is sampled away.
//!
//! A writer touches only memory that its own thread owns; whoever reads pays for merging it.
//!
//! ```
//! use std::time::Duration;
//! let registry = metrics_core::Registry::new();
//! let get_item = registry.endpoint("GET", "/items/{id}"); // once; keep the id
//!
//! let recorder = registry.recorder(); // one a thread
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
//! | the monitor as a whole; made once, cloned freely | [`Registry`], [`RegistryBuilder`] |
//! | an interned (method, route) | [`EndpointId`] |
//! | on whose behalf requests are made | [`Consumer`], [`ConsumerId`] |
//! | a thread's writer | [`Recorder`] |
//! | the merged state, to export, keep, add, subtract | [`Snapshot`], [`EndpointSnapshot`], [`GroupSnapshot`] |
//! | durations in HdrHistogram's buckets | [`Histogram`] |
//! | a snapshot as plain parts, for formats of one's own | [`SnapshotParts`] |
//! | the figures of a window, to show to people | [`Summary`], [`Figures`], [`RecentError`] |
//! | single requests that were slow or drawn by lot, and their traces | [`RecentRequest`], [`TraceContext`] |
//! | what the application itself counts, keeps and times | [`Counter`], [`Gauge`], [`Timer`], [`HitRatio`], [`UniqueCount`] |
//! | rules over the figures of a window, and their states | [`alert`] |
//! | what the figures were over time | [`History`], [`Window`], [`Trend`], [`Point`], [`Business`], [`MetricTrend`] |
//!
//! # What is exact and what is not
//!
//! Counts by status and the sum of durations are exact, and each record falls into exactly one window, however often
//! and from wherever the registry is reset. (A thread that records without a pause, or that the scheduler stops in the
//! middle of a record for longer than the 5 ms that a reading waits in all, can have a record's duration in the sum of one
//! window and its count in the next; nothing is lost by that.) Percentiles carry the relative error of the histogram, below 0.79 % at the
//! default precision. Minimum and maximum are exact, but for records that race with a reset: then they are right to
//! within the bucket.
//!
//! # Memory
//!
//! Bounded by the [`RegistryBuilder`]'s settings and the number of recorders that live at once, whatever is recorded. A shard
//! is one recorder's memory; it outlives its recorder and is leased to the next one.

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
mod read;
mod record;
mod registry;
mod setting;
mod sync;

pub use builder::RegistryBuilder;
pub use business::{Counter, Gauge, HitRatio, Timer, Timing, UniqueCount};
pub use events::error_log::{ErrorCursor, MAX_MESSAGE_BYTES, RecentError};
pub use events::exemplar::Exemplar;
pub use events::request_log::{RecentRequest, RequestCursor};
pub use histogram::{Bucket, Histogram, MAX_NANOS, PrecisionMismatch};
pub use history::{
    Business, History, MetricPoint, MetricTrend, ParseWindowError, Point, StepError, Trend, Window,
};
pub use labels::consumer::{Consumer, ConsumerId};
pub use labels::endpoint::{EndpointId, EndpointName, MAX_NAME_BYTES};
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
pub use read::summary::figures::Figures;
pub use read::summary::metrics::{MetricFigures, MetricSummary};
pub use read::summary::{EndpointSummary, Summary};
pub use record::recorder::{Recorder, Start};
pub use registry::Registry;
pub use setting::InvalidSetting;
