//! The time that a trend covers.

use std::time::{Duration, SystemTime};

use super::tiers::Frame;
use super::window::Window;

/// The time that a trend covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A window that ends now.
    Window(Window),
    /// Between two moments, by the wall clock. It has the steps that are at least half in it.
    Between {
        /// Its beginning.
        from: SystemTime,
        /// Its end.
        until: SystemTime,
    },
}

impl From<Window> for Period {
    fn from(window: Window) -> Self {
        Self::Window(window)
    }
}

/// The frames of a period.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frames {
    /// Those that are at least half after a moment of the monotonic clock.
    Since(Duration),
    /// Those whose middle is between two moments of the wall clock.
    Between(SystemTime, SystemTime),
}

/// A period as the history sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) frames: Frames,
    /// How long ago it began.
    pub(super) reach: Duration,
    pub(super) length: Duration,
}

impl Extent {
    /// The extent of a period, at `now` by the history's clock and by the wall clock.
    pub(super) fn of(
        period: Period,
        window_length: impl Fn(Window) -> Duration,
        now: (Duration, SystemTime),
    ) -> Self {
        match period {
            Period::Window(window) => {
                let length = window_length(window);
                Self { frames: Frames::Since(now.0.saturating_sub(length)), reach: length, length }
            }
            Period::Between { from, until } => Self {
                frames: Frames::Between(from, until),
                reach: now.1.duration_since(from).unwrap_or_default(),
                length: until.duration_since(from).unwrap_or_default(),
            },
        }
    }
}

impl Frames {
    /// The same by a clock that is so far behind.
    pub(super) fn earlier(self, by: Duration) -> Self {
        match self {
            Self::Since(since) => Self::Since(since.saturating_sub(by)),
            Self::Between(..) => self,
        }
    }

    pub(super) fn have<T>(self, frame: &Frame<T>) -> bool {
        let half = (frame.end - frame.start) / 2;
        match self {
            Self::Since(since) => frame.start + half >= since,
            Self::Between(from, until) => {
                frame.taken.checked_sub(half).is_some_and(|middle| (from..until).contains(&middle))
            }
        }
    }
}
