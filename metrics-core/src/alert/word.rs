//! The words of a rule: what is looked at, how it is compared, and how bad it is.

use std::fmt;
use std::str::FromStr;

/// The figure that a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Errors (4xx, 5xx, panics) per hundred calls.
    ErrorRate,
    /// 4xx per hundred calls.
    ClientErrorRate,
    /// 5xx per hundred calls.
    ServerErrorRate,
    /// The mean response time.
    Average,
    /// The median response time.
    P50,
    /// The response time that 95 % of the calls kept to.
    P95,
    /// The response time that 99 % of the calls kept to.
    P99,
    /// The response time that 99.9 % of the calls kept to.
    P999,
    /// Errors: 4xx, 5xx, panics.
    Errors,
    /// Errors since the last tick in which any call was none, at most those of the window: a lower bound, since the order
    /// of calls within a tick is not known. Of the whole service only.
    ConsecutiveErrors,
    /// Calls.
    Calls,
    /// Calls a second.
    RequestsPerSecond,
    /// Requests under way now, whatever the window. By route only where something says so: see
    /// [`Recorder::enter`](crate::Recorder::enter).
    InFlight,
    /// Requests whose client went away, or whose response broke off.
    Aborted,
    /// Requests that panicked.
    Panicked,
}

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Per cent, 0 to 100.
    PerCent,
    /// Seconds.
    Seconds,
    /// A number of calls, or of calls a second.
    Calls,
}

/// How a figure breaks a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`. Only judged once there are figures of the whole window.
    Below,
    /// `<=`. Only judged once there are figures of the whole window.
    AtMost,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Severity {
    /// To know.
    Info,
    /// To look at soon.
    #[default]
    Warning,
    /// To look at now.
    Critical,
}

/// A text that stands for nothing in a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {text:?}; allowed: {allowed}")]
pub struct ParseRuleError {
    what: &'static str,
    text: String,
    allowed: String,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ErrorRate,
        Self::ClientErrorRate,
        Self::ServerErrorRate,
        Self::Average,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::P999,
        Self::Errors,
        Self::ConsecutiveErrors,
        Self::Calls,
        Self::RequestsPerSecond,
        Self::InFlight,
        Self::Aborted,
        Self::Panicked,
    ];

    /// What its thresholds are measured in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::ErrorRate | Self::ClientErrorRate | Self::ServerErrorRate => Unit::PerCent,
            Self::Average | Self::P50 | Self::P95 | Self::P99 | Self::P999 => Unit::Seconds,
            _ => Unit::Calls,
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::ClientErrorRate => "client_error_rate",
            Self::ServerErrorRate => "server_error_rate",
            Self::Average => "average",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::Errors => "errors",
            Self::ConsecutiveErrors => "consecutive_errors",
            Self::Calls => "calls",
            Self::RequestsPerSecond => "requests_per_second",
            Self::InFlight => "in_flight",
            Self::Aborted => "aborted",
            Self::Panicked => "panicked",
        }
    }
}

impl Unit {
    /// What stands behind a number, with a blank in front; nothing for calls.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::PerCent => " %",
            Self::Seconds => " s",
            Self::Calls => "",
        }
    }
}

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Above, Self::AtLeast, Self::Below, Self::AtMost];

    /// Whether a value compares like this with a threshold.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
        }
    }

    /// Whether it is the large values that break a threshold.
    pub const fn is_upwards(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// In words, for a sentence.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::AtLeast => "at least",
            Self::Below => "below",
            Self::AtMost => "at most",
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named("metric", text, &Self::ALL, Self::name)
    }
}

impl FromStr for Comparison {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named("comparison", text, &Self::ALL, Self::name)
    }
}

impl FromStr for Severity {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named("severity", text, &Self::ALL, Self::name)
    }
}

/// The one of `all` with this name.
fn named<T: Copy>(
    what: &'static str,
    text: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, ParseRuleError> {
    all.iter().copied().find(|&one| name(one) == text).ok_or_else(|| ParseRuleError {
        what,
        text: text.chars().take(32).collect(),
        allowed: all.iter().map(|&one| name(one)).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_as_it_is_written_and_everything_else_names_what_is_allowed() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        for comparison in Comparison::ALL {
            assert_eq!(comparison.to_string().parse(), Ok(comparison));
        }
        for severity in Severity::ALL {
            assert_eq!(severity.to_string().parse(), Ok(severity));
        }
        let error = "p95 ".parse::<Metric>().unwrap_err().to_string();
        assert!(error.starts_with("metric is \"p95 \"; allowed: error_rate, client_error_rate,"), "{error}");
        let error = "==".parse::<Comparison>().unwrap_err().to_string();
        assert_eq!(error, "comparison is \"==\"; allowed: >, >=, <, <=");
    }
}
