//! What can go wrong with other programs.

use std::io;
use std::path::PathBuf;

/// Why servers could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// `wrk` is not there.
    #[error("wrk is not installed; on Debian or Ubuntu: apt-get install wrk")]
    NoWrk,
    /// The server was not built.
    #[error("there is no {}; build it with: cargo build --profile bench -p benches --bin server", .0.display())]
    NoServer(PathBuf),
    /// The server did not come up. It has said why.
    #[error("the server of arm {arm} ended before it listened")]
    ServerEnded {
        /// The arm.
        arm: &'static str,
    },
    /// `wrk` did not do what it should.
    #[error("wrk: {0}")]
    Wrk(String),
    /// Something went wrong between the processes.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// By Ctrl-C or SIGTERM.
    #[error("interrupted; the servers are ended")]
    Interrupted,
}

impl LoadError {
    /// Whether a program that it takes is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NoWrk | Self::NoServer(_))
    }
}
