//! Where alert notices go: destinations, and the thread that serves each.
//!
//! | feature | item |
//! |---|---|
//! | | [`Destination`]; [`Delivery`], a thread with a queue; [`Permit`], for notices of a fleet |
//! | `alert-log` | [`Log`]: lines of the `log` crate |
//! | `alert-webhook` | [`Webhook`]: JSON by HTTP POST, whose text Slack and compatible services show |
//! | `alertmanager` | [`Alertmanager`]: its API v2 |
//! | `alert-toml` | [`alerts_from_toml`]: rules and objectives |
//!
//! An `https` URL needs the feature `tls`. Without it, send to an `http` proxy or an Alertmanager nearby that speaks
//! TLS to the outside, or implement [`Destination`] with another client.

#[cfg(feature = "alertmanager")]
mod alertmanager;
mod delivery;
mod destination;
#[cfg(any(feature = "alert-webhook", feature = "alertmanager"))]
mod http;
#[cfg(feature = "alert-log")]
mod log;
mod permit;
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
pub use self::permit::{Permit, Settled};
pub use self::queue::DeliveryCounts;
#[cfg(feature = "alert-toml")]
pub use self::rules::{RulesError, TomlAlerts, alerts_from_toml};
#[cfg(feature = "alert-webhook")]
pub use self::webhook::Webhook;
