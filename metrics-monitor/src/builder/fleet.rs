//! The builder's settings for a fleet: several instances of a service, shown as one.

use std::num::NonZeroU64;
use std::sync::Arc;

use metrics_core::Registry;
use metrics_core::alert::Rule;
use metrics_core::objective::Objective;
use metrics_export::fleet::Fingerprints;
use metrics_export::fleet::redis::{FleetSettings, Member};

use super::{Builder, Settings};
use crate::background::alerting::Alerting;
use crate::background::fleet_alerts::{FleetAlerts, FleetRules};
use crate::build_error::BuildError;
use crate::policy::consumers::Consumers;

/// # Fleet
impl<H> Builder<H> {
    /// Joins a fleet: this instance writes its figures to Redis, and `GET fleet/summary`, `fleet/routes`,
    /// `fleet/consumers`, `fleet/versions` and `fleet/instances` show the totals of all instances of the service;
    /// default: no fleet. A registry can join only once per process.
    ///
    /// ```
    /// use metrics_monitor::fleet::FleetSettings;
    /// let settings = FleetSettings::new("redis://127.0.0.1:6379/0")?;
    /// let monitor = metrics_monitor::Builder::new("orders").instance("orders-7").fleet(settings).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fleet(mut self, settings: FleetSettings) -> Self {
        self.settings.fleet = Some(settings);
        self
    }

    /// Adds a rule about all instances together; default: none. One instance evaluates it and sends its notices: see
    /// `docs/fleet.md`. Give all instances the same rules and destinations.
    ///
    /// ```
    /// use metrics_core::alert::{Comparison, Metric, Rule, Scope};
    /// use metrics_monitor::fleet::FleetSettings;
    /// let errors = Rule::new("errors", Metric::ErrorRate, Comparison::Above, 5.0); // per cent
    /// let canary = Rule::new("canary", Metric::P99, Comparison::Above, 1.5); // times that of the rest
    /// let monitor = metrics_monitor::Builder::new("orders")
    ///     .version("1.3.0")
    ///     .instance("orders-7")
    ///     .fleet(FleetSettings::new("redis://127.0.0.1:6379/0")?)
    ///     .fleet_alert(errors.min_calls(100))
    ///     .fleet_alert(canary.scope(Scope::NewestVersion).min_calls(500))
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fleet_alert(mut self, rule: Rule) -> Self {
        self.settings.fleet_rules.push(rule);
        self
    }

    /// Adds an objective of all instances together; default: none. It raises an alert if its budget burns too fast over
    /// both an hour and five minutes; a fleet keeps no longer windows. `GET alerts` shows its budgets over both;
    /// [`Builder::objective`] has the longer windows.
    pub fn fleet_objective(mut self, objective: Objective) -> Self {
        self.settings.fleet_objectives.push(objective);
        self
    }
}

impl Settings {
    /// Starts the member, if there are settings for one.
    pub(super) fn start_fleet(
        &mut self,
        registry: &Registry,
        fingerprints: Fingerprints,
    ) -> Result<Option<Arc<Member>>, BuildError> {
        let Some(settings) = self.fleet.take() else { return Ok(None) };
        let settings = settings.fingerprints(fingerprints);
        Ok(Some(Arc::new(Member::start(registry.clone(), &self.service, settings)?)))
    }

    /// Starts to evaluate the fleet's rules, if there are any.
    pub(super) fn start_fleet_alerts(
        &mut self,
        member: Option<&Arc<Member>>,
        alerting: &Arc<Alerting>,
    ) -> Result<Option<FleetAlerts>, BuildError> {
        let rules = self.take_fleet_rules();
        match member {
            Some(member) if !(rules.rules.is_empty() && rules.objectives.is_empty()) => {
                let alerts = rules.alerts(member.interval())?;
                let (member, alerting) = (Arc::clone(member), Arc::clone(alerting));
                let started =
                    FleetAlerts::start(member, alerts, rules.objectives, alerting, &self.service.name);
                started.map(Some).map_err(BuildError::thread)
            }
            _ => Ok(None),
        }
    }

    /// Rules of this instance, and those of the fleet.
    pub(super) fn with_fleet_rules(&self, rules: &[Rule]) -> Vec<Rule> {
        let burns = self.fleet_objectives.iter().flat_map(Objective::burn_rules);
        rules.iter().chain(&self.fleet_rules).cloned().chain(burns).collect()
    }

    fn take_fleet_rules(&mut self) -> FleetRules {
        let (rules, objectives) = (&mut self.fleet_rules, &mut self.fleet_objectives);
        FleetRules { rules: std::mem::take(rules), objectives: std::mem::take(objectives) }
    }
}

/// Fingerprints of what should be the same at all instances.
pub(super) fn fingerprints(rules: &[Rule], consumers: Option<&Consumers>) -> Fingerprints {
    // In no order, and as text, since a later version of this library may have further fields.
    let mut rules: Vec<_> = rules.iter().map(|rule| format!("{rule:?}")).collect();
    rules.sort();
    let hash = hmac_sha256::Hash::hash(rules.join("\n").as_bytes());
    Fingerprints {
        rules: if rules.is_empty() { None } else { first_bits(&hash) },
        consumer_key: consumers.and_then(|consumers| first_bits(&consumers.key_fingerprint())),
    }
}

fn first_bits(hash: &[u8; 32]) -> Option<NonZeroU64> {
    hash.first_chunk().and_then(|&bits| NonZeroU64::new(u64::from_le_bytes(bits)))
}

#[cfg(test)]
mod tests {
    use metrics_core::alert::{Comparison, Metric};

    use super::*;

    #[test]
    fn a_setting_that_no_fleet_can_use_is_refused_by_its_name() {
        let settings = FleetSettings::new("redis://127.0.0.1:6379/0").unwrap();
        let error = Builder::new("orders").instance("not a name").fleet(settings).build().unwrap_err();
        let BuildError::Setting(refused) = &error else { panic!("{error:?}") };
        assert_eq!((refused.field(), refused.value()), ("instance", Some("\"not a name\"")));
    }

    #[test]
    fn a_key_of_a_history_is_a_plain_name_in_a_fleet_without_a_file() {
        let settings = || FleetSettings::new("redis://127.0.0.1:1/0").unwrap();
        let refused = |builder: Builder| builder.build().unwrap_err().to_string();
        let fleet = || Builder::new("orders").instance("a").fleet(settings());
        assert_eq!(
            refused(Builder::new("orders").history_key("a")),
            "history_key is set without a fleet; allowed: in a fleet, without a history_file"
        );
        assert!(refused(fleet().history_file("x").history_key("a")).starts_with("history_key is set with a"));
        for key in ["", "a b", "a:b", &"x".repeat(65)] {
            let allowed = "; allowed: 1 to 64 letters, digits and -._";
            assert_eq!(refused(fleet().history_key(key)), format!("history_key is {key:?}{allowed}"));
        }
        fleet().history_key("orders-a").build().unwrap();
    }

    #[test]
    fn a_rule_of_a_fleet_needs_a_fleet_and_figures_that_one_has() {
        let rule = |metric| Rule::new("rule", metric, Comparison::AtLeast, 5.0);
        let refused = |builder: Builder| builder.build().unwrap_err().to_string();
        assert_eq!(
            refused(Builder::new("orders").fleet_alert(rule(Metric::Errors))),
            "rules of a fleet is 1 without a fleet; allowed: together with .fleet(..)"
        );
        let fleet = || {
            let settings = FleetSettings::new("redis://127.0.0.1:1/0").unwrap();
            Builder::new("orders").instance("a").fleet(settings)
        };
        let error = refused(fleet().fleet_alert(rule(Metric::WrongTokens)));
        assert!(error.starts_with("rule \"rule\": metric is wrong_tokens; allowed: any other"), "{error}");
        let error = refused(fleet().fleet_objective(Objective::availability(100.0)));
        assert!(error.starts_with("objective \"availability\": target is 100; "), "{error}");
        let monitor =
            fleet().fleet_objective(Objective::availability(99.9)).fleet_alert(rule(Metric::Errors));
        let body = serde_json::to_value(
            monitor.build().unwrap().state.fleet_alerts.as_ref().unwrap().body(|why| why),
        );
        let body = body.unwrap();
        let rules: Vec<_> = body["alerts"].as_array().unwrap().iter().map(|alert| &alert["rule"]).collect();
        assert_eq!(rules, ["availability_burn_1h", "rule"]);
        assert_eq!(body["evaluated_by"], serde_json::Value::Null);
    }

    #[test]
    fn fingerprints_tell_other_rules_and_other_keys_apart_and_nothing_else() {
        let key = |key: &[u8]| Consumers::new(Some("k".to_owned()), None, None, Some(key.to_vec()));
        let of = |rules: &[Rule], consumers: Option<&Consumers>| fingerprints(rules, consumers);
        let [first, second] = [0, 1].map(|place| Rule::defaults().swap_remove(place));
        let (one, other) = (key(b"sixteen bytes or more"), key(b"sixteen bytes or more!"));
        let both = [first.clone(), second.clone()];
        let told = of(&both, Some(&one));
        assert!(told.rules.is_some() && told.consumer_key.is_some());
        assert_eq!(of(&[second, first.clone()], Some(&key(b"sixteen bytes or more"))), told);
        assert_ne!(of(&[first], None).rules, told.rules);
        assert_ne!(of(&both, Some(&other)).consumer_key, told.consumer_key);
        assert_eq!(of(&[], None), Fingerprints::default());
    }
}
