//! Times as RFC 3339, in UTC, to the millisecond.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Time(pub(crate) SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A time before the year -9999 or after 9999 becomes the earliest or latest time that can be written.
        let end = if self.0 < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
        let time = Timestamp::try_from(self.0).unwrap_or(end);
        serializer.collect_str(&format_args!("{time:.3}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_outside_the_calendar_is_clamped() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        let text = serde_json::to_string(&Time(far)).unwrap();
        assert!(text.starts_with("\"9999-12-30T"), "{text}");
    }
}
