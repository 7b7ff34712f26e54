//! A rule, its defaults, and the check of its settings.

use std::fmt;
use std::time::Duration;

use super::condition::{Comparison, Metric, Severity, Unit};
use crate::history::Window;
use crate::labels::endpoint::{EndpointName, MAX_NAME_BYTES};
use crate::setting::InvalidSetting;

/// The longest name of a rule, in bytes.
const MAX_RULE_BYTES: usize = 64;

/// The longest [`Rule::for_duration`].
const MAX_FOR: Duration = Duration::from_secs(86_400);

/// The longest window of a budget in a fleet.
const LONGEST_BURN: Duration = Duration::from_secs(3_600);

/// The shortest time between two reminders.
const MIN_REMINDER: Duration = Duration::from_secs(60);

/// The metrics of a rule about one of the application's own metrics, besides times.
const OF_OWN_METRICS: [Metric; 3] = [Metric::Value, Metric::Calls, Metric::RequestsPerSecond];

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
    /// The minimum number of calls in the window for the alert to fire. A firing alert keeps firing with fewer. Does
    /// not apply to the value of a gauge or of a unique count, which have no calls. For [`Metric::ConsecutiveErrors`]
    /// and [`Metric::WrongTokens`], their own number counts instead.
    pub min_calls: u64,
    /// How severe the alert is.
    pub severity: Severity,
    /// Which figures to watch.
    pub scope: Scope,
    /// The interval of reminders while an alert fires; zero for no reminders.
    pub remind_every: Duration,
}

/// Which figures a rule watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Scope {
    /// The figures of all calls together.
    #[default]
    Service,
    /// Like [`Scope::Service`], without 4xx of endpoints that [catch all](crate::EndpointName::catches_all) paths. Most
    /// of these come from scanners, and anybody can send them.
    Matched,
    /// The figures of each endpoint. Each endpoint has its own alert, from its first call on; after that, a window
    /// without calls has 0 calls. 4xx of endpoints that catch all paths do not count.
    EachRoute,
    /// The figures of each endpoint with this route template, such as `/items/{id}`, whatever the method. Until its
    /// first call, a window has 0 calls.
    Route(String),
    /// One of the application's own metrics by its name, all its series together, or one series, such as
    /// `jobs{queue="mail"}`. A metric that does not exist has the value 0.
    OwnMetric(String),
    /// The budget of an objective.
    Burn(Burn),
    /// The figure of the newest version of the service, as a multiple of that of all others. The newest version is the
    /// one whose first instance started last. [`Rule::min_calls`] applies to both sides. Only in a fleet, with rates
    /// and times.
    NewestVersion,
}

/// How fast the budget of an objective is spent over two windows at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Burn {
    /// The name of the objective.
    pub objective: String,
    /// The long window, which makes sure that enough was spent.
    pub long: Duration,
    /// The short window, which ends the alert soon after its cause.
    pub short: Duration,
}

/// How fast the budget of an objective was spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BurnRate {
    /// The lower rate of both windows.
    pub rate: f64,
    /// Valid calls in the longer window.
    pub calls: u64,
}

impl Rule {
    /// Creates a rule for the whole service over five minutes, with [`Severity::Warning`] and an hourly reminder. It
    /// fires at once, and is resolved at its threshold. The threshold is in the [unit](Metric::unit) of the metric.
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

    /// Returns default rules that suit most APIs:
    ///
    /// | name | fires at | over | is resolved at | severity |
    /// |---|---|---|---|---|
    /// | `error_rate` | > 5 % for 10 s, with 20 calls or more | 5m | 4 % | critical |
    /// | `average_response_time` | > 3 s for 10 s, with 20 calls or more | 5m | 2.5 s | warning |
    /// | `p95_response_time` | > 5 s for 10 s, with 20 calls or more | 5m | 4 s | warning |
    /// | `errors` | >= 10 server errors | 5m | < 8 | warning |
    /// | `consecutive_errors` | >= 10 errors of any kind in a row | 5m | < 5 | warning |
    /// | `wrong_tokens` | >= 20 wrong tokens at the monitor's endpoints | 5m | < 10 | warning |
    ///
    /// All but the last have [`Scope::Matched`], so that nobody can raise or hide an alert by calling paths that do not
    /// exist.
    pub fn defaults() -> Vec<Self> {
        let steady = |rule: Self| rule.for_at_least(Duration::from_secs(10)).min_calls(20);
        let rule = |name, metric, comparison, threshold| {
            Self::new(name, metric, comparison, threshold).scope(Scope::Matched)
        };
        let above = |name, metric, threshold| rule(name, metric, Comparison::Above, threshold);
        let at_least = |name, metric, threshold| rule(name, metric, Comparison::AtLeast, threshold);
        vec![
            steady(above("error_rate", Metric::ErrorRate, 5.0)).clear(4.0).severity(Severity::Critical),
            steady(above("average_response_time", Metric::Average, 3.0)).clear(2.5),
            steady(above("p95_response_time", Metric::P95, 5.0)).clear(4.0),
            at_least("errors", Metric::ServerErrors, 10.0).clear(8.0),
            at_least("consecutive_errors", Metric::ConsecutiveErrors, 10.0).clear(5.0),
            Self::new("wrong_tokens", Metric::WrongTokens, Comparison::AtLeast, 20.0).clear(10.0),
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

    /// Sets the minimum number of calls in the window for the alert to fire; default: 0.
    pub fn min_calls(mut self, calls: u64) -> Self {
        self.min_calls = calls;
        self
    }

    /// Sets how severe the alert is; default: [`Severity::Warning`].
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Sets which figures to watch; default: [`Scope::Service`].
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
    /// Returns an error if a setting is out of its range. The error names the rule, the setting, its value and what is
    /// allowed.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if self.scope == Scope::NewestVersion {
            let allowed = "only in a rule of a fleet, which alone sees other versions";
            return Err(self.refused("scope", &self.scope.name(), allowed));
        }
        self.check_settings()
    }

    /// Checks all settings of a rule about all instances of a service.
    ///
    /// # Errors
    ///
    /// As for [`Rule::check`]. Also if a fleet does not have the figures: errors in a row, wrong tokens, the window
    /// `24h`, or a budget over more than an hour.
    pub fn check_of_fleet(&self) -> Result<(), InvalidSetting> {
        self.check_settings()?;
        if matches!(self.metric, Metric::ConsecutiveErrors | Metric::WrongTokens) {
            return Err(self.refused(
                "metric",
                &self.metric,
                "any other in a fleet, which does not add these up",
            ));
        }
        if self.window == Window::OneDay {
            return Err(self.refused("window", &self.window, "1m, 5m, 1h in a fleet"));
        }
        match &self.scope {
            Scope::Burn(burn) if burn.long > LONGEST_BURN => {
                let value = format_args!("{:?}", burn.long);
                Err(self.refused("long window", &value, "up to 1 h in a fleet, which keeps no more minutes"))
            }
            Scope::NewestVersion if !(self.metric.is_time() || self.metric.unit() == Unit::PerCent) => {
                let allowed = "a rate or a time, such as error_rate, average or p99";
                Err(self.refused("metric", &self.metric, allowed))
            }
            Scope::NewestVersion if !self.comparison.is_upwards() => {
                Err(self.refused("comparison", &self.comparison, "> or >= for newest_version"))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, field: &str, value: &dyn fmt::Display, allowed: &str) -> InvalidSetting {
        InvalidSetting::new(format!("rule {:?}: {field}", self.name), value, allowed.to_owned())
    }

    fn check_settings(&self) -> Result<(), InvalidSetting> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(1..=MAX_RULE_BYTES).contains(&self.name.len()) || !self.name.chars().all(allowed) {
            let allowed = format!("1 to {MAX_RULE_BYTES} letters a to z, digits, and \"_-.\"");
            return Err(InvalidSetting::new("rule name", format!("{:?}", self.name), allowed));
        }
        let refused =
            |field: &str, value: &dyn fmt::Display, allowed: &str| Err(self.refused(field, value, allowed));
        let is_upwards = self.comparison.is_upwards();
        if !is_upwards && self.metric.is_good_at_zero() {
            return refused(
                "comparison",
                &self.comparison,
                &format!("> or >= for {}, since low values are good", self.metric),
            );
        }
        let smallest = if self.metric == Metric::Value { f64::MIN } else { 0.0 };
        let is_multiple = self.scope == Scope::NewestVersion;
        let largest = self.metric.largest().filter(|_| !is_multiple).unwrap_or(f64::MAX);
        let range = match self.metric {
            _ if is_multiple => "0 or more",
            Metric::Value => "any number",
            Metric::Average => "0 to 281,474 seconds",
            metric if metric.is_time() => "0 to 68.7 seconds (percentiles end there; average does not)",
            metric if metric.unit() == Unit::PerCent => "0 to 100 (per cent)",
            _ => "0 or more",
        };
        for (field, value) in [("threshold", self.threshold), ("clear", self.clear)] {
            if !(smallest..=largest).contains(&value) {
                return refused(field, &value, range);
            }
            match [smallest, largest].map(|figure| self.comparison.holds(figure, value)) {
                [false, false] => return refused(field, &value, "a threshold that can be reached"),
                [true, true] => return refused(field, &value, "a threshold that is not always reached"),
                _ => {}
            }
        }
        let least = match (self.metric, self.window.length()) {
            (Metric::Calls, _) => Some(self.min_calls as f64),
            (Metric::RequestsPerSecond, Some(window)) => Some(self.min_calls as f64 / window.as_secs_f64()),
            _ => None,
        };
        if !is_upwards && least.is_some_and(|least| !self.comparison.holds(least, self.threshold)) {
            return refused(
                "min_calls",
                &self.min_calls,
                "fewer; with that many calls, the rule can never fire",
            );
        }
        let (beyond, side) = if is_upwards {
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
        let is_of_own_metric = matches!(self.scope, Scope::OwnMetric(_));
        if is_of_own_metric && !(self.metric.is_time() || OF_OWN_METRICS.contains(&self.metric)) {
            let allowed = "value; calls, requests_per_second, average and p50 to p999 of a timer";
            return refused("metric", &self.metric, allowed);
        }
        match &self.scope {
            scope if self.metric == Metric::Value && !is_of_own_metric => {
                refused("scope", &scope.name(), "own_metric for the metric value")
            }
            Scope::OwnMetric(name) if !(1..=MAX_NAME_BYTES).contains(&name.len()) => {
                refused("own_metric", &format_args!("{name:?}"), "the name of a metric, such as \"orders\"")
            }
            Scope::Route(route) if !(1..=MAX_NAME_BYTES).contains(&route.len()) => {
                let allowed = format!("1 to {MAX_NAME_BYTES} bytes, such as \"/items/{{id}}\"");
                refused("route", &format_args!("{route:?}"), &allowed)
            }
            Scope::EachRoute | Scope::Route(_) if self.metric == Metric::ConsecutiveErrors => {
                refused("scope", &self.scope.name(), "service or matched for consecutive_errors")
            }
            scope if matches!(scope, Scope::Burn(_)) != (self.metric == Metric::BurnRate) => {
                refused("scope", &scope.name(), "burn with burn_rate, as the rules of an objective have")
            }
            scope if self.metric == Metric::WrongTokens && *scope != Scope::Service => {
                refused("scope", &scope.name(), "service for wrong_tokens")
            }
            _ => Ok(()),
        }
    }

    /// Returns the error for a second rule of the same name.
    pub fn defined_twice(&self) -> InvalidSetting {
        InvalidSetting::new(format!("rule {:?}", self.name), "defined twice", "one rule per name")
    }
}

impl Scope {
    /// Returns the route that it names, if any.
    pub fn route(&self) -> Option<&str> {
        match self {
            Self::Route(route) => Some(route),
            _ => None,
        }
    }

    /// Returns the application's own metric that it names, if any.
    pub fn own_metric(&self) -> Option<&str> {
        match self {
            Self::OwnMetric(name) => Some(name),
            _ => None,
        }
    }

    /// Whether a rule of routes watches an endpoint.
    pub(super) fn has(&self, name: &EndpointName) -> bool {
        self.route().is_none_or(|route| *name.route == *route)
    }

    /// Returns its name in answers: `service`, `matched`, `each_route`, `route`, `own_metric`, `burn` or
    /// `newest_version`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Matched => "matched",
            Self::EachRoute => "each_route",
            Self::Route(_) => "route",
            Self::OwnMetric(_) => "own_metric",
            Self::Burn(_) => "burn",
            Self::NewestVersion => "newest_version",
        }
    }
}

#[cfg(all(test, not(miri)))]
mod tests;
