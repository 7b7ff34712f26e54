//! The settings of a fleet: the address of its Redis, and how often and how long figures are kept there.

use std::fmt;
use std::time::Duration;

use metrics_core::{InvalidSetting, Registry};

use super::address::Address;
use crate::fleet::instance::Fingerprints;

/// The most instances that can be read.
pub(super) const MAX_INSTANCES: usize = 10_000;

/// The most endpoints that a registry in a fleet may have. A report holds a few more.
const MAX_SERIES: u64 = 19_000;

/// The settings of a fleet: the address of its Redis, and how often and how long figures are kept there.
///
/// ```
/// use std::time::Duration;
/// use metrics_export::fleet::redis::FleetSettings;
/// let settings = FleetSettings::new("redis://127.0.0.1:6379/0")?.interval(Duration::from_secs(5));
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct FleetSettings {
    pub(super) address: Address,
    pub(super) prefix: String,
    pub(super) interval: Duration,
    pub(super) retention: Duration,
    pub(super) window_retention: Duration,
    pub(super) timeout: Duration,
    pub(super) max_instances: usize,
    pub(super) max_significant_digits: u8,
    pub(super) fingerprints: Fingerprints,
    #[cfg(feature = "redis-tls-no-provider")]
    certificates: redis::TlsCertificates,
}

impl FleetSettings {
    /// Creates the settings of a fleet that shares the Redis at this address:
    /// `redis://[user:password@]host[:port][/database]`, or `rediss` for TLS with the feature `redis-tls`;
    /// `redis+cluster://host:port,host:port` with the feature `redis-cluster`;
    /// `redis+sentinel://[user:password@]host:port,host:port/master[/database]`, with the login of the master; set that
    /// of the Sentinels with [`sentinel_login`](Self::sentinel_login).
    ///
    /// # Errors
    ///
    /// Returns an error if the address has none of these forms. The error does not repeat it, since it may hold a
    /// password.
    pub fn new(address: &str) -> Result<Self, InvalidSetting> {
        Ok(Self {
            address: Address::parse(address)?,
            prefix: "metrics".to_owned(),
            interval: Duration::from_secs(10),
            retention: Duration::from_secs(86_400),
            window_retention: Duration::from_secs(7_200),
            timeout: Duration::from_secs(1),
            max_instances: 2_000,
            max_significant_digits: 3,
            fingerprints: Fingerprints::default(),
            #[cfg(feature = "redis-tls-no-provider")]
            certificates: redis::TlsCertificates { client_tls: None, root_cert: None },
        })
    }

    /// Trusts the authorities of these certificates in PEM, and no others; default: those that the system trusts. For a
    /// `rediss` server whose certificate comes from a private authority.
    ///
    /// # Errors
    ///
    /// Returns an error if the PEM holds no certificate, or the address is not a `rediss` address.
    #[cfg(feature = "redis-tls-no-provider")]
    pub fn trusted_authorities(mut self, pem: &[u8]) -> Result<Self, InvalidSetting> {
        let setting = "trusted_authorities";
        check_certificate(setting, pem)?;
        self.certificates.root_cert = Some(pem.to_vec());
        self.address.use_certificates(setting, &self.certificates)?;
        Ok(self)
    }

    /// Authenticates to a `rediss` server with this certificate and its `key`, both in PEM; default: none. Redis asks
    /// for one unless it is set to `tls-auth-clients no`.
    ///
    /// # Errors
    ///
    /// Returns an error if the PEM holds no certificate or no key, or the address is not a `rediss` address. The error
    /// repeats neither.
    #[cfg(feature = "redis-tls-no-provider")]
    pub fn client_certificate(mut self, certificate: &[u8], key: &[u8]) -> Result<Self, InvalidSetting> {
        use rustls::pki_types::PrivateKeyDer;
        use rustls::pki_types::pem::PemObject;
        let setting = "client_certificate";
        check_certificate(setting, certificate)?;
        if PrivateKeyDer::from_pem_slice(key).is_err() {
            return Err(InvalidSetting::secret(setting, "a private key in PEM"));
        }
        let client = redis::ClientTlsConfig { client_cert: certificate.to_vec(), client_key: key.to_vec() };
        self.certificates.client_tls = Some(client);
        self.address.use_certificates(setting, &self.certificates)?;
        Ok(self)
    }

    /// Logs in to the Sentinels of a `redis+sentinel` address; the login in the address is for the master only.
    /// Default: no login. An empty user is the default user, for Sentinels with `requirepass`.
    ///
    /// # Errors
    ///
    /// Returns an error if the address names no Sentinels, or the password is empty. The error does not repeat it.
    pub fn sentinel_login(mut self, user: &str, password: &str) -> Result<Self, InvalidSetting> {
        self.address.log_in_to_sentinels(user, password)?;
        Ok(self)
    }

    /// Sets the prefix of all keys, 1 to 64 letters, digits and `-._:{}`; default: `metrics`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how often figures are written, 100 ms to 1 min; default: 10 s. Use the same interval for all instances of a
    /// service. An instance that is killed loses what it counted since its last write.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how long the figures of an instance are kept after its last write, 10 min to 30 days; default: 24 h.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the time limit for connecting, for sending and for receiving, each 10 ms to 60 s; default: 1 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many instances are read, 1 to 10,000; default: 2,000. Those that wrote last come first.
    pub fn max_instances(mut self, instances: usize) -> Self {
        self.max_instances = instances;
        self
    }

    /// Sets the maximum number of significant digits of the histograms that this instance writes, 1 to 3; default: 3.
    /// An instance that records with fewer digits writes fewer.
    ///
    /// With 1 digit, percentiles of the fleet are within 6.25 % instead of 0.79 %; busy instances take half the memory
    /// in Redis and a third of the time to read. A fleet is as precise as its least precise instance.
    pub fn max_significant_digits(mut self, digits: u8) -> Self {
        self.max_significant_digits = digits;
        self
    }

    /// Sets fingerprints of settings that should be the same at all instances; default: none. `fleet/instances` names
    /// the instances that differ.
    pub fn fingerprints(mut self, fingerprints: Fingerprints) -> Self {
        self.fingerprints = fingerprints;
        self
    }

    /// Checks all settings, and that the registry's endpoints fit into a report.
    pub(super) fn check(&self, registry: &Registry) -> Result<(), InvalidSetting> {
        // Endpoints past the limit of a report would be missing from it.
        let max_series = registry.snapshot().health().max_series;
        if max_series > MAX_SERIES {
            return Err(InvalidSetting::new("max_series", max_series, "1 to 19000 in a fleet"));
        }
        #[cfg(all(feature = "redis-tls-no-provider", not(feature = "redis-tls")))]
        if self.address.is_tls() && rustls::crypto::CryptoProvider::get_default().is_none() {
            let problem = "the fleet's address: rediss needs a crypto provider; install rustls's default \
                           provider before `build`, or enable the cargo feature `redis-tls`";
            return Err(InvalidSetting::sentence("address", problem.to_owned()));
        }
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._:{}".contains(c);
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.chars().all(is_allowed) {
            let allowed = "1 to 64 letters, digits and -._:{}";
            return Err(InvalidSetting::new("prefix", format!("{:?}", self.prefix), allowed));
        }
        let seconds = Duration::from_secs;
        for (field, value, (from, to), allowed) in [
            ("interval", self.interval, (Duration::from_millis(100), seconds(60)), "100 ms to 1 min"),
            ("retention", self.retention, (seconds(600), seconds(30 * 86_400)), "10 min to 30 days"),
            ("timeout", self.timeout, (Duration::from_millis(10), seconds(60)), "10 ms to 60 s"),
        ] {
            if !(from..=to).contains(&value) {
                return Err(InvalidSetting::new(field, format!("{value:?}"), allowed));
            }
        }
        if !(1..=MAX_INSTANCES).contains(&self.max_instances) {
            return Err(InvalidSetting::new("max_instances", self.max_instances, "1 to 10000"));
        }
        if !(1..=3).contains(&self.max_significant_digits) {
            return Err(InvalidSetting::new("max_significant_digits", self.max_significant_digits, "1 to 3"));
        }
        Ok(())
    }
}

#[cfg(feature = "redis-tls-no-provider")]
fn check_certificate(setting: &'static str, pem: &[u8]) -> Result<(), InvalidSetting> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    if CertificateDer::pem_slice_iter(pem).any(|found| found.is_ok()) {
        return Ok(());
    }
    Err(InvalidSetting::secret(setting, "PEM with at least one certificate"))
}

/// Without the address, which may hold a password.
impl fmt::Debug for FleetSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetSettings")
            .field("prefix", &self.prefix)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_is_refused_with_what_is_allowed() {
        let refused = |change: fn(FleetSettings) -> FleetSettings| {
            let settings = change(FleetSettings::new("redis://:hunter2@a").unwrap());
            settings.check(&Registry::new()).unwrap_err().to_string()
        };
        assert_eq!(
            refused(|s| s.prefix("a b")),
            "prefix is \"a b\"; allowed: 1 to 64 letters, digits and -._:{}"
        );
        assert_eq!(refused(|s| s.interval(Duration::ZERO)), "interval is 0ns; allowed: 100 ms to 1 min");
        assert_eq!(refused(|s| s.max_instances(0)), "max_instances is 0; allowed: 1 to 10000");
        assert_eq!(refused(|s| s.max_significant_digits(4)), "max_significant_digits is 4; allowed: 1 to 3");
        let settings = FleetSettings::new("redis://:hunter2@a").unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.check(&Registry::new()), Ok(()));
        let large = Registry::builder().max_series(19_001).build().unwrap();
        let error = settings.check(&large).unwrap_err().to_string();
        assert_eq!(error, "max_series is 19001; allowed: 1 to 19000 in a fleet");
    }
}
