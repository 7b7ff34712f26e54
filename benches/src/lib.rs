//! Compares our metrics with peers and with lower bounds ("floors"): records, middlewares, readings, errors, scrapes,
//! memory, and whole servers, idle and under load.
//!
//! All arms of a comparison get the same input. Each [arm](arms::ARMS) of a record gets the same [`Workload`] through
//! the same loop, and processes each event as its docs advise: it counts it by route, method and status, and records
//! its latency by route. Each arm of a [`middleware`] wraps something else around the same app, which gets the same
//! requests.
//!
//! Each command of this table begins with `cargo run --profile bench -p benches --bin`:
//!
//! | to see | command |
//! |---|---|
//! | ratios of records, and which figures of the design are met | `compare` |
//! | the time of records, resets and readings with 2 to 32 threads | `compare scale` |
//! | the time that middlewares add to a bare app | `compare middleware` |
//! | the time of readings, and how much they slow writers down | `compare read` |
//! | the time of the application's own metrics | `compare business` |
//! | the time of a failed request in a storm of errors | `compare errors` |
//! | the time and the length of a scrape by Prometheus | `compare scrape` |
//! | resident memory by endpoints, shards and digits | `compare memory` |
//! | what wakes an idle server, and what it takes | `compare idle` |
//! | all of that, and whole servers if `wrk` is installed | `compare all` |
//! | allocations of a middleware | `allocations` |
//! | an arm's server, for your own load | `server -- --help` |
//!
//! | to see | run |
//! |---|---|
//! | processor time of whole servers under load | `benches/load.sh` |
//! | instructions, compared with the baseline | `cargo run --release -p benches --bin instructions -- --check` |
//! | whether a record's machine code meets the design | `cargo run --release -p benches --bin machine_code` |
//! | each arm alone, with criterion | `cargo bench -p benches` |
//!
//! Absolute times depend on the machine and on its other users, so look at the ratios: [`measure`] runs all arms in
//! turn, in shuffled order, round after round, and takes the median over the rounds of the ratio within a round.

#![forbid(unsafe_code)]

pub mod arms;
pub mod business;
pub mod errors;
pub mod figures;
mod floors;
pub mod idle;
mod in_flight;
pub mod load;
pub mod machine;
pub mod measure;
pub mod memory;
pub mod middleware;
mod ours;
mod peers;
pub mod read;
pub mod record;
pub mod report;
pub mod scale;
pub mod scrape;
mod service;
mod size;
mod stats;
mod unit;
pub mod worker;
mod workload;

pub use size::Size;
pub use workload::{Event, Routes, Workload};
