//! The wall clock, for readers who subtract: it never runs backwards.

use std::time::{Duration, Instant, SystemTime};

/// A wall clock that goes on at half its pace after the system's was set back, until the two agree again.
///
/// So each window ends after it begins, and no two end at the same time. A clock that is set forward is followed at
/// once. Lengths of windows are measured by the monotonic clock.
#[derive(Debug)]
pub(crate) struct WallClock {
    wall: SystemTime,
    monotonic: Instant,
}

impl WallClock {
    /// A clock that shows this time at this moment.
    pub(crate) fn new(wall: SystemTime, monotonic: Instant) -> Self {
        Self { wall, monotonic }
    }

    pub(crate) fn now(&mut self) -> SystemTime {
        self.advance(SystemTime::now(), Instant::now())
    }

    fn advance(&mut self, wall: SystemTime, monotonic: Instant) -> SystemTime {
        let passed: Duration = monotonic.saturating_duration_since(self.monotonic);
        let least = self.wall.checked_add(passed / 2).unwrap_or(self.wall);
        (self.wall, self.monotonic) = (wall.max(least), monotonic);
        self.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_slowly_and_agrees_again_later() {
        let (start, began) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), Instant::now());
        let mut clock = WallClock::new(start, began);
        // The system's clock is set back by a minute after ten seconds.
        let mut at = |seconds: u64, set_back: u64| {
            let passed = Duration::from_secs(seconds);
            let wall = start + passed - Duration::from_secs(set_back);
            clock.advance(wall, began + passed).duration_since(start).unwrap().as_secs()
        };
        assert_eq!([at(0, 0), at(10, 0)], [0, 10]);
        assert_eq!([at(20, 60), at(30, 60), at(110, 60)], [15, 20, 60]);
        // 130 s after the start, the system's clock shows 70 s, as this one does.
        assert_eq!([at(130, 60), at(140, 60)], [70, 80]);
        // Set forward by an hour, and back by a day.
        let (day, hour) = (86_400, 3_600);
        assert_eq!(at(150 + hour, 0), 150 + hour);
        assert_eq!(at(170 + hour, 500), 160 + hour);
        assert!(at(180 + hour, 600) > 160 + hour && day > hour);
    }
}
