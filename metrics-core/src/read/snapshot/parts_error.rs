//! The error for parts that are not a snapshot.

use crate::labels::endpoint::MAX_NAME_BYTES;
use crate::labels::outcome::{Granularity, Outcome, StatusGroup};

/// Parts that are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// There is no such precision.
    #[error("digits is {0}; allowed: 1 to 3")]
    Digits(u8),
    /// A histogram has another precision than the snapshot.
    #[error("a histogram has {theirs} digits in a snapshot of {ours}")]
    OtherDigits {
        /// The snapshot's.
        ours: u8,
        /// The histogram's.
        theirs: u8,
    },
    /// A histogram has buckets that its precision does not have.
    #[error("there are buckets up to {end}; allowed: {allowed}")]
    Buckets {
        /// One past the last bucket.
        end: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// An outcome is counted in a group where its like is not.
    #[error("{outcome} is counted under {group:?}, which {granularity:?} does not do")]
    Group {
        /// The outcome.
        outcome: Outcome,
        /// Where it is counted.
        group: StatusGroup,
        /// Which outcomes are to share a histogram.
        granularity: Granularity,
    },
    /// A name is too long.
    #[error("a name has {0} bytes; allowed: {MAX_NAME_BYTES}")]
    Name(usize),
    /// A gauge is not a number that could be added to others.
    #[error("a gauge is not a finite number")]
    Gauge,
    /// The registers of a count of distinct values are none.
    #[error("{0}")]
    Registers(String),
}
