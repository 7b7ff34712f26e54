//! The error of a saved history that cannot be read.

/// Why a saved history cannot be read.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// A later version of this library wrote it.
    #[error(
        "it is of format {0}, which a later version of this library wrote; this one reads up to {MAX_VERSION}"
    )]
    Newer(u8),
    /// It is not what any version writes.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// The latest version of the format. Every earlier one is read.
pub(super) const MAX_VERSION: u8 = 2;

/// The version that is written if no metric has labels, so that earlier versions of this library can read it.
pub(super) const WITHOUT_LABELS: u8 = 1;

crate::text::debug_as_display!(SavedError);
