//! Alerts: rules over the figures of a window, and what state each of them is in.
//!
//! Whoever has a thread calls [`Alerts::evaluate`] after each [`History::tick`](crate::History::tick), and hands the
//! [`Notice`]s on. Nothing here sends anything, reads a clock or starts a thread.
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
//! assert_eq!(notices[0].alert.to_string(), "p99 is 2 s, above 0.5 s over 1m");
//! # Ok::<(), metrics_core::alert::RuleError>(())
//! ```
//!
//! # States
//!
//! An alert is *inactive* until its figure breaks the threshold, then *pending* until that has lasted for the rule's
//! duration, then *firing* until the figure is back beyond the rule's clear threshold, and then *resolved* for a quarter
//! of an hour, so that people see that it was there. Each time that it begins to fire and each time that it is resolved
//! gives one notice; in between there is a reminder now and then.
//!
//! Without calls there is nothing to judge: a rate or a response time of no calls breaks no threshold, and resolves an alert.

mod engine;
mod rule;
mod series;
mod word;

pub use self::engine::{Alert, Alerts, Change, FigureSource, Moment, Notice, State};
pub use self::rule::{Rule, RuleError, Scope};
pub use self::word::{Comparison, Metric, ParseRuleError, Severity, Unit};
