//! The builder's settings for alerts: rules, and where their notices are sent.

use metrics_core::InvalidSetting;
use metrics_core::alert::{Alerts, Rule};
use metrics_core::objective::{Apdex, Objective};
use metrics_export::alert::Destination;

use super::{Builder, Settings};
use crate::background::alerting::Alerting;
use crate::build_error::BuildError;

/// # Alerts
impl<H> Builder<H> {
    /// Adds a rule; `GET alerts` shows its state. It replaces the [default rule](Rule::defaults) with the same name.
    ///
    /// ```
    /// use metrics_core::alert::{Comparison, Metric, Rule, Scope};
    /// let slow = Rule::new("slow_orders", Metric::P99, Comparison::Above, 0.5); // seconds
    /// let monitor = metrics_monitor::Builder::new("orders")
    ///     .alert(slow.clear(0.4).min_calls(20).scope(Scope::Route("/orders/{id}".to_owned())))
    ///     .build()?;
    /// # Ok::<(), metrics_monitor::BuildError>(())
    /// ```
    pub fn alert(mut self, rule: Rule) -> Self {
        self.settings.alert_rules.push(rule);
        self
    }

    /// Adds an objective, at most 8; default: none. `GET objectives` shows its budget, and its [burn
    /// rates](Objective::burn_rules) raise alerts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use metrics_core::objective::Objective;
    /// let in_time = Objective::latency(99.0, Duration::from_millis(300)).name("orders_in_time");
    /// let monitor = metrics_monitor::Builder::new("orders")
    ///     .objective(Objective::availability(99.9))
    ///     .objective(in_time.routes(["/orders/{id}", "/orders"]))
    ///     .build()?;
    /// # Ok::<(), metrics_monitor::BuildError>(())
    /// ```
    pub fn objective(mut self, objective: Objective) -> Self {
        self.settings.objectives.push(objective);
        self
    }

    /// Tracks how satisfied users are with response times, as [Apdex](metrics_core::objective::Apdex): they are
    /// satisfied up to this time, and tolerate up to four times as long; default: not tracked. `GET objectives` shows
    /// the score.
    pub fn apdex(mut self, target: std::time::Duration) -> Self {
        match Apdex::new(target) {
            Ok(apdex) => self.settings.apdex = Some(apdex),
            Err(error) => self.settings.refuse(error.into()),
        }
        self
    }

    /// Removes the [default rules](Rule::defaults), which are otherwise evaluated.
    pub fn without_default_alerts(mut self) -> Self {
        self.settings.without_default_alerts = true;
        self
    }

    /// Adds rules and objectives, and sets the target of Apdex, as
    /// [`alerts_from_toml`](metrics_export::alert::alerts_from_toml) reads them.
    #[cfg(feature = "alert-toml")]
    pub fn alerts_toml(mut self, toml: &str) -> Self {
        self.settings.add_rules("alerts_toml", toml);
        self
    }

    /// Adds rules and objectives from a file, such as `alerts.toml`, as [`Builder::alerts_toml`] does. If it cannot be
    /// read, or one is invalid, [`build`](Builder::build) returns an error that names the file.
    #[cfg(feature = "alert-toml")]
    pub fn alerts_file(mut self, path: impl AsRef<std::path::Path>) -> Self {
        let path = path.as_ref();
        match std::fs::read_to_string(path) {
            Ok(toml) => self.settings.add_rules(&path.display().to_string(), &toml),
            Err(error) => {
                let sentence = format!("alerts_file: cannot read {}: {error}", path.display());
                self.settings.refuse(InvalidSetting::sentence("alerts_file", sentence).into());
            }
        }
        self
    }

    /// Writes alert notices to the log, under the target `metrics::alerts`; default: they are sent nowhere.
    #[cfg(feature = "alert-log")]
    pub fn alert_log(self) -> Self {
        self.alert_destination(metrics_export::alert::Log::new())
    }

    /// Posts alert notices to this URL as a [webhook](metrics_export::alert::Webhook), such as Slack accepts; default:
    /// they are sent nowhere. `https` needs the cargo feature `tls`, or an `http` proxy. For a timeout, headers or a
    /// proxy, pass a [`Webhook::with_http`](metrics_export::alert::Webhook::with_http) to
    /// [`Builder::alert_destination`].
    #[cfg(feature = "alert-webhook")]
    pub fn alert_webhook(mut self, url: impl AsRef<str>) -> Self {
        self.settings.post_alerts(metrics_export::alert::Webhook::new(url));
        self
    }

    /// Posts alerts to the [Alertmanager](metrics_export::alert::Alertmanager) at this URL, such as
    /// `http://127.0.0.1:9093`; default: they are sent nowhere.
    #[cfg(feature = "alertmanager")]
    pub fn alertmanager(mut self, url: impl AsRef<str>) -> Self {
        self.settings.post_alerts(metrics_export::alert::Alertmanager::new(url));
        self
    }

    /// Sends alert notices to your own destination, on a separate thread; default: they are sent nowhere.
    pub fn alert_destination(mut self, destination: impl Destination) -> Self {
        self.settings.alert_destinations.push(Box::new(destination));
        self
    }
}

impl Settings {
    /// Adds what TOML says, or the error, which says where they are from.
    #[cfg(feature = "alert-toml")]
    fn add_rules(&mut self, from: &str, toml: &str) {
        match metrics_export::alert::alerts_from_toml(toml) {
            Ok(alerts) => {
                self.alert_rules.extend(alerts.rules);
                self.objectives.extend(alerts.objectives);
                self.fleet_rules.extend(alerts.fleet_rules);
                self.fleet_objectives.extend(alerts.fleet_objectives);
                self.apdex = alerts.apdex.or(self.apdex.take());
            }
            Err(error) => {
                self.refuse(InvalidSetting::sentence("alerts_toml", format!("{from}: {error}")).into());
            }
        }
    }

    /// Adds a destination, or the error of the URL that it was given.
    #[cfg(any(feature = "alert-webhook", feature = "alertmanager"))]
    fn post_alerts(&mut self, destination: Result<impl Destination, InvalidSetting>) {
        match destination {
            Ok(destination) => self.alert_destinations.push(Box::new(destination)),
            Err(error) => self.refuse(error.into()),
        }
    }

    fn refuse(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }

    /// Checks that there is a fleet for its rules.
    pub(super) fn check_fleet_rules(&self) -> Result<(), InvalidSetting> {
        #[cfg(feature = "redis")]
        let (has_fleet, allowed) = (self.fleet.is_some(), "together with .fleet(..)");
        #[cfg(not(feature = "redis"))]
        let (has_fleet, allowed) = (false, "with the cargo feature `redis`, together with .fleet(..)");
        match self.fleet_rules.len() + self.fleet_objectives.len() {
            rules if rules > 0 && !has_fleet => {
                Err(InvalidSetting::new("rules of a fleet", format!("{rules} without a fleet"), allowed))
            }
            _ => Ok(()),
        }
    }

    /// All rules, those by default included.
    pub(super) fn rules(&mut self) -> Vec<Rule> {
        let own = std::mem::take(&mut self.alert_rules);
        let mut rules = if self.without_default_alerts { Vec::new() } else { Rule::defaults() };
        // A rule of the same name replaces one of an objective, too.
        rules.extend(self.objectives.iter().flat_map(Objective::burn_rules));
        rules.retain(|default| own.iter().all(|rule| rule.name != default.name));
        rules.extend(own);
        rules
    }

    /// Starts the deliveries.
    pub(super) fn start_alerting(&mut self, rules: Vec<Rule>) -> Result<Alerting, BuildError> {
        let destinations = std::mem::take(&mut self.alert_destinations);
        Ok(Alerting::start(Alerts::new(rules)?, destinations, &self.service)?)
    }
}

#[cfg(test)]
mod tests {
    use metrics_core::alert::{Comparison, Metric};

    use super::*;

    fn rules(builder: Builder) -> Vec<(String, f64)> {
        let alerts = builder.build().unwrap().alerts();
        alerts.into_iter().map(|alert| (alert.rule.name.clone(), alert.rule.threshold)).collect()
    }

    fn refused(builder: impl FnOnce(Builder) -> Builder) -> String {
        builder(Builder::new("test")).build().unwrap_err().to_string()
    }

    #[test]
    fn the_default_rules_are_evaluated_unless_they_are_left_out_or_replaced() {
        let errors = || Rule::new("errors", Metric::Errors, Comparison::AtLeast, 3.0);
        let named = |rules: Vec<(String, f64)>| rules.into_iter().find(|(name, _)| name == "errors");
        let new = || Builder::new("test");
        assert_eq!(rules(new()).len(), 6);
        assert_eq!(rules(new().without_default_alerts()), []);
        assert_eq!(rules(new().alert(errors())).len(), 6);
        assert_eq!(named(rules(new().alert(errors()))), Some(("errors".to_owned(), 3.0)));
        let error = refused(|b| b.alert(errors()).alert(errors()));
        assert_eq!(error, "rule \"errors\" is defined twice; allowed: one rule per name");
    }

    #[cfg(feature = "alert-toml")]
    #[test]
    fn rules_from_toml_are_refused_with_their_line() {
        let error = refused(|b| b.alerts_toml("[[rule]]\nnames = \"slow\"\n"));
        assert!(error.starts_with("alerts_toml: line 2: unknown field `names`, expected one of"), "{error}");
    }

    #[cfg(all(feature = "alert-webhook", feature = "alertmanager"))]
    #[test]
    fn a_url_that_nothing_can_be_sent_to_is_refused_and_not_repeated() {
        let error = refused(|b| b.alert_webhook("ftp://hooks.example.com/hunter2"));
        assert!(error.starts_with("alert_webhook: the URL does not begin with http://; "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        #[cfg(not(feature = "tls-no-provider"))]
        assert_eq!(
            refused(|b| b.alert_webhook("https://example.com/")),
            "alert_webhook: `https` needs the cargo feature `tls`, or an `http` proxy"
        );
        let error = refused(|b| b.alertmanager("127.0.0.1:9093"));
        assert!(error.starts_with("alertmanager: the URL "), "{error}");
    }
}
