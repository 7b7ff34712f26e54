//! Records side by side: ours, a plain HdrHistogram, the peers, and the floors under all of them.
//!
//! Every [arm](arms::ARMS) is fed the same [`Workload`] through the same loop, and does with each event what its docs
//! advise: count it by route, method and status, and record its latency by route.
//!
//! | to see | run |
//! |---|---|
//! | each arm by itself, with criterion | `cargo bench -p benches --bench record` |
//! | ratios, and the design's figures met or missed | `cargo run --profile bench -p benches --bin compare` |
//!
//! Absolute times depend on the machine and on who else uses it. Ratios are what to look at: [`measure`] runs all arms
//! in turn, in shuffled order, round after round, and takes the median over the rounds of the ratios within a round.

#![forbid(unsafe_code)]

pub mod arms;
pub mod figures;
mod floors;
pub mod machine;
pub mod measure;
pub mod middleware;
mod ours;
mod peers;
pub mod report;
mod stats;
pub mod worker;
mod workload;

pub use workload::{Event, Workload};
