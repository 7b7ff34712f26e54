//! Alerts of a monitor: which rules there are, who evaluates them and where their notices go.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics_core::History;
#[cfg(any(feature = "alert-webhook", feature = "alertmanager"))]
use metrics_core::InvalidSetting;
use metrics_core::alert::{Alert, Alerts, Moment, Rule};
use metrics_export::Service;
use metrics_export::alert::{Delivery, Destination};
use metrics_export::json::AlertsBody;

use crate::answer;
use crate::builder::{BuildError, Builder};

/// What a builder is told of alerts.
#[derive(Default)]
pub(crate) struct Settings {
    rules: Vec<Rule>,
    without_defaults: bool,
    destinations: Vec<Box<dyn Destination>>,
    /// The first thing that was wrong.
    error: Option<BuildError>,
}

/// The alerts of a monitor.
#[derive(Debug)]
pub(crate) struct Alerting {
    alerts: Mutex<Alerts>,
    deliveries: Vec<Delivery>,
}

impl Builder {
    /// Adds a rule, which is evaluated from now on and whose state `GET alerts` shows. One with the name of a
    /// [default rule](Rule::defaults) takes its place.
    ///
    /// ```
    /// use metrics_core::alert::{Comparison, Metric, Rule, Scope};
    /// let slow = Rule::new("slow_orders", Metric::P99, Comparison::Above, 0.5); // seconds
    /// let metrics = metrics_actix::Metrics::builder("orders")
    ///     .alert(slow.clear(0.4).min_calls(20).scope(Scope::Route("/orders/{id}".to_owned())))
    ///     .build()?;
    /// # Ok::<(), metrics_actix::BuildError>(())
    /// ```
    pub fn alert(mut self, rule: Rule) -> Self {
        self.alerts.rules.push(rule);
        self
    }

    /// Leaves out the [default rules](Rule::defaults); default: they are evaluated.
    pub fn without_default_alerts(mut self) -> Self {
        self.alerts.without_defaults = true;
        self
    }

    /// Adds rules as [`rules_from_toml`](metrics_export::alert::rules_from_toml) reads them.
    #[cfg(feature = "alert-toml")]
    pub fn alerts_toml(mut self, toml: &str) -> Self {
        match metrics_export::alert::rules_from_toml(toml) {
            Ok(rules) => self.alerts.rules.extend(rules),
            Err(error) => self.alerts.refuse(BuildError::AlertsToml { reason: error.to_string() }),
        }
        self
    }

    /// Has notices of alerts written to the log, under the target `metrics::alerts`; default: they go nowhere.
    #[cfg(feature = "alert-log")]
    pub fn alert_log(self) -> Self {
        self.alert_destination(metrics_export::alert::Log::new())
    }

    /// Has notices of alerts posted to this `http` URL as a [webhook](metrics_export::alert::Webhook), such as Slack takes;
    /// default: they go nowhere. An `https` URL needs the feature `tls`. For a timeout, headers or a proxy, pass a
    /// [`Webhook::with_http`](metrics_export::alert::Webhook::with_http) to [`Builder::alert_destination`].
    #[cfg(feature = "alert-webhook")]
    pub fn alert_webhook(mut self, url: impl AsRef<str>) -> Self {
        let webhook = metrics_export::alert::Webhook::new(url);
        self.alerts.add(webhook);
        self
    }

    /// Has alerts posted to the [Alertmanager](metrics_export::alert::Alertmanager) at this `http` URL, such as
    /// `http://127.0.0.1:9093`; default: they go nowhere.
    #[cfg(feature = "alertmanager")]
    pub fn alertmanager(mut self, url: impl AsRef<str>) -> Self {
        let alertmanager = metrics_export::alert::Alertmanager::new(url);
        self.alerts.add(alertmanager);
        self
    }

    /// Has notices of alerts sent to a destination of your own, by a thread of its own; default: they go nowhere.
    pub fn alert_destination(mut self, destination: impl Destination) -> Self {
        self.alerts.destinations.push(Box::new(destination));
        self
    }
}

impl Settings {
    /// Adds a destination, or why it was not built.
    #[cfg(any(feature = "alert-webhook", feature = "alertmanager"))]
    fn add(&mut self, destination: Result<impl Destination, InvalidSetting>) {
        match destination {
            Ok(destination) => self.destinations.push(Box::new(destination)),
            Err(error) => self.refuse(error.into()),
        }
    }

    #[cfg(any(feature = "alert-toml", feature = "alert-webhook", feature = "alertmanager"))]
    fn refuse(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }

    /// Starts the deliveries.
    pub(crate) fn build(self, service: &Service) -> Result<Alerting, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut rules = if self.without_defaults { Vec::new() } else { Rule::defaults() };
        rules.retain(|default| self.rules.iter().all(|rule| rule.name != default.name));
        rules.extend(self.rules);
        Ok(Alerting {
            alerts: Mutex::new(Alerts::new(rules)?),
            deliveries: self
                .destinations
                .into_iter()
                .map(|destination| Delivery::start(destination, service).map_err(BuildError::from))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Alerting {
    /// Evaluates the rules that are due, and leaves their notices to the deliveries.
    pub(crate) fn evaluate(&self, history: &History) {
        let mut alerts = self.lock();
        let now = Moment::now();
        let notices = alerts.evaluate(now, history);
        for delivery in &self.deliveries {
            delivery.tell(now, &notices, || alerts.firing());
        }
    }

    /// The states of all rules, those that fire first.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.lock().alerts()
    }

    /// The answer of `GET alerts`.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let alerts = self.lock();
        let destinations = self.deliveries.iter().map(Delivery::counts).collect();
        answer::success(AlertsBody::new(&alerts.alerts(), alerts.rules(), destinations))
    }

    /// Lets the deliveries try what waits once more, and end.
    pub(crate) fn stop(&self) {
        self.deliveries.iter().for_each(Delivery::stop);
    }

    /// Whether the deliveries have ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.deliveries.iter().all(Delivery::is_finished)
    }

    fn lock(&self) -> MutexGuard<'_, Alerts> {
        // A panic while it is locked is a bug of ours; the states are no worse for it.
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use metrics_core::alert::{Comparison, Metric};

    use crate::Metrics;

    use super::*;

    fn rules(builder: Builder) -> Vec<(String, f64)> {
        let alerts = builder.build().unwrap().alerts();
        alerts.into_iter().map(|alert| (alert.rule.name.clone(), alert.rule.threshold)).collect()
    }

    fn refused(builder: impl FnOnce(Builder) -> Builder) -> String {
        builder(Metrics::builder("test")).build().unwrap_err().to_string()
    }

    #[test]
    fn the_default_rules_are_there_unless_they_are_left_out_or_replaced() {
        let errors = || Rule::new("errors", Metric::Errors, Comparison::AtLeast, 3.0);
        let named = |rules: Vec<(String, f64)>| rules.into_iter().find(|(name, _)| name == "errors");
        let new = || Metrics::builder("test");
        assert_eq!(rules(new()).len(), 4);
        assert_eq!(rules(new().without_default_alerts()), []);
        assert_eq!(rules(new().alert(errors())).len(), 4);
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
        #[cfg(not(feature = "tls"))]
        assert_eq!(
            refused(|b| b.alert_webhook("https://example.com/")),
            "alert_webhook: `https` needs the cargo feature `tls`, or an `http` proxy"
        );
        let error = refused(|b| b.alertmanager("127.0.0.1:9093"));
        assert!(error.starts_with("alertmanager: the URL "), "{error}");
    }
}
