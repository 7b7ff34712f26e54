//! Why bytes are not a report.

use std::time::Duration;

use metrics_core::PartsError;

/// Why bytes are not a report, or not one that this version can read.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes do not begin like a report.
    #[error("this is not a report of an instance: it does not begin with MFLT")]
    Magic,
    /// The report has a later version.
    #[error(
        "the report has version {found}, but only versions up to {known} can be read: update this instance"
    )]
    Version {
        /// The version of the report.
        found: u8,
        /// The latest version that can be read.
        known: u8,
    },
    /// A required part is missing.
    #[error("the report lacks {0}")]
    Lacks(&'static str),
    /// The report is too long.
    #[error("the report has {length} bytes or more; allowed: up to {allowed}")]
    TooLong {
        /// How many bytes were looked at.
        length: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// The bytes end too early.
    #[error("the report is cut short")]
    CutShort,
    /// Bytes follow the end of the report.
    #[error("{0} bytes follow the end of the report")]
    Trailing(usize),
    /// The report has more elements of a kind than allowed.
    #[error("the report has {count} {what}; allowed: up to {allowed}")]
    TooMany {
        /// The elements.
        what: &'static str,
        /// How many the report claims to have.
        count: u64,
        /// How many are allowed.
        allowed: usize,
    },
    /// A number has more than 64 bits.
    #[error("a number has more than 64 bits")]
    Number,
    /// A text is not UTF-8.
    #[error("{what} are not UTF-8")]
    Text {
        /// Which bytes.
        what: &'static str,
    },
    /// A time is out of range.
    #[error("a time is out of range")]
    Time,
    /// The instance claims to write too rarely.
    #[error("the report's interval is {0:?}; allowed: up to 1 h")]
    Interval(Duration),
    /// The instance claims to have counted for too long.
    #[error("the report's figures cover {0:?}; allowed: up to 3,650 days")]
    Span(Duration),
    /// A code is not defined.
    #[error("{code} is not a known {what}")]
    Code {
        /// What the code stands for.
        what: &'static str,
        /// The code.
        code: u64,
    },
    /// A part, an endpoint, or a group of statuses of one endpoint occurs twice.
    #[error("{what} is in the report twice; allowed: once")]
    Twice {
        /// What occurs twice.
        what: &'static str,
    },
    /// A list of counts is not encoded correctly.
    #[error("a list of counts is broken")]
    Counts,
    /// The parts do not form a snapshot.
    #[error("{0}")]
    Parts(#[from] PartsError),
}

metrics_core::debug_as_display!(DecodeError);
