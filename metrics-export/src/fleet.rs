//! Figures of a fleet: the report that each instance writes, and the sum of all reports.
//!
//! | role | type |
//! |---|---|
//! | what one instance writes | [`Report`], [`Instance`] |
//! | why bytes are not a report | [`DecodeError`] |
//! | the sum of reports | [`Fleet`] |
//!
//! Nothing here does I/O. The feature `redis` adds a [`Member`](redis::Member), which shares reports in a Redis. A
//! report is cumulative and replaces the one before, so nothing is counted twice, whatever is lost or repeated on the
//! way.

mod bits;
mod bytes;
mod codes;
mod consumers;
mod counts;
mod decode;
mod decoded;
mod encode;
mod error;
mod instance;
mod merge;
#[cfg(feature = "redis")]
pub mod redis;
mod report;
mod sparse;
mod sums;
mod total;

pub use self::codes::MAX_REPORT_BYTES;
pub use self::error::DecodeError;
pub use self::instance::{Instance, InstanceFigures, Presence};
pub use self::merge::{Fleet, RefusedReport};
pub use self::report::Report;
