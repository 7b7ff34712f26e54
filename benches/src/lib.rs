//! Side by side, ours, the peers, and the floors under all of them: records, middlewares, readings, errors, scrapes, memory,
//! and whole servers.
//!
//! Each kind feeds all its arms the same. A record's [arm](arms::ARMS) gets the same [`Workload`] through the same loop, and
//! does with each event what its docs advise: count it by route, method and status, and record its latency by route.
//! Around a [`middleware`]'s app is something else in each arm, and it gets the same requests.
//!
//! | to see | run |
//! |---|---|
//! | ratios of records, and the design's figures met or missed | `cargo run --profile bench -p benches --bin compare` |
//! | what middlewares add to a bare app, and the figures | `cargo run --profile bench -p benches --bin compare middleware` |
//! | what readings take, and what they take those who write | `cargo run --profile bench -p benches --bin compare read` |
//! | what a metric of the application's own takes | `cargo run --profile bench -p benches --bin compare business` |
//! | what a request takes that fails, in a storm of errors | `cargo run --profile bench -p benches --bin compare errors` |
//! | what a scrape by Prometheus takes, and how long it is | `cargo run --profile bench -p benches --bin compare scrape` |
//! | resident memory by endpoints, shards and digits | `cargo run --profile bench -p benches --bin compare memory` |
//! | all of that, and whole servers if `wrk` is there | `cargo run --profile bench -p benches --bin compare all` |
//! | processor time of whole servers under load, and the figure | `benches/load.sh` |
//! | how often a middleware asks for memory | `cargo run --profile bench -p benches --bin allocations` |
//! | instructions of each operation, and whether they became more | `cargo run --release -p benches --bin instructions -- --check` |
//! | the machine code of a record, and whether it is what it must be | `cargo run --release -p benches --bin machine_code` |
//! | each arm by itself, with criterion | `cargo bench -p benches --bench record --bench middleware --bench read --bench errors --bench business --bench scrape` |
//! | an arm's server, to put load of one's own on it | `cargo run --profile bench -p benches --bin server -- --help` |
//!
//! Absolute times depend on the machine and on who else uses it. Ratios are what to look at: [`measure`] takes all arms by
//! turns, in shuffled order, round after round, and takes the median over the rounds of the ratios within a round.

#![forbid(unsafe_code)]

pub mod arms;
pub mod business;
pub mod errors;
pub mod figures;
mod floors;
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
pub mod scrape;
mod service;
mod size;
mod stats;
mod unit;
pub mod worker;
mod workload;

pub use size::Size;
pub use workload::{Event, Routes, Workload};
