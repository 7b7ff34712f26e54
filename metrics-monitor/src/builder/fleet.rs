//! What the builder takes about a fleet: several instances of a service, shown as one.

use std::num::NonZeroU64;

use metrics_core::Registry;
use metrics_core::alert::Rule;
use metrics_export::fleet::Fingerprints;
use metrics_export::fleet::redis::{FleetSettings, Member};

use super::{Builder, Settings};
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
}

impl Settings {
    /// Starts the member, if there are settings for one.
    pub(super) fn start_fleet(
        &mut self,
        registry: &Registry,
        fingerprints: Fingerprints,
    ) -> Result<Option<Member>, BuildError> {
        let Some(settings) = self.fleet.take() else { return Ok(None) };
        let settings = settings.fingerprints(fingerprints);
        Ok(Some(Member::start(registry.clone(), &self.service, settings)?))
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
    use super::*;

    #[test]
    fn a_setting_that_no_fleet_can_use_is_refused_by_its_name() {
        let settings = FleetSettings::new("redis://127.0.0.1:6379/0").unwrap();
        let error = Builder::new("orders").instance("not a name").fleet(settings).build().unwrap_err();
        let BuildError::Setting(refused) = &error else { panic!("{error:?}") };
        assert_eq!((refused.field(), refused.value()), ("instance", Some("\"not a name\"")));
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
