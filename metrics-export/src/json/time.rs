//! Times as RFC 3339, in UTC, to the millisecond.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Time(pub(crate) SystemTime);

/// The days from 0000-03-01 to 1970-01-01. Years that begin in March have their leap day at the end.
const DAYS_BEFORE_1970: i64 = 719_468;

/// The days of 400 years, after which the calendar repeats itself.
const DAYS_OF_400_YEARS: i64 = 146_097;

/// The first and the last millisecond that can be written with four digits of the year: those of the years 0 and 9999.
const RANGE: [i64; 2] = [-62_167_219_200_000, 253_402_300_799_999];

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    /// Since midnight.
    millis: i64,
}

impl Civil {
    /// Of a time since 1970.
    fn of(millis: i64) -> Self {
        let days = millis.div_euclid(86_400_000) + DAYS_BEFORE_1970;
        let (cycle, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
        // The leap days before: one in four years, but for three of the four centuries' last ones.
        let year = (day - day / 1_460 + day / 36_524 - day / (DAYS_OF_400_YEARS - 1)) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // From March on, five months always have 153 days: 31, 30, 31, 30, 31.
        let month = (5 * day + 2) / 153;
        let (year, is_next) = (400 * cycle + year, month >= 10);
        Self {
            year: year + i64::from(is_next),
            month: if is_next { month - 9 } else { month + 3 },
            day: day - (153 * month + 2) / 5 + 1,
            millis: millis.rem_euclid(86_400_000),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let [first, last] = RANGE;
        let millis = match self.0.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => whole(after).min(last),
            Err(before) => whole(before.duration()).saturating_neg().max(first),
        };
        let Civil { year, month, day, millis } = Civil::of(millis);
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl Serialize for Time {
    /// A time outside of the years 0 to 9999 becomes the first or the last that can be written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> SystemTime {
        let span = Duration::from_millis(millis.unsigned_abs());
        if millis < 0 { SystemTime::UNIX_EPOCH - span } else { SystemTime::UNIX_EPOCH + span }
    }

    fn check(millis: i64) {
        let expected = format!("{:.3}", Timestamp::from_millisecond(millis).unwrap());
        assert_eq!(Time(at(millis)).to_string(), expected);
    }

    proptest! {
        #[test]
        fn a_time_is_written_as_jiff_writes_it(millis in RANGE[0]..=253_402_207_200_000) {
            check(millis);
        }
    }

    #[test]
    fn the_days_around_each_end_of_february_are_right() {
        for year in [0, 4, 1600, 1700, 1899, 1900, 1970, 1999, 2000, 2001, 2004, 2100, 2399, 2400, 9996] {
            let first = jiff::civil::date(year, 2, 27).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
            (0..4).for_each(|day| check(first.timestamp().as_millisecond() + day * 86_400_000));
        }
        RANGE[..1].iter().for_each(|&millis| check(millis));
    }

    #[test]
    fn a_time_outside_the_calendar_is_clamped() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        let text = serde_json::to_string(&Time(far)).unwrap();
        assert_eq!(text, "\"9999-12-31T23:59:59.999Z\"");
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 38);
        assert_eq!(Time(early).to_string(), "0000-01-01T00:00:00.000Z");
    }
}
