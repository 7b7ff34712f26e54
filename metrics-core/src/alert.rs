//! Alerts: rules over the figures of a window, and the state of each.
//!
//! Call [`Alerts::evaluate`] after each [`History::tick`](crate::History::tick), and send the [`Notice`]s it returns.
//! Nothing here sends anything, reads a clock or starts a thread.
//!
//! ```
//! use metrics_core::alert::{Alerts, Comparison, Metric, Moment, Rule, Severity};
//! use metrics_core::{History, Registry, Window};
//!
//! let slow = Rule::new("slow", Metric::P99, Comparison::Above, 0.5) // seconds
//!     .clear(0.4)
//!     .window(Window::OneMinute)
//!     .min_calls(1)
//!     .severity(Severity::Critical);
//! let mut alerts = Alerts::new([slow])?;
//!
//! let registry = Registry::new();
//! let history = History::new(registry.clone());
//! registry.record(registry.endpoint("GET", "/"), 200, std::time::Duration::from_secs(2));
//! history.tick();
//! let notices = alerts.evaluate(Moment::now(), &history);
//! assert_eq!(notices[0].alert.to_string(), "P99 2 s over 1 min (limit 500 ms)");
//! # Ok::<(), metrics_core::InvalidSetting>(())
//! ```
//!
//! # States
//!
//! An alert is *inactive* until its figure breaches the threshold. Then it is *pending* until that has lasted for the
//! rule's duration, then *firing* until the figure is back beyond the rule's clear threshold, and then *resolved* for
//! 15 minutes, so that people notice it. There is one notice when it begins to fire, one when it is resolved, and a
//! reminder at the rule's interval in between.
//!
//! A rate or a response time needs calls: without any, it breaches no threshold and resolves a firing alert.

mod condition;
mod engine;
mod example;
mod notice;
mod observe;
mod room;
mod rule;
mod saved;
mod sentence;
mod series;
mod source;
mod windows;

pub use self::condition::{Comparison, Metric, ParseConditionError, Severity, Unit};
pub use self::engine::Alerts;
pub use self::notice::{Alert, Change, EventId, Moment, Notice, State};
pub use self::rule::{Burn, BurnRate, Rule, Scope};
pub use self::saved::{SavedAlert, SavedAlerts, SavedPhase};
pub use self::source::{FigureSource, NewestVersion};
