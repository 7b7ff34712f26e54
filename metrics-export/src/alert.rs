//! Where notices of alerts go: destinations, and the thread that serves one.
//!
//! | feature | what it gives |
//! |---|---|
//! | | [`Destination`], and [`Delivery`], the thread with its queue |
//! | `alert-log` | [`Log`]: a line of the `log` crate |
//! | `alert-webhook` | [`Webhook`]: JSON by HTTP POST, which Slack and those who do as Slack does show as text |
//! | `alertmanager` | [`Alertmanager`]: its API v2 |
//! | `alert-toml` | [`rules_from_toml`] |
//!
//! HTTP is without TLS unless the feature `tls` is on: an `https` URL is refused. Without it, send to a proxy or an
//! Alertmanager near by, which can speak TLS to the rest of the world, or implement [`Destination`] with a client of your own.

#[cfg(feature = "alertmanager")]
mod alertmanager;
mod delivery;
mod destination;
#[cfg(any(feature = "alert-webhook", feature = "alertmanager"))]
mod http;
#[cfg(feature = "alert-log")]
mod log;
mod queue;
#[cfg(feature = "alert-toml")]
mod rules;
#[cfg(feature = "alert-webhook")]
mod webhook;

#[cfg(feature = "alertmanager")]
pub use self::alertmanager::Alertmanager;
pub use self::delivery::Delivery;
pub use self::destination::{Destination, SendError};
#[cfg(feature = "alert-log")]
pub use self::log::Log;
pub use self::queue::DeliveryCounts;
#[cfg(feature = "alert-toml")]
pub use self::rules::{RulesError, rules_from_toml};
#[cfg(feature = "alert-webhook")]
pub use self::webhook::Webhook;
