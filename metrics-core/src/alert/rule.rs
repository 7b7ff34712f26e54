//! A rule, its defaults, and the check of its settings.

use std::fmt;
use std::time::Duration;

use super::condition::{Comparison, Metric, Severity, Unit};
use crate::history::Window;
use crate::labels::endpoint::MAX_NAME_BYTES;
use crate::setting::InvalidSetting;

/// The longest name of a rule, in bytes.
const MAX_RULE_BYTES: usize = 64;

/// The longest [`Rule::for_duration`].
const MAX_FOR: Duration = Duration::from_secs(86_400);

/// The shortest time between two reminders.
const MIN_REMINDER: Duration = Duration::from_secs(60);

/// When to raise an alert: if a figure over a window breaches a threshold for some time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rule {
    /// The name of the rule and of its alerts. No two rules share a name.
    pub name: String,
    /// The figure to watch.
    pub metric: Metric,
    /// How the figure is compared with the thresholds.
    pub comparison: Comparison,
    /// The threshold, in the [unit](Metric::unit) of the metric.
    pub threshold: f64,
    /// The threshold for resolving, in the same unit. A firing alert keeps firing while the figure breaches this one.
    pub clear: f64,
    /// The window of the figure.
    pub window: Window,
    /// How long the threshold must be breached without interruption before the alert fires.
    pub for_duration: Duration,
    /// The fewest calls in the window for the alert to begin. A firing alert keeps firing with fewer.
    pub min_calls: u64,
    /// How severe the alert is.
    pub severity: Severity,
    /// Whose figures to watch.
    pub scope: Scope,
    /// The interval of reminders while an alert fires; zero for no reminders.
    pub remind_every: Duration,
}

/// Whose figures a rule watches. An endpoint is watched from its first call on; after that, a window without calls has
/// 0 calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// The figures of all calls together.
    #[default]
    Service,
    /// The figures of each endpoint. Each endpoint has its own alert.
    EachRoute,
    /// The figures of each endpoint with this route template, such as `/items/{id}`, whatever the method.
    Route(String),
}

impl Rule {
    /// A rule for the whole service over five minutes, with [`Severity::Warning`] and an hourly reminder. It fires at
    /// once, and is resolved at its threshold. The threshold is in the [unit](Metric::unit) of the metric.
    ///
    /// [`Alerts::new`](super::Alerts::new) checks it.
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

    /// Reasonable rules for an API:
    ///
    /// | name | fires at | over | is resolved at | severity |
    /// |---|---|---|---|---|
    /// | `error_rate` | > 5 % for 10 s, with 20 calls or more | 5m | 4 % | critical |
    /// | `average_response_time` | > 3 s for 10 s, with 20 calls or more | 5m | 2.5 s | warning |
    /// | `p95_response_time` | > 5 s for 10 s, with 20 calls or more | 5m | 4 s | warning |
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

    /// Sets the threshold for resolving, in the unit of the metric; default: the threshold itself. Set it on the safe
    /// side of the threshold, so that a figure that hovers around the threshold does not raise an alert again and
    /// again.
    pub fn clear(mut self, clear: f64) -> Self {
        self.clear = clear;
        self
    }

    /// Sets the window of the figure, any but [`Window::SinceReset`]; default: [`Window::FiveMinutes`].
    pub fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Sets how long the threshold must be breached before the alert fires, up to 24 h; default: 0.
    pub fn for_at_least(mut self, duration: Duration) -> Self {
        self.for_duration = duration;
        self
    }

    /// Sets the fewest calls in the window for the alert to begin; default: 0.
    pub fn min_calls(mut self, calls: u64) -> Self {
        self.min_calls = calls;
        self
    }

    /// Sets how severe the alert is; default: [`Severity::Warning`].
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Sets whose figures to watch; default: [`Scope::Service`].
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the interval of reminders while an alert fires: a minute or longer, or zero for none; default: an hour.
    pub fn remind_every(mut self, duration: Duration) -> Self {
        self.remind_every = duration;
        self
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// If a setting is out of its range. The error names the rule, the setting, its value and what is allowed.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(1..=MAX_RULE_BYTES).contains(&self.name.len()) || !self.name.chars().all(allowed) {
            let allowed = format!("1 to {MAX_RULE_BYTES} letters a to z, digits, and \"_-.\"");
            return Err(InvalidSetting::new("rule name", format!("{:?}", self.name), allowed));
        }
        let refused = |field: &str, value: &dyn fmt::Display, allowed: &str| {
            Err(InvalidSetting::new(format!("rule {:?}: {field}", self.name), value, allowed.to_owned()))
        };
        let (max, range) = match self.metric.unit() {
            Unit::PerCent => (100.0, "0 to 100 (per cent)"),
            Unit::Seconds => (f64::MAX, "0 or more (seconds)"),
            Unit::Calls => (f64::MAX, "0 or more"),
        };
        for (field, value) in [("threshold", self.threshold), ("clear", self.clear)] {
            if !(0.0..=max).contains(&value) {
                return refused(field, &value, range);
            }
        }
        let (beyond, side) = if self.comparison.is_upwards() {
            (self.clear > self.threshold, "at most")
        } else {
            (self.clear < self.threshold, "at least")
        };
        if beyond {
            return refused("clear", &self.clear, &format!("{side} the threshold, {}", self.threshold));
        }
        if self.window == Window::SinceReset {
            return refused("window", &self.window, "1m, 5m, 1h, 24h");
        }
        if self.for_duration > MAX_FOR {
            return refused("for", &format_args!("{:?}", self.for_duration), "0 to 24 h");
        }
        if !self.remind_every.is_zero() && self.remind_every < MIN_REMINDER {
            let value = format_args!("{:?}", self.remind_every);
            return refused("remind_every", &value, "0 (none), or a minute or longer");
        }
        match &self.scope {
            Scope::Route(route) if !(1..=MAX_NAME_BYTES).contains(&route.len()) => {
                let allowed = format!("1 to {MAX_NAME_BYTES} bytes, such as \"/items/{{id}}\"");
                refused("route", &format_args!("{route:?}"), &allowed)
            }
            Scope::EachRoute | Scope::Route(_)
                if matches!(self.metric, Metric::ConsecutiveErrors | Metric::WrongTokens) =>
            {
                refused("scope", &self.scope.name(), &format!("service, for {}", self.metric.name()))
            }
            _ => Ok(()),
        }
    }

    /// The error for a second rule of the same name.
    pub fn defined_twice(&self) -> InvalidSetting {
        InvalidSetting::new(format!("rule {:?}", self.name), "defined twice", "one rule per name")
    }
}

impl Scope {
    /// Its name in answers: `service`, `each_route` or `route`.
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
    fn the_default_rules_are_valid_and_none_counts_consecutive_errors() {
        for rule in Rule::defaults() {
            rule.check().unwrap();
            assert_ne!(rule.metric, Metric::ConsecutiveErrors);
        }
    }

    #[test]
    fn a_setting_out_of_range_is_refused_with_what_is_allowed() {
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
        assert!(
            refused(rule().for_at_least(Duration::from_secs(86_401)))
                .ends_with("for is 86401s; allowed: 0 to 24 h")
        );
        let second = Duration::from_secs(1);
        assert!(refused(rule().remind_every(second)).ends_with("allowed: 0 (none), or a minute or longer"));
        assert!(refused(rule().scope(Scope::Route(String::new()))).contains("such as \"/items/{id}\""));
        let row = Rule::new("row", Metric::ConsecutiveErrors, Comparison::AtLeast, 5.0);
        row.check().unwrap();
        assert!(refused(row.scope(Scope::EachRoute)).ends_with("allowed: service, for consecutive_errors"));
    }
}
