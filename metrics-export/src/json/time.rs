//! Times as RFC 3339, in UTC, to the millisecond.

use std::time::SystemTime;

use serde::{Serialize, Serializer};
use time::{Duration, UtcDateTime};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Time(pub(crate) SystemTime);

impl Time {
    /// RFC 3339 has the years 0 to 9999. A time outside them becomes the first or the last second of these.
    fn in_calendar(self) -> UtcDateTime {
        let since = |later: SystemTime, earlier| Duration::try_from(later.duration_since(earlier).ok()?).ok();
        let epoch = SystemTime::UNIX_EPOCH;
        if self.0 < epoch {
            let first = UtcDateTime::UNIX_EPOCH - Duration::seconds(62_167_219_200);
            let time = since(epoch, self.0).and_then(|before| UtcDateTime::UNIX_EPOCH.checked_sub(before));
            time.filter(|time| *time >= first).unwrap_or(first)
        } else {
            let time = since(self.0, epoch).and_then(|after| UtcDateTime::UNIX_EPOCH.checked_add(after));
            time.unwrap_or(UtcDateTime::MAX)
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = self.in_calendar();
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second, milli) = time.as_hms_milli();
        let month = u8::from(month);
        serializer.collect_str(&format_args!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(time: SystemTime) -> String {
        serde_json::to_string(&Time(time)).unwrap()
    }

    #[test]
    fn a_time_is_written_to_the_millisecond() {
        let at = |nanos| text(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        assert_eq!(at(0), "\"1970-01-01T00:00:00.000Z\"");
        assert_eq!(at(1_709_210_096_789_999_999), "\"2024-02-29T12:34:56.789Z\"");
        assert_eq!(text(SystemTime::UNIX_EPOCH - Duration::from_millis(1)), "\"1969-12-31T23:59:59.999Z\"");
    }

    #[test]
    fn a_time_outside_the_calendar_is_clamped() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(text(epoch + Duration::from_secs(1 << 40)), "\"9999-12-31T23:59:59.999Z\"");
        assert_eq!(text(epoch - Duration::from_secs(1 << 40)), "\"0000-01-01T00:00:00.000Z\"");
        assert_eq!(text(epoch - Duration::from_secs(62_167_219_201)), "\"0000-01-01T00:00:00.000Z\"");
    }
}
