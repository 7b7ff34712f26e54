//! The monitor of one service, without an HTTP framework and without an async runtime.
//!
//! It owns a [`Registry`](metrics_core::Registry) and everything around it: history, alerts, exporters, fleet,
//! dashboard and the answers of the HTTP endpoints. A framework's integration, such as `metrics-actix`, records each
//! request of the service in the registry, and passes requests to the monitor's own endpoints to [`Monitor::admit`].
//! Only integrations need this crate.
//!
//! ```
//! use metrics_monitor::Builder;
//! let monitor = Builder::new("orders").build()?;
//! assert!(monitor.endpoints().any(|endpoint| endpoint.path() == "/summary"));
//! # Ok::<(), metrics_monitor::BuildError>(())
//! ```
//!
//! # Where everything is
//!
//! A file imports only from its own layer and those below.
//!
//! | floor | where | what |
//! |---|---|---|
//! | 6 | `builder.rs`, `builder/` | what can be configured: [`Builder`]; `builder/build.rs` puts a monitor together |
//! | 6 | `framework.rs`, `monitor.rs` | what an integration implements and holds: [`Framework`], [`Monitor`] |
//! | 6 | `build_error.rs`, `shutdown.rs` | [`BuildError`]; the shutdown, and what it could not send: [`Unsent`] |
//! | 5 | `endpoints.rs`, `endpoints/` | the table of endpoints, and one function for each answer |
//! | 4 | `dashboard.rs`, `dashboard/` | the dashboard's files |
//! | 3 | `state.rs` | what all parts share |
//! | 2 | `background/` | what runs on the monitor's own threads: ticker, lanes, alerts, what the process uses |
//! | 1 | `policy/` | what to keep of requests and who may read: exclusions, captures, consumers, traces, tokens, hosts |
//!
//! | question | file |
//! |---|---|
//! | How do I add an endpoint? | a row in `endpoints.rs`, and its function in `endpoints/` |
//! | How do I add a setting? | `builder.rs` |
//! | On which thread is an answer computed? | `background/lanes.rs` |
//! | What happens once a second? | the ticker's closure in `builder/build.rs` |
//! | Where are alerts evaluated? | `alert/engine.rs` of `metrics-core`, which `background/alerting.rs` calls |
//! | Who may read, who may reset? | `endpoints/access.rs`; what it looks at: `policy/tokens.rs`, `hosts.rs`, `origin.rs`, `peer.rs` |
//! | Who waits for the same answer? | `background/joined.rs` |
//! | Where is the JSON of an answer? | its shape in `metrics_export::json`; `endpoints/figures.rs` picks it |
//!
//! # Threads
//!
//! | thread | since | what it does |
//! |---|---|---|
//! | `metrics-ticker` | build | once a second: history, alerts, what the process uses |
//! | `metrics-scrape` (2) | the first scrape | renders scrapes |
//! | `metrics-read` (2) | the first request for figures | computes the other answers about this instance |
//! | `metrics-fleet-json` | the first request for a fleet's figures | turns them into JSON, once they have arrived |
//! | `metrics-events` | the first connection | computes server-sent events |
//! | `metrics-shutdown` | [`Monitor::shutdown`] | ends everything in order, once |
//!
//! Exporters, alert destinations and the fleet's member have further threads, which `metrics-export` describes. All end
//! when the last clone of the monitor is dropped; after a shutdown, only another shutdown gives them work.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod background;
mod build_error;
mod builder;
mod dashboard;
mod endpoints;
mod framework;
mod monitor;
pub mod policy;
mod shutdown;
mod state;
#[cfg(test)]
mod testing;

pub use background::event_loops::{EventLoopLoad, EventLoops};
pub use build_error::BuildError;
pub use builder::Builder;
pub use endpoints::Endpoint;
pub use endpoints::accept::Sender;
pub use endpoints::answer::{Answer, Body};
pub use endpoints::request::{Coding, Request};
pub use endpoints::work::Answering;
pub use framework::{Framework, NameRoutes, NoHooks, ReadTraces};
pub use metrics_core;
#[cfg(any(
    feature = "otlp",
    feature = "datadog",
    feature = "elasticsearch",
    feature = "sentry",
    feature = "alert-webhook",
    feature = "alertmanager",
))]
pub use metrics_export::HttpOptions;
#[cfg(feature = "datadog")]
pub use metrics_export::datadog;
#[cfg(feature = "ecs-log")]
pub use metrics_export::ecs;
#[cfg(feature = "elasticsearch")]
pub use metrics_export::elasticsearch;
#[cfg(feature = "facade")]
pub use metrics_export::facade;
#[cfg(feature = "otlp")]
pub use metrics_export::otlp;
pub use metrics_export::prometheus;
pub use metrics_export::push;
#[cfg(feature = "sentry")]
pub use metrics_export::sentry;
pub use metrics_export::{Secret, Service};
pub use monitor::{Admitted, Monitor};
pub use policy::peer::Peer;
pub use shutdown::{Loss, Unsent};

/// Alert rules, and the destinations of their notices.
///
/// All of [`metrics_core::alert`](mod@metrics_core::alert) and of [`metrics_export::alert`](mod@metrics_export::alert).
pub mod alert {
    pub use ::metrics_core::alert::*;
    pub use ::metrics_export::alert::*;
}

/// A fleet: several instances of a service, shown as one.
#[cfg(feature = "redis")]
pub mod fleet {
    pub use metrics_export::fleet::redis::FleetSettings;
}
