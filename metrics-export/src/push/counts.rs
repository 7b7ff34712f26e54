//! What became of what was to be sent.

use std::time::SystemTime;

/// What became of what was to be sent to one destination, since the start.
///
/// Each window that was made is sent, idle, dropped, merged into another one, or waits:
/// `windows == windows_sent + windows_idle + windows_dropped + windows_merged + windows_waiting`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// What the destination is called.
    pub exporter: String,
    /// Windows that were made.
    pub windows: u64,
    /// Windows that the destination took.
    pub windows_sent: u64,
    /// Windows with nothing in them for the destination, which was not asked. What was logged in them is counted nowhere else:
    /// nobody wanted it.
    pub windows_idle: u64,
    /// Windows that were given up: refused, too old, or left at the shutdown.
    pub windows_dropped: u64,
    /// Windows that became part of another one, since the destination did not take them in time.
    pub windows_merged: u64,
    /// Windows that wait, or are being sent.
    pub windows_waiting: u64,
    /// Requests in the windows that were dropped. Destinations that take cumulative figures get them all the same.
    pub calls_dropped: u64,
    /// Errors in the windows that the destination took.
    pub errors_sent: u64,
    /// Errors that found no room, or were in windows that were dropped. The figures count them all the same.
    pub errors_dropped: u64,
    /// Errors that were not in the error log any more, or never, since there were too many.
    pub errors_missed: u64,
    /// Errors that wait, or are being sent.
    pub errors_waiting: u64,
    /// Single requests in the windows that the destination took.
    pub requests_sent: u64,
    /// Single requests that found no room, or were in windows that were dropped. The figures count them all the same.
    pub requests_dropped: u64,
    /// Single requests that were not in the request log any more, or never, since there were too many.
    pub requests_missed: u64,
    /// Single requests that wait, or are being sent.
    pub requests_waiting: u64,
    /// Data points or documents that the destination did not take out of windows that it took.
    pub rejected: u64,
    /// Attempts that failed.
    pub attempts_failed: u64,
    /// Attempts that failed since the last one that did not; 0 while all is well.
    pub failing: u64,
    /// Why the last attempt failed, or why something was rejected; `None` once all was taken.
    pub last_error: Option<String>,
    /// When the destination last took a window, by the wall clock.
    pub last_sent: Option<SystemTime>,
}
