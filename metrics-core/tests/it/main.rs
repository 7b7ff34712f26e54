//! The core through its public API: many threads, whole windows, hostile input.
//!
//! Counts are smaller under Miri (`support::scaled`). No test depends on the speed of the machine.
#![cfg(not(metrics_loom))]

mod accounts;
mod alerts;
mod allocations;
mod bodies;
mod causes;
mod consumers;
mod error_groups;
mod error_log;
mod exactly_once;
mod figure_source;
mod figures;
mod fleet_alerts;
mod in_flight;
mod isolation;
mod json;
mod merge;
mod quantiles;
mod readers;
mod request_log;
mod series;
mod shards;
mod slow;
mod steps;
mod support;
mod thread_exit;
mod under_fire;
mod windows;
