//! Errors of other programs.

use std::io;
use std::path::PathBuf;

/// Why servers could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// `wrk` is not installed.
    #[error("wrk is not installed; on Debian or Ubuntu: apt-get install wrk")]
    NoWrk,
    /// The server was not built.
    #[error("{} does not exist; build it with: cargo build --profile bench -p benches --bin server", .0.display())]
    NoServer(PathBuf),
    /// The server did not start. It has printed why.
    #[error("the server of arm {arm} ended before it listened")]
    ServerEnded {
        /// The arm.
        arm: &'static str,
    },
    /// `wrk` failed.
    #[error("wrk: {0}")]
    Wrk(String),
    /// The processes could not communicate.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted; the servers are stopped")]
    Interrupted,
}

impl LoadError {
    /// Whether a required program is missing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NoWrk | Self::NoServer(_))
    }
}
