//! Figures of a fleet: the report that each instance writes, and the sum of all reports.
//!
//! | what | type |
//! |---|---|
//! | what one instance writes | [`Report`], [`Instance`] |
//! | why bytes are not a report | [`DecodeError`] |
//! | the sum of reports | [`Fleet`] |
//! | how instances differ | [`Differences`] |
//! | versions of the service, side by side | [`VersionFigures`] |
//!
//! Nothing here does I/O. The feature `redis` adds a [`Member`](redis::Member), which shares reports in a Redis. A
//! report is cumulative and replaces the previous one, so nothing is counted twice, whatever is lost or repeated on the
//! way.

mod bits;
mod bytes;
mod codes;
mod consumers;
mod counts;
mod decode;
mod decoded;
mod differences;
mod encode;
mod error;
mod histograms;
mod instance;
mod label_sets;
mod merge;
#[cfg(feature = "redis")]
pub mod redis;
mod report;
mod sums;
mod total;
mod v1;
mod versions;

pub use self::codes::MAX_REPORT_BYTES;
pub use self::differences::Differences;
pub use self::error::DecodeError;
pub use self::instance::{Fingerprints, Form, Instance, InstanceFigures, Presence};
pub use self::merge::{Fleet, RefusedReport};
pub use self::report::Report;
pub use self::versions::VersionFigures;
