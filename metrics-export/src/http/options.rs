//! The settings that all destinations over HTTP share.

use std::time::Duration;

use metrics_core::InvalidSetting;

use super::client::{Client, Config};
use super::proxy::{Through, proxy};
use crate::environment::Variables;
use crate::secret::Secret;

/// How to reach a destination over HTTP. All HTTP destinations share these settings.
///
/// ```
/// use std::time::Duration;
/// use metrics_export::HttpOptions;
/// let options = HttpOptions::new().interval(Duration::from_secs(30)).proxy("http://user:password@proxy:3128");
/// assert!(!format!("{options:?}").contains("password"));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "pass it to a destination's builder"]
pub struct HttpOptions {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) gzip: Option<bool>,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) proxy: Option<Secret>,
    #[cfg(feature = "tls-no-provider")]
    pub(crate) root_certificates: Option<Vec<u8>>,
}

impl HttpOptions {
    /// Creates options with the defaults of each destination.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time between windows, 10 ms to a day; default: 10 s, or 60 s for OTLP. Alerts are sent at once, so they
    /// reject this setting.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Sets how long one attempt may take, 10 ms to an hour; default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets whether bodies are compressed with gzip; default: yes. Datadog's Agent and alert destinations always get
    /// plain bodies.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = Some(gzip);
        self
    }

    /// Adds a header to each request, such as one with an API key; default: none. Setting it again replaces it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        let name = name.into();
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.headers.push((name, value.into()));
        self
    }

    /// Sets a proxy for all hosts, such as `http://user:password@proxy:3128`.
    ///
    /// Default: the proxy in `HTTP_PROXY`, or `HTTPS_PROXY` for `https` URLs and gRPC, or else in `ALL_PROXY`, unless
    /// `NO_PROXY` has the host. This machine is reached without one. The proxy forwards requests to `http` URLs;
    /// `https` and gRPC go through a tunnel (`CONNECT`), which proxies may only allow for some ports.
    pub fn proxy(mut self, url: impl Into<Secret>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Sets the certificates of the authorities to trust, in PEM; default: those of Mozilla's root program.
    #[cfg(feature = "tls-no-provider")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// The proxy that is set, or else the one that variables name for the URL. One of theirs that cannot be used keeps
    /// the destination off.
    pub(crate) fn proxy_for(
        &self,
        url: &str,
        through: Through,
        variables: &Variables<'_>,
    ) -> Result<Option<ureq::Proxy>, InvalidSetting> {
        match proxy(self.proxy.as_ref(), url, through, &|name| variables.shared(name)) {
            Err(problem) if self.proxy.is_none() => {
                variables.refuse(problem);
                Ok(None)
            }
            proxy => proxy,
        }
    }

    /// A client for the URL that `field` was set to, which keeps up to `kept` connections between POSTs in a row.
    ///
    /// With 0, each POST has its own connection: at one POST per window that costs no more, and no connection is found
    /// dead.
    pub(crate) fn client(
        &self,
        field: &'static str,
        url: &str,
        kept: usize,
        variables: &Variables<'_>,
    ) -> Result<Client, InvalidSetting> {
        let is_https = url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
        let through = if is_https { Through::Tunnel } else { Through::Requests };
        let proxy = self.proxy_for(url, through, variables)?;
        let config = ureq::Agent::config_builder().max_idle_connections(kept);
        let mut client = Client::new(field, url, proxy, self.trusting(config)?)?;
        for (name, value) in &self.headers {
            client = client.header(name, value.expose()).ok_or_else(|| invalid_header(name))?;
        }
        Ok(client)
    }

    #[cfg(not(feature = "tls-no-provider"))]
    fn trusting(&self, config: Config) -> Result<Config, InvalidSetting> {
        Ok(config)
    }

    #[cfg(feature = "tls-no-provider")]
    fn trusting(&self, config: Config) -> Result<Config, InvalidSetting> {
        use ureq::tls::{RootCerts, TlsConfig};
        let Some(pem) = &self.root_certificates else { return Ok(config) };
        let certificates: Vec<_> = certificates(pem).collect();
        if certificates.is_empty() {
            return Err(invalid_certificates());
        }
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build();
        Ok(config.tls_config(tls))
    }
}

#[cfg(feature = "tls-no-provider")]
fn certificates(pem: &[u8]) -> impl Iterator<Item = ureq::tls::Certificate<'static>> {
    use ureq::tls::{PemItem, parse_pem};
    parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    })
}

/// Whether there is any certificate in a text of PEM.
#[cfg(all(feature = "otlp", feature = "tls-no-provider"))]
pub(crate) fn has_certificates(pem: &[u8]) -> bool {
    certificates(pem).next().is_some()
}

/// Rejects a header without repeating its value.
pub(crate) fn invalid_header(name: &str) -> InvalidSetting {
    let allowed = "a header's name, and a value of visible ASCII characters";
    InvalidSetting::secret(format!("header {name:?}"), allowed)
}

/// Rejects root certificates.
#[cfg(feature = "tls-no-provider")]
pub(crate) fn invalid_certificates() -> InvalidSetting {
    InvalidSetting::secret("root_certificates", "one or more certificates in PEM")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Variables<'static> {
        Variables::new(&|_| None, false)
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_rejected_without_its_value() {
        let error = HttpOptions::new().header("x-api-key", "hunter2\n").client("url", "http://a", 0, &none());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("header \"x-api-key\" is invalid; allowed: a header's name"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn the_proxy_is_that_of_the_scheme_in_any_case() {
        let read = crate::environment::tests::fixed(&[("HTTPS_PROXY", "socks5://a:1")]);
        for url in ["https://collector", "HTTPS://collector", "Https://collector"] {
            let variables = Variables::new(&read, false);
            HttpOptions::new().client("url", url, 0, &variables).unwrap();
            assert!(variables.finish("test").is_some_and(|off| off.starts_with("HTTPS_PROXY: ")), "{url}");
        }
    }

    #[test]
    fn a_header_that_is_set_again_replaces_the_first() {
        let options = HttpOptions::new().header("X-A", "1").header("b", "2").header("x-a", "3");
        let names: Vec<_> = options.headers.iter().map(|(name, value)| (&**name, value.expose())).collect();
        assert_eq!(names, [("b", "2"), ("x-a", "3")]);
    }

    #[cfg(feature = "tls-no-provider")]
    #[test]
    fn root_certificates_without_a_certificate_are_rejected() {
        let error = HttpOptions::new()
            .root_certificates("no PEM")
            .client("url", "https://a", 0, &none())
            .unwrap_err();
        assert_eq!(error.field(), "root_certificates");
    }
}
