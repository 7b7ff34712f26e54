//! What a member of a fleet can be told.

use std::fmt;
use std::time::Duration;

use metrics_core::Registry;

use super::address::{Address, AddressError};

/// What a member of a fleet is told: where the Redis is, and who it is itself.
///
/// ```
/// use metrics_export::fleet::redis::Settings;
/// let settings = Settings::new("redis://127.0.0.1:6379/0")?.instance("orders-7").version("1.4.2");
/// # Ok::<(), metrics_export::fleet::redis::AddressError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Settings {
    pub(super) address: Address,
    pub(super) service: String,
    pub(super) instance: String,
    pub(super) version: String,
    pub(super) prefix: String,
    pub(super) interval: Duration,
    pub(super) retention: Duration,
    pub(super) window_retention: Duration,
    pub(super) timeout: Duration,
    pub(super) max_instances: usize,
    pub(super) max_significant_digits: u8,
}

/// The most instances that can be read.
pub(super) const MAX_INSTANCES: usize = 10_000;

/// A setting that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; allowed: {allowed}")]
pub struct SettingsError {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl Settings {
    /// The Redis at this address: `redis://[user:password@]host[:port][/database]`, and `rediss` for TLS with the feature
    /// `redis-tls`; `redis+cluster://host:port,host:port` with the feature `redis-cluster`;
    /// `redis+sentinel://host:port,host:port/master[/database]`.
    ///
    /// # Errors
    ///
    /// When it is no such address.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        Ok(Self {
            address: Address::parse(address)?,
            service: "service".to_owned(),
            instance: std::env::var("HOSTNAME")
                .ok()
                .filter(|name| valid(name))
                .unwrap_or("instance".to_owned()),
            version: String::new(),
            prefix: "metrics".to_owned(),
            interval: Duration::from_secs(10),
            retention: Duration::from_secs(86_400),
            window_retention: Duration::from_secs(7_200),
            timeout: Duration::from_secs(1),
            max_instances: 2_000,
            max_significant_digits: 3,
        })
    }

    /// Trusts the authorities of these certificates in PEM, and no others; default: those that the system trusts. For `rediss`
    /// addresses whose server has a certificate of a private authority.
    ///
    /// # Errors
    ///
    /// When there is no certificate in it, or the address is one without TLS.
    #[cfg(feature = "redis-tls")]
    pub fn trusted_authorities(mut self, pem: &[u8]) -> Result<Self, AddressError> {
        self.address.trust(pem)?;
        Ok(self)
    }

    /// The service that this is an instance of; default: `service`.
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// What this instance is called: 1 to 64 letters, digits and `-._`; default: the environment's `HOSTNAME`, or else
    /// `instance`. The time of its start is added, so that a restarted instance is another one.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = name.into();
        self
    }

    /// The version of the service, to be shown; default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// What all keys begin with; default: `metrics`. 1 to 64 letters, digits and `-._:{}`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often the figures are written, 100 ms to 1 min; default: 10 s. All instances of a service need the same. An
    /// instance that is killed takes what it counted since its last write with it.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long the figures of an instance are kept after its last write, 10 min to 30 days; default: 24 h.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How long connecting, sending and receiving may take, each, 10 ms to 60 s; default: 1 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many instances are read, those that were seen last, 1 to 10,000; default: 2,000.
    pub fn max_instances(mut self, instances: usize) -> Self {
        self.max_instances = instances;
        self
    }

    /// How many significant digits the histograms keep that this instance writes, 1 to 3, unless it counts with fewer; default: 3. With
    /// 1, percentiles of a fleet are right to within 6.25 % instead of 0.79 %, and busy instances take half the room and a third of
    /// the time to read. Those of a fleet are as precise as the least precise of its instances.
    pub fn max_significant_digits(mut self, digits: u8) -> Self {
        self.max_significant_digits = digits;
        self
    }

    pub(super) fn check(&self, registry: &Registry) -> Result<(), SettingsError> {
        let refused = |field, value: String, allowed| Err(SettingsError { field, value, allowed });
        // What is over the most of a report would be in no report.
        let max_series = registry.snapshot().health().max_series;
        if max_series > 19_000 {
            return refused("max_series of the registry", max_series.to_string(), "1 to 19000 in a fleet");
        }
        if !valid(&self.instance) {
            return refused("instance", format!("{:?}", self.instance), "1 to 64 letters, digits and -._");
        }
        let prefix = |c: char| c.is_ascii_alphanumeric() || "-._:{}".contains(c);
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.chars().all(prefix) {
            return refused("prefix", format!("{:?}", self.prefix), "1 to 64 letters, digits and -._:{}");
        }
        if self.version.len() > 64 {
            return refused("version", format!("{:?}", self.version), "up to 64 bytes");
        }
        let seconds = Duration::from_secs;
        for (field, value, (from, to), allowed) in [
            ("interval", self.interval, (Duration::from_millis(100), seconds(60)), "100 ms to 1 min"),
            ("retention", self.retention, (seconds(600), seconds(30 * 86_400)), "10 min to 30 days"),
            ("timeout", self.timeout, (Duration::from_millis(10), seconds(60)), "10 ms to 60 s"),
        ] {
            if !(from..=to).contains(&value) {
                return refused(field, format!("{value:?}"), allowed);
            }
        }
        if !(1..=MAX_INSTANCES).contains(&self.max_instances) {
            return refused("max_instances", self.max_instances.to_string(), "1 to 10000");
        }
        if !(1..=3).contains(&self.max_significant_digits) {
            return refused("max_significant_digits", self.max_significant_digits.to_string(), "1 to 3");
        }
        Ok(())
    }
}

fn valid(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

/// Without the address, which can hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("service", &self.service)
            .field("instance", &self.instance)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_is_refused_with_what_is_allowed() {
        let refused = |change: fn(Settings) -> Settings| {
            let settings = change(Settings::new("redis://:hunter2@a").unwrap());
            settings.check(&Registry::new()).unwrap_err().to_string()
        };
        assert_eq!(
            refused(|s| s.instance("a b")),
            "instance is \"a b\"; allowed: 1 to 64 letters, digits and -._"
        );
        assert_eq!(refused(|s| s.interval(Duration::ZERO)), "interval is 0ns; allowed: 100 ms to 1 min");
        assert_eq!(refused(|s| s.max_instances(0)), "max_instances is 0; allowed: 1 to 10000");
        assert_eq!(refused(|s| s.max_significant_digits(4)), "max_significant_digits is 4; allowed: 1 to 3");
        let settings = Settings::new("redis://:hunter2@a").unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.check(&Registry::new()), Ok(()));
        let large = Registry::builder().max_series(19_001).build().unwrap();
        let error = settings.check(&large).unwrap_err().to_string();
        assert_eq!(error, "max_series of the registry is 19001; allowed: 1 to 19000 in a fleet");
    }
}
