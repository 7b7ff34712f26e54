//! What a rule says, and what it may say.

use std::time::Duration;

use super::word::{Comparison, Metric, Severity, Unit};
use crate::history::Window;
use crate::labels::endpoint::MAX_NAME_BYTES;

/// The longest name of a rule, in bytes.
const MAX_RULE_BYTES: usize = 64;

/// The longest time that a threshold can be asked to be broken for.
const MAX_FOR: Duration = Duration::from_secs(86_400);

/// The shortest time between two reminders.
const MIN_REMINDER: Duration = Duration::from_secs(60);

/// When to raise an alert: if a figure of a window breaks a threshold, and goes on to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rule {
    /// What the alert is called. One rule a name.
    pub name: String,
    /// The figure that is looked at.
    pub metric: Metric,
    /// How it is compared with the thresholds.
    pub comparison: Comparison,
    /// What it is compared with, in the [unit](Metric::unit) of the figure.
    pub threshold: f64,
    /// What a firing alert is resolved by, in the same unit: it fires on while the figure compares with this.
    pub clear: f64,
    /// The time over which the figure is taken.
    pub window: Window,
    /// How long the threshold has to be broken without a break before the alert fires.
    pub for_duration: Duration,
    /// The fewest calls in the window for the alert to begin. One that fires goes on with fewer.
    pub min_calls: u64,
    /// How bad it is.
    pub severity: Severity,
    /// Whose figures are looked at.
    pub scope: Scope,
    /// The least time between two notices of an alert that goes on firing; zero for no reminders.
    pub remind_every: Duration,
}

/// Whose figures a rule looks at. An endpoint is known from its first call on; after that, no calls are 0 calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Those of all calls together.
    #[default]
    Service,
    /// Those of each endpoint by itself: each has an alert of its own.
    EachRoute,
    /// Those of each endpoint with this route template, such as `/items/{id}`, whatever its method.
    Route(String),
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The name cannot be used as a label.
    #[error(
        "the name of a rule is {name:?}; allowed: 1 to {MAX_RULE_BYTES} letters a to z, digits, and \"_-.\""
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two rules have the same name.
    #[error("two rules are called {name:?}; allowed: one rule a name")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// There are too many rules.
    #[error("there are {rules} rules; allowed: at most {max}")]
    TooMany {
        /// How many there are.
        rules: usize,
        /// How many there can be.
        max: usize,
    },
    /// A setting of a rule is out of its range.
    #[error("rule {rule:?}: {field} is {value}; allowed: {allowed}")]
    OutOfRange {
        /// The rule.
        rule: String,
        /// The setting.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: String,
    },
}

impl Rule {
    /// A rule about the whole service over five minutes, with severity [`Severity::Warning`] and a reminder each hour, that
    /// fires at once and is resolved by its threshold. The threshold is in the [unit](Metric::unit) of the metric.
    ///
    /// It is checked by [`Alerts::new`](super::Alerts::new).
    pub fn new(name: impl Into<String>, metric: Metric, comparison: Comparison, threshold: f64) -> Self {
        Self {
            name: name.into(),
            metric,
            comparison,
            threshold,
            clear: threshold,
            window: Window::FiveMinutes,
            for_duration: Duration::ZERO,
            min_calls: 0,
            severity: Severity::default(),
            scope: Scope::default(),
            remind_every: Duration::from_secs(3_600),
        }
    }

    /// What an API's operators expect without having asked:
    ///
    /// | name | fires at | over | is resolved at | severity |
    /// |---|---|---|---|---|
    /// | `error_rate` | > 5 % for 10 s, of 20 calls or more | 5m | 4 % | critical |
    /// | `average_response_time` | > 3 s for 10 s, of 20 calls or more | 5m | 2.5 s | warning |
    /// | `p95_response_time` | > 5 s for 10 s, of 20 calls or more | 5m | 4 s | warning |
    /// | `errors` | >= 10 errors | 5m | < 8 | warning |
    pub fn defaults() -> Vec<Self> {
        let steady = |rule: Self| rule.for_at_least(Duration::from_secs(10)).min_calls(20);
        let above = |name, metric, threshold| Self::new(name, metric, Comparison::Above, threshold);
        vec![
            steady(above("error_rate", Metric::ErrorRate, 5.0)).clear(4.0).severity(Severity::Critical),
            steady(above("average_response_time", Metric::Average, 3.0)).clear(2.5),
            steady(above("p95_response_time", Metric::P95, 5.0)).clear(4.0),
            Self::new("errors", Metric::Errors, Comparison::AtLeast, 10.0).clear(8.0),
        ]
    }

    /// What a firing alert is resolved by, in the unit of the metric; default: the threshold. Further from the alert than
    /// the threshold, so that a figure that wavers around that does not raise an alert again and again.
    pub fn clear(mut self, clear: f64) -> Self {
        self.clear = clear;
        self
    }

    /// The time over which the figure is taken, but not [`Window::SinceReset`]; default [`Window::FiveMinutes`].
    pub fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// How long the threshold has to be broken before the alert fires, up to 24 h; default: not at all.
    pub fn for_at_least(mut self, duration: Duration) -> Self {
        self.for_duration = duration;
        self
    }

    /// The fewest calls in the window for the alert to begin; default 0.
    pub fn min_calls(mut self, calls: u64) -> Self {
        self.min_calls = calls;
        self
    }

    /// How bad it is; default [`Severity::Warning`].
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Whose figures are looked at; default [`Scope::Service`].
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The least time between two notices of an alert that goes on firing, a minute or longer; default an hour, and zero for
    /// no reminders.
    pub fn remind_every(mut self, duration: Duration) -> Self {
        self.remind_every = duration;
        self
    }

    /// Whether the rule can be used.
    ///
    /// # Errors
    ///
    /// When it cannot; the error names the setting and what is allowed.
    pub fn check(&self) -> Result<(), RuleError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(1..=MAX_RULE_BYTES).contains(&self.name.len()) || !self.name.chars().all(allowed) {
            return Err(RuleError::Name { name: self.name.clone() });
        }
        let out_of_range = |field, value: String, allowed: &str| {
            Err(RuleError::OutOfRange { rule: self.name.clone(), field, value, allowed: allowed.to_owned() })
        };
        let (max, range) = match self.metric.unit() {
            Unit::PerCent => (100.0, "0 to 100 (per cent)"),
            Unit::Seconds => (f64::MAX, "0 or more (seconds)"),
            Unit::Calls => (f64::MAX, "0 or more"),
        };
        for (field, value) in [("threshold", self.threshold), ("clear", self.clear)] {
            if !(0.0..=max).contains(&value) {
                return out_of_range(field, value.to_string(), range);
            }
        }
        let (beyond, side) = if self.comparison.is_upwards() {
            (self.clear > self.threshold, "at most")
        } else {
            (self.clear < self.threshold, "at least")
        };
        if beyond {
            let allowed = format!("{side} the threshold, {}", self.threshold);
            return out_of_range("clear", self.clear.to_string(), &allowed);
        }
        if self.window == Window::SinceReset {
            return out_of_range("window", self.window.to_string(), "1m, 5m, 1h, 24h");
        }
        if self.for_duration > MAX_FOR {
            return out_of_range("for", format!("{:?}", self.for_duration), "up to 24 h");
        }
        if !self.remind_every.is_zero() && self.remind_every < MIN_REMINDER {
            let value = format!("{:?}", self.remind_every);
            return out_of_range("remind_every", value, "0 for none, or a minute or longer");
        }
        match &self.scope {
            Scope::Route(route) if !(1..=MAX_NAME_BYTES).contains(&route.len()) => {
                let allowed = format!("1 to {MAX_NAME_BYTES} bytes, such as \"/items/{{id}}\"");
                out_of_range("route", format!("{route:?}"), &allowed)
            }
            Scope::EachRoute | Scope::Route(_) if self.metric == Metric::ConsecutiveErrors => {
                out_of_range("scope", self.scope.name().to_owned(), "service, for consecutive_errors")
            }
            _ => Ok(()),
        }
    }
}

impl Scope {
    /// What kind it is: `service`, `each_route` or `route`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::EachRoute => "each_route",
            Self::Route(_) => "route",
        }
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    fn rule() -> Rule {
        Rule::new("slow", Metric::P95, Comparison::Above, 2.0)
    }

    fn refused(rule: Rule) -> String {
        rule.check().unwrap_err().to_string()
    }

    #[test]
    fn the_default_rules_are_valid_and_none_of_them_counts_consecutive_errors() {
        for rule in Rule::defaults() {
            rule.check().unwrap();
            assert_ne!(rule.metric, Metric::ConsecutiveErrors);
        }
    }

    #[test]
    fn every_setting_out_of_range_is_refused_with_what_is_allowed() {
        let new = |name: &str| Rule::new(name, Metric::ErrorRate, Comparison::Above, 5.0);
        for name in ["", "a b", "a\n", &"x".repeat(65)] {
            assert!(refused(new(name)).ends_with("allowed: 1 to 64 letters a to z, digits, and \"_-.\""));
        }
        let rate = |rate| Rule::new("rate", Metric::ErrorRate, Comparison::Above, rate);
        assert_eq!(refused(rate(101.0)), "rule \"rate\": threshold is 101; allowed: 0 to 100 (per cent)");
        assert!(refused(rate(f64::NAN)).starts_with("rule \"rate\": threshold is NaN"));
        assert_eq!(
            refused(rule().clear(3.0)),
            "rule \"slow\": clear is 3; allowed: at most the threshold, 2"
        );
        let few = Rule::new("few", Metric::Calls, Comparison::Below, 2.0);
        assert_eq!(refused(few.clear(1.0)), "rule \"few\": clear is 1; allowed: at least the threshold, 2");
        assert!(refused(rule().window(Window::SinceReset)).ends_with("allowed: 1m, 5m, 1h, 24h"));
        assert!(refused(rule().for_at_least(Duration::from_secs(86_401))).ends_with("allowed: up to 24 h"));
        let second = Duration::from_secs(1);
        assert!(refused(rule().remind_every(second)).ends_with("allowed: 0 for none, or a minute or longer"));
        assert!(refused(rule().scope(Scope::Route(String::new()))).contains("such as \"/items/{id}\""));
        let row = Rule::new("row", Metric::ConsecutiveErrors, Comparison::AtLeast, 5.0);
        row.check().unwrap();
        assert!(refused(row.scope(Scope::EachRoute)).ends_with("allowed: service, for consecutive_errors"));
    }
}
