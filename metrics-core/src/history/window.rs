//! The windows of a history.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::setting::InvalidSetting;

/// A span of time that ends now.
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
    /// Since the last reset, or since the start if there was none.
    SinceReset,
}

/// A text that is not the name of a [`Window`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ParseWindowError(#[from] InvalidSetting);

crate::text::debug_as_display!(ParseWindowError);

impl Window {
    /// All windows, the shortest first.
    pub const ALL: [Self; 5] =
        [Self::OneMinute, Self::FiveMinutes, Self::OneHour, Self::OneDay, Self::SinceReset];

    /// Returns its length; `None` for [`Window::SinceReset`], which depends on the last reset.
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
        found.ok_or_else(|| {
            let text: String = text.chars().take(32).collect();
            InvalidSetting::new("window", format!("{text:?}"), "1m, 5m, 1h, 24h, reset").into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_back_and_any_other_text_is_refused_with_what_is_allowed() {
        for window in Window::ALL {
            assert_eq!(window.to_string().parse(), Ok(window));
        }
        for text in ["", "1M", "2m", "5m ", "60s"] {
            let error = text.parse::<Window>().unwrap_err().to_string();
            assert_eq!(error, format!("window is {text:?}; allowed: 1m, 5m, 1h, 24h, reset"));
        }
    }
}
