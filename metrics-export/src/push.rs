//! Sends what a registry counts to where others look at it: one engine for all destinations.
//!
//! An [`Exporter`] is given [windows](Window): what came between two moments, as figures and errors, and the state at the
//! later one. An [`Engine`] makes them with one thread, from one snapshot for all that are due, so it costs a request
//! nothing. Each destination has a thread of its own beside that, which does nothing but send: HTTP clients block, and a
//! destination that hangs must neither delay the others nor the making of windows. A thread that waits costs some pages of
//! stack, and unlike an async client it needs no runtime and no further crates.
//!
//! What a destination did not take is merged into its next window, up to [`Settings::max_age`]. Pauses between attempts grow
//! and vary, and are as long as the destination asks for. Memory is bounded by [`Settings::max_windows`],
//! [`Settings::max_errors`] and [`Settings::max_requests`], and what did not fit is in the [`Counts`].
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
//! assert!(engine.shutdown(Duration::from_secs(5))); // sends the last window, too
//! assert_eq!(engine.counts()[0].windows_sent, 1);
//! # Ok::<(), metrics_export::StartError>(())
//! ```

mod collector;
mod counts;
mod destination;
mod engine;
mod entries;
mod exporter;
#[cfg(feature = "_push-http")]
mod post;
mod queue;
mod secret;
mod settings;

pub use self::counts::Counts;
pub use self::engine::{Builder, Engine};
pub use self::exporter::{Accepted, Exporter, Failed, Process, Window};
#[cfg(feature = "_push-http")]
pub(crate) use self::post::Connection;
#[cfg(any(feature = "sentry", all(feature = "datadog", unix)))]
pub(crate) use self::post::checked;
#[cfg(any(feature = "otlp", feature = "elasticsearch", feature = "sentry"))]
pub(crate) use self::post::gzipped;
#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
pub(crate) use self::post::post;
pub use self::secret::Secret;
pub use self::settings::Settings;
#[cfg(feature = "_push-http")]
pub use crate::http::UrlError;
