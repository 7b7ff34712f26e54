//! How a request ended, and which outcomes share a histogram.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a request ended. Each request has exactly one outcome.
///
/// Serialised as text: `"200"`, `"other"`, `"aborted"`, `"panicked"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Outcome {
    /// A response with this status, 100 ..= 599. A status outside that range counts as [`Outcome::Other`].
    Status(u16),
    /// A response whose status is outside 100 ..= 599.
    Other,
    /// The client disconnected before there was a response. A call, but not an error.
    Aborted,
    /// The service panicked before there was a response. A server error.
    Panicked,
}

impl Outcome {
    /// Returns whether it counts as an error: a 4xx, a 5xx or a panic.
    #[inline]
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Status(400..=599) | Self::Panicked)
    }

    /// Returns whether it counts as a client error: a 4xx.
    #[inline]
    pub const fn is_client_error(self) -> bool {
        matches!(self, Self::Status(400..=499))
    }

    /// Returns whether it counts as a server error: a 5xx or a panic.
    #[inline]
    pub const fn is_server_error(self) -> bool {
        matches!(self, Self::Status(500..=599) | Self::Panicked)
    }

    /// Returns the status of the response, if there is one in 100 ..= 599.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Status(status @ 100..=599) => Some(status),
            _ => None,
        }
    }
}

impl From<u16> for Outcome {
    #[inline]
    fn from(status: u16) -> Self {
        if (100..=599).contains(&status) { Self::Status(status) } else { Self::Other }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Other => f.write_str("other"),
            Self::Aborted => f.write_str("aborted"),
            Self::Panicked => f.write_str("panicked"),
        }
    }
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        outcome.to_string()
    }
}

/// A text that is not an [`Outcome`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an outcome; allowed: a status 100 to 599, other, aborted, panicked")]
pub struct ParseOutcomeError(String);

crate::text::debug_as_display!(ParseOutcomeError);

impl FromStr for Outcome {
    type Err = ParseOutcomeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "other" => Ok(Self::Other),
            "aborted" => Ok(Self::Aborted),
            "panicked" => Ok(Self::Panicked),
            _ => match text.parse() {
                Ok(status @ 100..=599) => Ok(Self::Status(status)),
                _ => Err(ParseOutcomeError(text.chars().take(32).collect())),
            },
        }
    }
}

impl TryFrom<String> for Outcome {
    type Error = ParseOutcomeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Which outcomes of an endpoint share a histogram. Counts by status are exact with each of these.
///
/// Failures have separate histograms because they are often much faster, and would make the percentiles of successes
/// look better. Memory is allocated as statuses occur: [`Granularity::Exact`] costs more if an endpoint answers with
/// several statuses of one class; [`Granularity::Outcome`] costs as much as [`Granularity::Class`], and exports fewer
/// series. Coarser granularities compare as less than finer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// Two: success (1xx to 3xx and other) and error (4xx and 5xx).
    Outcome,
    /// One for each of 1xx to 5xx, and one for other. The default.
    #[default]
    Class,
    /// One for each status.
    Exact,
}

/// The outcomes that share one histogram of an endpoint. The [`Granularity`] decides which groups occur; aborted and
/// panicked requests always have their own groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusGroup {
    /// 1xx to 3xx and other, under [`Granularity::Outcome`].
    Success,
    /// 4xx and 5xx, under [`Granularity::Outcome`].
    Error,
    /// The statuses with this first digit, 1 ..= 5, under [`Granularity::Class`].
    Class(u8),
    /// One status, under [`Granularity::Exact`].
    Status(u16),
    /// Statuses outside 100 ..= 599, under [`Granularity::Class`] and [`Granularity::Exact`].
    Other,
    /// Requests whose client disconnected before there was a response.
    Aborted,
    /// Requests that panicked before there was a response.
    Panicked,
}

impl StatusGroup {
    /// Returns the group of an outcome.
    pub const fn of(granularity: Granularity, outcome: Outcome) -> Self {
        match (outcome, granularity) {
            (Outcome::Aborted, _) => Self::Aborted,
            (Outcome::Panicked, _) => Self::Panicked,
            (Outcome::Status(400..=599), Granularity::Outcome) => Self::Error,
            (_, Granularity::Outcome) => Self::Success,
            (Outcome::Status(status @ 100..=599), Granularity::Class) => Self::Class((status / 100) as u8),
            (Outcome::Status(status @ 100..=599), Granularity::Exact) => Self::Status(status),
            (Outcome::Status(_) | Outcome::Other, _) => Self::Other,
        }
    }

    /// Returns the group of `granularity` that includes all outcomes of this one; the same group if it is as coarse.
    pub const fn coarsened(self, granularity: Granularity) -> Self {
        match (self, granularity) {
            (_, Granularity::Exact) | (Self::Aborted | Self::Panicked | Self::Success | Self::Error, _) => {
                self
            }
            (Self::Status(status), Granularity::Class) => Self::Class((status / 100) as u8),
            (Self::Class(_) | Self::Other, Granularity::Class) => self,
            (Self::Status(400..=599) | Self::Class(4 | 5), Granularity::Outcome) => Self::Error,
            (Self::Status(_) | Self::Class(_) | Self::Other, Granularity::Outcome) => Self::Success,
        }
    }

    /// Whether 4xx are counted in this group.
    pub(crate) const fn has_client_errors(self) -> bool {
        matches!(self, Self::Error | Self::Class(4) | Self::Status(400..=499))
    }
}

// Not under Miri: it would take minutes, and nothing here is `unsafe`.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_reads_back_from_its_text() {
        let all =
            (100..=599).map(Outcome::Status).chain([Outcome::Other, Outcome::Aborted, Outcome::Panicked]);
        for outcome in all {
            assert_eq!(outcome.to_string().parse(), Ok(outcome));
        }
    }

    #[test]
    fn a_text_that_is_not_an_outcome_is_refused_with_the_allowed_ones() {
        for text in ["", "99", "600", "+200x", "Aborted", "65536"] {
            let error = text.parse::<Outcome>().unwrap_err().to_string();
            assert!(error.contains("allowed: a status 100 to 599"), "{error}");
        }
    }

    #[test]
    fn every_error_is_either_a_client_error_or_a_server_error_and_a_panic_is_the_servers() {
        let all =
            (100..=599).map(Outcome::Status).chain([Outcome::Other, Outcome::Aborted, Outcome::Panicked]);
        for outcome in all {
            assert_eq!(
                outcome.is_error(),
                outcome.is_client_error() ^ outcome.is_server_error(),
                "{outcome}"
            );
            let all = [Granularity::Outcome, Granularity::Class, Granularity::Exact];
            assert!(all.is_sorted());
            for (place, granularity) in all.into_iter().enumerate() {
                let group = StatusGroup::of(granularity, outcome);
                for coarser in &all[..=place] {
                    assert_eq!(group.coarsened(*coarser), StatusGroup::of(*coarser, outcome), "{outcome}");
                }
                assert!(group.has_client_errors() || !outcome.is_client_error(), "{outcome} {granularity:?}");
            }
        }
        assert!(Outcome::Panicked.is_server_error());
    }

    #[test]
    fn statuses_outside_the_range_are_other_and_not_errors() {
        for status in [0, 99, 600, u16::MAX] {
            assert_eq!(Outcome::from(status), Outcome::Other);
            assert!(!Outcome::from(status).is_error());
        }
    }

    #[test]
    fn only_a_response_has_a_status_and_only_one_in_the_range() {
        assert_eq!(
            [100, 404, 599].map(|status| Outcome::Status(status).status()),
            [Some(100), Some(404), Some(599)]
        );
        let without =
            [Outcome::Status(99), Outcome::Status(600), Outcome::Other, Outcome::Aborted, Outcome::Panicked];
        assert_eq!(without.map(Outcome::status), [None; 5]);
    }
}
