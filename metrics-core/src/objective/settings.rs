//! The settings of an objective, and the rules of its alerts.

use std::time::Duration;

use crate::alert::{Burn, Comparison, Metric, Rule, Scope, Severity};
use crate::setting::InvalidSetting;

/// The longest name of an objective, in bytes: its rules have longer ones.
const MAX_NAME_BYTES: usize = 48;

/// Routes of an objective at most.
const MAX_ROUTES: usize = 64;

/// The alerts of the SRE workbook (chapter 5, table 5-8, <https://sre.google/workbook/alerting-on-slos/>): the burn
/// rate, the long window and the short one in minutes, and the severity.
pub const BURN_RULES: [(f64, u64, u64, Severity); 3] = [
    (14.4, 60, 5, Severity::Critical),
    (6.0, 360, 30, Severity::Critical),
    (3.0, 1_440, 120, Severity::Warning),
];

/// A percentage of requests that must be good (SLO).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Objective {
    /// Its name, unique among the objectives.
    pub name: String,
    /// What makes a request good.
    pub kind: Kind,
    /// The percentage of valid requests that must be good.
    pub target: f64,
    /// The templates of the routes it covers; empty for all routes.
    pub routes: Vec<String>,
    /// The minimum number of valid calls in the long window for an alert to fire.
    pub min_calls: u64,
}

/// What makes a request good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A status below 500, without a panic.
    Availability,
    /// The same, within this time.
    Latency(Duration),
}

impl Objective {
    /// Creates an objective named `availability`: this percentage of requests must be answered with a status below 500.
    pub fn availability(percent: f64) -> Self {
        Self::new("availability", Kind::Availability, percent)
    }

    /// Creates an objective named `latency`: this percentage of requests must be answered with a status below 500
    /// within a time.
    pub fn latency(percent: f64, within: Duration) -> Self {
        Self::new("latency", Kind::Latency(within), percent)
    }

    fn new(name: &str, kind: Kind, target: f64) -> Self {
        Self { name: name.to_owned(), kind, target, routes: Vec::new(), min_calls: 20 }
    }

    /// Sets its name; default: `availability` or `latency`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Limits the objective to these routes, by their templates, such as `/orders/{id}`; default: all routes.
    pub fn routes<R: Into<String>>(mut self, routes: impl IntoIterator<Item = R>) -> Self {
        self.routes.extend(routes.into_iter().map(Into::into));
        self
    }

    /// Sets the minimum number of valid calls in the long window for an alert to fire; default: 20. One failure in
    /// three calls spends a budget a hundred times too fast, but means little.
    pub fn min_calls(mut self, calls: u64) -> Self {
        self.min_calls = calls;
        self
    }

    /// Returns the share of valid requests that may be bad, above 0 and below 1.
    pub fn budget_share(&self) -> f64 {
        1.0 - self.target / 100.0
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is out of its range. The error names the objective, the setting and what is
    /// allowed.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(1..=MAX_NAME_BYTES).contains(&self.name.len()) || !self.name.chars().all(allowed) {
            let allowed = format!("1 to {MAX_NAME_BYTES} letters a to z, digits, and \"_-.\"");
            return Err(InvalidSetting::new("objective name", format!("{:?}", self.name), allowed));
        }
        let field = |field: &str| format!("objective {:?}: {field}", self.name);
        if !(self.target > 0.0 && self.target < 100.0) {
            let allowed =
                "above 0 and below 100 (per cent): without a budget, each failure would be an alert";
            return Err(InvalidSetting::new(field("target"), self.target, allowed));
        }
        if let Kind::Latency(within) = self.kind
            && !(Duration::from_nanos(1)..=Duration::from_secs(60)).contains(&within)
        {
            return Err(InvalidSetting::new(field("time"), format!("{within:?}"), "1 ns to 60 s"));
        }
        if self.routes.len() > MAX_ROUTES {
            let allowed = format!("at most {MAX_ROUTES}");
            return Err(InvalidSetting::new(field("number of routes"), self.routes.len(), allowed));
        }
        if let Some(route) = self.routes.iter().find(|route| !route.starts_with('/')) {
            let allowed = "templates such as \"/orders/{id}\"";
            return Err(InvalidSetting::new(field("route"), format!("{route:?}"), allowed));
        }
        Ok(())
    }

    /// Returns the rules of its alerts: one for each of [`BURN_RULES`], such as `availability_burn_1h`. Each fires if
    /// the budget burns faster over both of its windows, and ends with the shorter one.
    pub fn burn_rules(&self) -> Vec<Rule> {
        let minutes = |minutes| Duration::from_secs(minutes * 60);
        let rule = |&(rate, long, short, severity): &(f64, u64, u64, Severity)| {
            let burn = Burn { objective: self.name.clone(), long: minutes(long), short: minutes(short) };
            Rule::new(format!("{}_burn_{}h", self.name, long / 60), Metric::BurnRate, Comparison::Above, rate)
                .window(crate::history::Window::OneHour)
                .severity(severity)
                .min_calls(self.min_calls)
                .scope(Scope::Burn(burn))
        };
        BURN_RULES.iter().map(rule).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_is_refused_with_what_is_allowed() {
        let refused = |objective: Objective| objective.check().unwrap_err().to_string();
        for target in [0.0, 100.0, -1.0, f64::NAN] {
            let error = refused(Objective::availability(target));
            assert!(error.contains("target is") && error.contains("above 0 and below 100"), "{error}");
        }
        let latency = |within| Objective::latency(99.0, within);
        let error = refused(latency(Duration::from_secs(61)));
        assert_eq!(error, "objective \"latency\": time is 61s; allowed: 1 ns to 60 s");
        latency(Duration::from_secs(60)).check().unwrap();
        assert!(refused(latency(Duration::ZERO)).contains("1 ns to 60 s"));
        let of_route = Objective::availability(99.0).routes(["/a", "b"]);
        assert!(refused(of_route).ends_with("route is \"b\"; allowed: templates such as \"/orders/{id}\""));
        assert!(refused(Objective::availability(99.0).name("a b")).starts_with("objective name is \"a b\""));
    }

    #[test]
    fn each_objective_has_three_rules_that_are_valid() {
        let rules = Objective::availability(99.9).name("x".repeat(MAX_NAME_BYTES)).burn_rules();
        assert!(rules.iter().all(|rule| rule.check().is_ok()));
        let names: Vec<_> =
            Objective::availability(99.9).burn_rules().into_iter().map(|rule| rule.name).collect();
        assert_eq!(names, ["availability_burn_1h", "availability_burn_6h", "availability_burn_24h"]);
    }
}
