//! The spans of time that a history can be asked for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The span of time before now that figures are asked for.
///
/// Written as `1m`, `5m`, `1h`, `24h` or `reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// The last minute.
    OneMinute,
    /// The last five minutes.
    FiveMinutes,
    /// The last hour.
    OneHour,
    /// The last 24 hours.
    OneDay,
    /// All since the last reset, or since the start if there was none.
    SinceReset,
}

/// A text that is no [`Window`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("window is {0:?}; allowed: 1m, 5m, 1h, 24h, reset")]
pub struct ParseWindowError(String);

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Self; 5] =
        [Self::OneMinute, Self::FiveMinutes, Self::OneHour, Self::OneDay, Self::SinceReset];

    /// How long it is; `None` if that depends on when the last reset was.
    pub const fn length(self) -> Option<Duration> {
        match self {
            Self::OneMinute => Some(Duration::from_secs(60)),
            Self::FiveMinutes => Some(Duration::from_secs(300)),
            Self::OneHour => Some(Duration::from_secs(3_600)),
            Self::OneDay => Some(Duration::from_secs(86_400)),
            Self::SinceReset => None,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneMinute => "1m",
            Self::FiveMinutes => "5m",
            Self::OneHour => "1h",
            Self::OneDay => "24h",
            Self::SinceReset => "reset",
        })
    }
}

impl FromStr for Window {
    type Err = ParseWindowError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|window| window.to_string() == text);
        found.ok_or_else(|| ParseWindowError(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reads_as_it_is_written_and_everything_else_names_what_is_allowed() {
        for window in Window::ALL {
            assert_eq!(window.to_string().parse(), Ok(window));
        }
        for text in ["", "1M", "2m", "5m ", "60s"] {
            let error = text.parse::<Window>().unwrap_err().to_string();
            assert!(error.ends_with("allowed: 1m, 5m, 1h, 24h, reset"), "{error}");
        }
    }
}
