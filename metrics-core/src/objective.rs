//! Objectives (SLOs): a share of requests that must be good, and the budget of those that may be bad.
//!
//! ```
//! use std::time::Duration;
//! use metrics_core::objective::{Objective, Objectives};
//! use metrics_core::Registry;
//!
//! let registry = Registry::new();
//! let in_time = Objective::latency(99.0, Duration::from_millis(300)).routes(["/orders/{id}"]);
//! let objectives = Objectives::new([Objective::availability(99.9), in_time], &registry)?;
//! registry.record(registry.endpoint("GET", "/orders/{id}"), 200, Duration::from_millis(20));
//! objectives.tick(&registry); // every ten seconds
//! let [availability, latency] = &objectives.states()[..] else { panic!() };
//! assert_eq!((availability.good, availability.valid), (1, 1));
//! # Ok::<(), metrics_core::InvalidSetting>(())
//! ```
//!
//! A request is *valid* if it matched a route and was not aborted; 4xx of routes that [catch
//! all](crate::EndpointName::catches_all) paths are not valid. A valid request is *good* if its status is below 500 and
//! it did not panic; for latency, it also has to be in time. The *budget* of a window is the share of its valid
//! requests that may be bad. The *burn rate* is how many times faster than evenly the budget is spent: at 1, it lasts
//! exactly as long as its window.

mod apdex;
mod budget;
mod count;
mod samples;
mod settings;
mod tracker;

pub use self::apdex::{Apdex, ApdexCounts, ApdexScore, ApdexState};
pub use self::budget::Budget;
pub use self::count::ObjectiveCounts;
pub use self::settings::{BURN_RULES, Kind, Objective};
pub use self::tracker::{ObjectiveState, Objectives};
