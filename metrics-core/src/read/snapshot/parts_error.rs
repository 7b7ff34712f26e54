//! The error for parts that are not a snapshot.

use crate::labels::endpoint::MAX_NAME_BYTES;
use crate::labels::outcome::{Granularity, Outcome, StatusGroup};

/// Why parts do not form a snapshot.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// The number of significant digits is out of range.
    #[error("digits is {0}; allowed: 1 to 3")]
    Digits(u8),
    /// A histogram has another precision than its snapshot.
    #[error("a histogram has {theirs} digits in a snapshot of {ours}")]
    OtherDigits {
        /// The snapshot's digits.
        ours: u8,
        /// The histogram's digits.
        theirs: u8,
    },
    /// A histogram has more buckets than its precision allows.
    #[error("a histogram has buckets up to {end}; allowed: {allowed}")]
    Buckets {
        /// One past the last bucket.
        end: usize,
        /// The number of buckets at that precision.
        allowed: usize,
    },
    /// An outcome is counted in the wrong group of statuses.
    #[error(
        "{outcome} is counted in the group {group:?}, which is wrong for the granularity {granularity:?}"
    )]
    Group {
        /// The outcome.
        outcome: Outcome,
        /// The group in which it is counted.
        group: StatusGroup,
        /// The granularity of the snapshot.
        granularity: Granularity,
    },
    /// A name is too long.
    #[error("a name has {0} bytes; allowed: {MAX_NAME_BYTES}")]
    Name(usize),
    /// A gauge is infinite or not a number.
    #[error("a gauge is not a finite number")]
    Gauge,
    /// The registers of a unique count are invalid.
    #[error("{0}")]
    Registers(String),
}

crate::text::debug_as_display!(PartsError);
