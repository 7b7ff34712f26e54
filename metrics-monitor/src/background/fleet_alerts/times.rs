//! Times in the state of a fleet's alerts: milliseconds since 1970.

use std::time::{Duration, SystemTime};

/// The last time that is read, in the year 5138, so that sums stay in range.
pub(super) const MAX_MILLIS: u64 = 100_000_000_000_000;

/// The time of so many milliseconds.
pub(super) fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(MAX_MILLIS))
}

/// The milliseconds of a time.
pub(super) fn millis(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
