//! What the builder takes about a fleet: several instances of a service, shown as one.

use metrics_core::Registry;
use metrics_export::fleet::redis::{FleetSettings, Member};

use super::{Builder, Settings};
use crate::build_error::BuildError;

impl<H> Builder<H> {
    /// Joins a fleet: this instance writes its figures to a Redis, and `GET fleet/summary`, `fleet/routes`,
    /// `fleet/consumers` and `fleet/instances` show those of all instances of the service; default: it stands alone. A
    /// registry joins once in a process.
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
    pub(super) fn start_fleet(&mut self, registry: &Registry) -> Result<Option<Member>, BuildError> {
        let Some(settings) = self.fleet.take() else { return Ok(None) };
        Ok(Some(Member::start(registry.clone(), &self.service, settings)?))
    }
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
}
