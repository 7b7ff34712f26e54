//! Side by side, ours, the peers, and the floors under all of them: records, middlewares, and whole servers.
//!
//! Each kind feeds all its arms the same. A record's [arm](arms::ARMS) gets the same [`Workload`] through the same loop, and
//! does with each event what its docs advise: count it by route, method and status, and record its latency by route.
//! Around a [`middleware`]'s app is something else in each arm, and it gets the same requests.
//!
//! | to see | run |
//! |---|---|
//! | ratios of records, and the design's figures met or missed | `cargo run --profile bench -p benches --bin compare` |
//! | what middlewares add to a bare app, and the figures | `cargo run --profile bench -p benches --bin compare middleware` |
//! | processor time of whole servers under load, and the figure | `benches/load.sh` |
//! | how often a middleware asks for memory | `cargo run --profile bench -p benches --bin allocations` |
//! | each arm by itself, with criterion | `cargo bench -p benches --bench record --bench middleware --bench scrape` |
//! | an arm's server, to put load of one's own on it | `cargo run --profile bench -p benches --bin server -- --help` |
//!
//! Absolute times depend on the machine and on who else uses it. Ratios are what to look at: [`measure`] takes all arms by
//! turns, in shuffled order, round after round, and takes the median over the rounds of the ratios within a round.

#![forbid(unsafe_code)]

pub mod arms;
pub mod figures;
mod floors;
pub mod load;
pub mod machine;
pub mod measure;
pub mod middleware;
mod ours;
mod peers;
pub mod record;
pub mod report;
pub mod scrape;
mod stats;
pub mod worker;
mod workload;

pub use workload::{Event, Workload};
