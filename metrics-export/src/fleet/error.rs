//! What can be wrong with bytes that are to be a report.

use metrics_core::PartsError;

/// Bytes that are no report of an instance, or none that can be read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They begin with something else.
    #[error("this is no report of an instance: it does not begin with MFLT")]
    Magic,
    /// They are of a version that came after this one.
    #[error("the report is of version {found}; this reads version {known}: update the reader first")]
    Version {
        /// Its version.
        found: u8,
        /// The version that is read here.
        known: u8,
    },
    /// There are more of them than a report may have.
    #[error("the report has {length} bytes or more; allowed: {allowed}")]
    TooLong {
        /// How many there are, as far as they were looked at.
        length: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// They end too early.
    #[error("the report is cut short")]
    CutShort,
    /// They go on behind the end.
    #[error("the report has {0} bytes behind its end")]
    Behind(usize),
    /// There is more of something than there may be.
    #[error("the report has {count} {what}; allowed: {allowed}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it says there are.
        count: u64,
        /// How many there may be.
        allowed: usize,
    },
    /// A number has more than 64 bits.
    #[error("a number has more than 64 bits")]
    Number,
    /// A text is not UTF-8.
    #[error("{what} is not UTF-8")]
    Text {
        /// Of what.
        what: &'static str,
    },
    /// A time is out of range.
    #[error("a time is out of range")]
    Time,
    /// A code is not one of those that are defined.
    #[error("{code} is no {what}")]
    Code {
        /// Of what.
        what: &'static str,
        /// The code.
        code: u64,
    },
    /// An endpoint, or a group of statuses of one, is there twice.
    #[error("{what} is in the report twice; allowed: once")]
    Twice {
        /// What it is.
        what: &'static str,
    },
    /// A list of counts is broken.
    #[error("a list of counts is broken")]
    Counts,
    /// What was read is no snapshot.
    #[error("{0}")]
    Parts(#[from] PartsError),
}
