//! The JSON bodies of the HTTP endpoints: one file for each.
//!
//! Durations are in seconds and rates in per cent, as floats in full precision; both are 0 if there were no calls.
//! Times are RFC 3339 in UTC, to the millisecond. The names and the order of the first seven fields of [`SummaryBody`]
//! are fixed, since existing clients read them.
//!
//! ```
//! use metrics_export::json::{Success, SummaryBody};
//!
//! let registry = metrics_core::Registry::new();
//! let text = serde_json::to_string(&Success::new(SummaryBody::from(&registry.summary())))?;
//! assert!(text.starts_with(r#"{"success":true,"data":{"total_calls":0,"total_errors":0,"error_rate":0.0,"#));
//! # Ok::<(), serde_json::Error>(())
//! ```

pub(crate) mod alerts;
mod business;
mod consumers;
mod details;
mod envelope;
mod error_groups;
mod errors;
mod events;
#[cfg(feature = "push")]
mod exporters;
mod figures;
#[cfg(test)]
mod fixture;
#[cfg(feature = "redis")]
mod fleet;
mod history;
mod metric;
mod metric_history;
mod objectives;
mod resources;
mod routes;
mod slow;
mod summary;
pub(crate) mod time;

pub use self::alerts::{AlertsBody, FleetAlertsBody, MistakeBody};
pub use self::business::BusinessBody;
pub use self::consumers::ConsumersBody;
pub use self::envelope::{Failure, Success};
pub use self::error_groups::ErrorGroupsBody;
pub use self::errors::ErrorsBody;
pub use self::events::{LiveBody, MonitorCost};
#[cfg(feature = "push")]
pub use self::exporters::ExportersBody;
#[cfg(feature = "redis")]
pub use self::fleet::{FleetBody, FleetState, InstancesBody, VersionsBody};
pub use self::history::HistoryBody;
pub use self::metric_history::MetricHistoryBody;
pub use self::objectives::ObjectivesBody;
pub use self::resources::{ResourcePoint, ResourcesBody};
pub use self::routes::RoutesBody;
pub use self::slow::SlowBody;
pub use self::summary::SummaryBody;
