//! Pushes what a registry counts to other systems: one engine for all destinations.
//!
//! An [`Exporter`] receives [windows](Window): the figures and errors between two moments, and the state at the second
//! one. An [`Engine`] ends the windows of all exporters in one thread, with one snapshot for all that are due, so a
//! request pays nothing for it. Each exporter sends in a thread of its own: HTTP clients block, and a destination that
//! hangs must delay neither the others nor the windows. A waiting thread costs a few pages of stack, and needs no async
//! runtime and no further crates.
//!
//! A window that could not be sent is merged into the next, up to [`PushSettings::max_age`]. Pauses between attempts
//! grow and vary, and are at least as long as the destination asks for. Memory is bounded by
//! [`PushSettings::max_windows`], [`PushSettings::max_errors`] and [`PushSettings::max_requests`]; [`ExporterCounts`]
//! counts what was dropped.
//!
//! To add a destination, implement [`Exporter`]; `metrics-export/src/otlp/exporter.rs` is an example over HTTP.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use metrics_export::Service;
//! use metrics_export::push::{Accepted, Engine, Exporter, Failed, Window};
//!
//! struct Print;
//!
//! impl Exporter for Print {
//!     fn name(&self) -> &str {
//!         "print"
//!     }
//!     fn export(&mut self, window: &Window, _deadline: Instant) -> Result<Accepted, Failed> {
//!         println!("{} requests in {:?}", window.calls(), window.figures.span());
//!         Ok(Accepted::default())
//!     }
//! }
//!
//! let registry = metrics_core::Registry::new();
//! let engine = Engine::builder(registry.clone(), Service::new("orders")).exporter(Print).start()?;
//! registry.record(registry.endpoint("GET", "/"), 200, Duration::from_micros(350));
//! assert!(engine.shutdown(Duration::from_secs(5))); // also sends the last window
//! assert_eq!(engine.counts()[0].windows_sent, 1);
//! # Ok::<(), metrics_export::StartError>(())
//! ```

mod collector;
mod control;
mod counts;
mod engine;
mod entries;
mod exporter;
mod losses;
#[cfg(test)]
mod model;
mod part;
#[cfg(feature = "_push-http")]
mod post;
mod queue;
mod sender;
mod sending;
mod settings;
mod watched;

pub use self::counts::ExporterCounts;
pub use self::engine::{Engine, EngineBuilder};
pub use self::exporter::{Accepted, Exporter, Failed, Process, Window};
#[cfg(any(feature = "sentry", all(feature = "datadog", unix)))]
pub(crate) use self::post::checked;
#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
pub(crate) use self::post::post;
pub use self::settings::{PushSettings, TraceHeaders};
