//! The error for two states that cannot be added.

use crate::histogram::PrecisionMismatch;
use crate::labels::outcome::Granularity;

/// Why two snapshots cannot be added: their registries were built differently.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The histograms have different precision. Build all registries of a fleet with the same significant digits.
    #[error(
        "a histogram of {theirs} significant digits cannot be added to one of {ours}; \
         build all registries with the same precision"
    )]
    SignificantDigits {
        /// The significant digits of the state that was to be added to.
        ours: u8,
        /// The significant digits of the other state.
        theirs: u8,
    },
    /// The statuses are grouped differently. Build all registries of a fleet with the same granularity.
    #[error(
        "histograms by {theirs:?} cannot be added to histograms by {ours:?}; \
         build all registries with the same granularity"
    )]
    Granularity {
        /// How the state that was to be added to groups its statuses.
        ours: Granularity,
        /// How the other state groups them.
        theirs: Granularity,
    },
}

crate::text::debug_as_display!(MergeError);

impl From<PrecisionMismatch> for MergeError {
    fn from(PrecisionMismatch { ours, theirs }: PrecisionMismatch) -> Self {
        Self::SignificantDigits { ours, theirs }
    }
}
