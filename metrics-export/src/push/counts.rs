//! An exporter's counts since the start.

use std::time::SystemTime;

/// One exporter's windows, errors and requests since the start, by what happened to them.
///
/// Each window is sent, idle, dropped, merged or waiting:
/// `windows == windows_sent + windows_idle + windows_dropped + windows_merged + windows_waiting`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExporterCounts {
    /// The name of the exporter.
    pub exporter: String,
    /// Why the exporter is off, so that nothing is sent; `None` if it is on.
    pub off: Option<String>,
    /// Windows that ended.
    pub windows: u64,
    /// Windows that the destination accepted.
    pub windows_sent: u64,
    /// Windows without anything for the destination, which were not sent. Errors and requests in them are in no other
    /// count.
    pub windows_idle: u64,
    /// Windows that were given up: refused, too old, or left over at the shutdown.
    pub windows_dropped: u64,
    /// Windows that were merged into another one, because the destination did not accept them in time.
    pub windows_merged: u64,
    /// Windows that are waiting or being sent.
    pub windows_waiting: u64,
    /// Requests in dropped windows. Destinations of cumulative figures receive them with the next window all the same.
    pub calls_dropped: u64,
    /// Errors in windows that the destination accepted.
    pub errors_sent: u64,
    /// Errors that were dropped because too many waited, or with their window. The figures still count them.
    pub errors_dropped: u64,
    /// Errors that the error log had lost, or never kept, because there were too many.
    pub errors_missed: u64,
    /// Errors that are waiting or being sent.
    pub errors_waiting: u64,
    /// Single requests in windows that the destination accepted.
    pub requests_sent: u64,
    /// Single requests that were dropped because too many waited, or with their window. The figures still count them.
    pub requests_dropped: u64,
    /// Single requests that the request log had lost, or never kept, because there were too many.
    pub requests_missed: u64,
    /// Single requests that are waiting or being sent.
    pub requests_waiting: u64,
    /// Data points or documents that the destination refused in windows that it accepted.
    pub rejected: u64,
    /// Attempts that failed.
    pub attempts_failed: u64,
    /// Attempts that failed since the last success; 0 while all is well.
    pub failing: u64,
    /// Why the last attempt failed, or why something was rejected; `None` once everything was accepted.
    pub last_error: Option<String>,
    /// When the destination last accepted a window, by the wall clock.
    pub last_sent: Option<SystemTime>,
}
