//! Each format parses back to what was recorded.

mod allocations;
#[cfg(feature = "facade")]
mod facade;
#[cfg(feature = "fleet")]
mod fleet;
#[cfg(feature = "fleet")]
mod fleet_corpus;
#[cfg(feature = "fleet")]
mod fleet_labels;
mod live;
mod log_lines;
mod own_labels;
mod parser;
mod proto;
mod protobuf;
mod scraper;
mod snapshots;
mod text;
