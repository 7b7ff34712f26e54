//! What identifies an instance of a fleet.

use std::time::SystemTime;

use metrics_core::InvalidSetting;

use super::keys;
use crate::environment::Variables;
use crate::service::Service;

/// The names that an instance may have.
const ALLOWED: &str = "1 to 64 letters, digits and -._ in a fleet";

/// The service and the name of an instance, checked for use in keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) service: String,
    pub(super) instance: String,
    pub(super) version: String,
}

impl Identity {
    /// Without a name, the instance is called like the environment's `HOSTNAME`, or else `instance`.
    pub(super) fn of(service: &Service) -> Result<Self, InvalidSetting> {
        service.check()?;
        let instance = match &service.instance {
            Some(name) if is_valid(name) => name.clone(),
            Some(name) => {
                return Err(InvalidSetting::new("instance", format!("{name:?}"), ALLOWED));
            }
            None => {
                let variables = Variables::new(&crate::environment::variable, true);
                let name = |text: &str| is_valid(text).then(|| text.to_owned());
                let host = variables.parsed("HOSTNAME", ALLOWED, name);
                variables.finish("fleet");
                host.unwrap_or_else(|| "instance".to_owned())
            }
        };
        let version = service.version.clone().unwrap_or_default();
        Ok(Self { service: service.name.clone(), instance, version })
    }

    /// The name under which an instance writes: with the time of its start, so that a restarted instance is another
    /// one.
    pub(super) fn id(&self, started: SystemTime) -> String {
        keys::id(&self.instance, started)
    }
}

fn is_valid(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_needs_a_name_that_fits_into_a_key() {
        let named = Service::new("a service").instance("orders-7").version("1.2");
        let identity = Identity::of(&named).unwrap();
        assert_eq!(
            (&*identity.service, &*identity.instance, &*identity.version),
            ("a service", "orders-7", "1.2")
        );
        assert!(is_valid(&Identity::of(&Service::new("a")).unwrap().instance));
        let refused =
            |instance: &str| Identity::of(&Service::new("a").instance(instance)).unwrap_err().to_string();
        assert_eq!(
            refused("a b"),
            "instance is \"a b\"; allowed: 1 to 64 letters, digits and -._ in a fleet"
        );
        assert!(refused(&"x".repeat(65)).ends_with("in a fleet"));
    }
}
