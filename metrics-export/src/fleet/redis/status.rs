//! The state of an instance's own writes.

use std::time::{Duration, SystemTime};

/// Whether an instance's own writes succeed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriterStatus {
    /// Writes that Redis acknowledged.
    pub writes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Bytes written.
    pub bytes: u64,
    /// When the last write was acknowledged.
    pub last_success: Option<SystemTime>,
    /// How long the last acknowledged write took.
    pub last_latency: Duration,
    /// The size of the last report, in bytes.
    pub last_report_bytes: u64,
    /// When writes started to fail, and why the last one did; `None` after a success.
    pub failing: Option<(SystemTime, String)>,
    /// The epoch that the instance writes to.
    pub epoch: u64,
}
