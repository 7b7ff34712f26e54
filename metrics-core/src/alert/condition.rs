//! What a rule compares: the metric, the comparison, the unit, and how severe it is.

use std::fmt;
use std::str::FromStr;

use crate::histogram::MAX_NANOS;
use crate::record::cell::MAX_EXACT_NANOS;
use crate::setting::InvalidSetting;

/// The figure that a rule watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Errors (4xx, 5xx, panics) as a percentage of all calls.
    ErrorRate,
    /// 4xx as a percentage of all calls.
    ClientErrorRate,
    /// 5xx and panics as a percentage of all calls.
    ServerErrorRate,
    /// The mean response time.
    Average,
    /// The median response time.
    P50,
    /// The response time that 95 % of calls did not exceed.
    P95,
    /// The response time that 99 % of calls did not exceed.
    P99,
    /// The response time that 99.9 % of calls did not exceed.
    P999,
    /// Errors: 4xx, 5xx, panics.
    Errors,
    /// 4xx.
    ClientErrors,
    /// 5xx and panics.
    ServerErrors,
    /// The most errors in a row, of any kind, since the last evaluation; 0 if the window has none. Aborted requests and
    /// 4xx of endpoints that [catch all](crate::EndpointName::catches_all) paths do not count, not even as successes.
    /// [`History::consecutive_errors`](crate::History::consecutive_errors) says how exact it is. Only for
    /// [`Scope::Service`](super::Scope::Service) and [`Scope::Matched`](super::Scope::Matched), with `>` or `>=`.
    ConsecutiveErrors,
    /// Calls.
    Calls,
    /// Calls per second.
    RequestsPerSecond,
    /// Requests in flight now, whatever the window. By route, this stays 0 unless something calls
    /// [`Recorder::enter`](crate::Recorder::enter).
    InFlight,
    /// Requests whose client disconnected, or whose response was cut off.
    Aborted,
    /// Requests that panicked.
    Panicked,
    /// Requests to the monitor's own endpoints with a wrong token, which do not count as calls. Only for
    /// [`Scope::Service`](super::Scope::Service), with `>` or `>=`.
    WrongTokens,
    /// What one of the application's own metrics counted, its value now if it is a gauge, the distinct values of the
    /// day (UTC), or the hits per hundred hits and misses. Only for [`Scope::OwnMetric`](super::Scope::OwnMetric).
    Value,
    /// How fast the budget of an objective is spent, where 1 spends it evenly over its window: the lower rate of two
    /// windows, so that an alert needs both and ends with the shorter one. Only for
    /// [`Scope::Burn`](super::Scope::Burn), which [`Objective::burn_rules`](crate::objective::Objective::burn_rules)
    /// makes.
    BurnRate,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Per cent, 0 to 100.
    PerCent,
    /// Seconds.
    Seconds,
    /// A number of calls, or of calls per second; or the value of one of the application's own metrics.
    Calls,
}

/// How a figure breaches a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`. Only evaluated once the figures cover the whole window.
    Below,
    /// `<=`. Only evaluated once the figures cover the whole window.
    AtMost,
}

/// How severe an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Severity {
    /// For information.
    Info,
    /// Needs attention soon.
    #[default]
    Warning,
    /// Needs attention now.
    Critical,
}

/// A text that is not the name of a [`Metric`], [`Comparison`] or [`Severity`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ParseConditionError(#[from] InvalidSetting);

crate::text::debug_as_display!(ParseConditionError);

impl Metric {
    /// All metrics that your own rules can have: all but [`Metric::BurnRate`].
    pub const ALL: [Self; 19] = [
        Self::ErrorRate,
        Self::ClientErrorRate,
        Self::ServerErrorRate,
        Self::Average,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::P999,
        Self::Errors,
        Self::ClientErrors,
        Self::ServerErrors,
        Self::ConsecutiveErrors,
        Self::Calls,
        Self::RequestsPerSecond,
        Self::InFlight,
        Self::Aborted,
        Self::Panicked,
        Self::WrongTokens,
        Self::Value,
    ];

    /// Returns the unit of its value and of its thresholds.
    pub const fn unit(self) -> Unit {
        match self {
            Self::ErrorRate | Self::ClientErrorRate | Self::ServerErrorRate => Unit::PerCent,
            Self::Average | Self::P50 | Self::P95 | Self::P99 | Self::P999 => Unit::Seconds,
            _ => Unit::Calls,
        }
    }

    /// Returns its name in rules: `error_rate`, `p95` and so on.
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
            Self::ClientErrors => "client_errors",
            Self::ServerErrors => "server_errors",
            Self::ConsecutiveErrors => "consecutive_errors",
            Self::Calls => "calls",
            Self::RequestsPerSecond => "requests_per_second",
            Self::InFlight => "in_flight",
            Self::Aborted => "aborted",
            Self::Panicked => "panicked",
            Self::WrongTokens => "wrong_tokens",
            Self::Value => "value",
            Self::BurnRate => "burn_rate",
        }
    }

    /// The largest value that it can have, if there is one.
    pub(super) fn largest(self) -> Option<f64> {
        match self {
            Self::P50 | Self::P95 | Self::P99 | Self::P999 => Some(MAX_NANOS as f64 / 1e9),
            Self::Average => Some(MAX_EXACT_NANOS as f64 / 1e9),
            _ if self.unit() == Unit::PerCent => Some(100.0),
            _ => None,
        }
    }

    /// Whether it counts something that is never missed, so that a rule about too few makes no sense.
    pub(super) fn is_good_at_zero(self) -> bool {
        matches!(self, Self::ConsecutiveErrors | Self::WrongTokens)
    }

    /// Whether it is computed from durations.
    pub(super) fn is_time(self) -> bool {
        self.unit() == Unit::Seconds
    }
}

impl Comparison {
    /// All comparisons.
    pub const ALL: [Self; 4] = [Self::Above, Self::AtLeast, Self::Below, Self::AtMost];

    /// Returns whether the value compares like this with the threshold: `Above.holds(2.0, 1.0)` is true.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
        }
    }

    /// Returns whether large values breach a threshold, not small ones.
    pub const fn is_upwards(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// Returns its name in rules: `>`, `>=`, `<` or `<=`.
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
    /// All severities, the least severe first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Returns its name in rules: `info`, `warning` or `critical`.
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
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named("metric", text, &Self::ALL, Self::name)
    }
}

impl FromStr for Comparison {
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named("comparison", text, &Self::ALL, Self::name)
    }
}

impl FromStr for Severity {
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named("severity", text, &Self::ALL, Self::name)
    }
}

/// Finds the one of `all` that has this name.
fn named<T: Copy>(
    field: &'static str,
    text: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, ParseConditionError> {
    all.iter().copied().find(|&one| name(one) == text).ok_or_else(|| {
        let text: String = text.chars().take(32).collect();
        let allowed = all.iter().map(|&one| name(one)).collect::<Vec<_>>().join(", ");
        InvalidSetting::new(field, format!("{text:?}"), allowed).into()
    })
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_back_and_any_other_text_is_refused_with_what_is_allowed() {
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
