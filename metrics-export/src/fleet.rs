//! The figures of a fleet: what each instance tells the others, and how that is added up.
//!
//! | role | type |
//! |---|---|
//! | what one instance writes | [`Report`], [`Instance`] |
//! | what is wrong with bytes that are no report | [`DecodeError`] |
//! | reports added up | [`Fleet`] |
//!
//! Nothing here does any I/O; the feature `redis` adds what writes to and reads from a Redis. A report is cumulative, so it
//! takes the place of the one before: whatever is lost or repeated on the way, nothing is counted twice.

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
pub use self::merge::{Fleet, Refused};
pub use self::report::Report;
