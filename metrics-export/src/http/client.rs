//! The blocking client: a POST, and its answer.

use std::fmt;
use std::time::Duration;

use metrics_core::InvalidSetting;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::reason;
use super::response::HttpResponse;
use super::url::{check, without_login};

/// How long an idle connection is kept: from one POST to the next in a row.
const MAX_IDLE: Duration = Duration::from_secs(2);

/// How to connect, before the settings that all clients share.
pub(super) type Config = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

/// Posts to one URL.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    headers: HeaderMap,
}

impl Client {
    /// A client for a URL, which `field` was set to.
    pub(super) fn new(field: &'static str, url: &str, config: Config) -> Result<Self, InvalidSetting> {
        check(field, url)?;
        let (url, login) = without_login(field, url)?;
        let headers = login.map(|login| (header::AUTHORIZATION, login)).into_iter().collect();
        let agent = config
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("metrics-export/", env!("CARGO_PKG_VERSION")))
            .max_idle_age(MAX_IDLE)
            .build()
            .into();
        Ok(Self { agent, url, headers })
    }

    /// Adds a header, whose value is a secret; `None` if name or value are not allowed in a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        self.headers.insert(HeaderName::try_from(name).ok()?, value);
        Some(self)
    }

    /// Posts a body. The error does not repeat the URL.
    pub(crate) fn post(
        &self,
        content_type: &str,
        encoding: Option<&str>,
        body: &[u8],
        timeout: Duration,
    ) -> Result<HttpResponse, String> {
        if timeout.is_zero() {
            return Err("no time was left".to_owned());
        }
        let mut request = self.agent.post(&self.url).content_type(content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(encoding) = encoding {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        let sent = request.config().timeout_global(Some(timeout)).build().send(body);
        let response = sent.map_err(|error| reason(&error, timeout))?;
        Ok(HttpResponse::read(response, timeout))
    }
}

impl fmt::Debug for Client {
    /// Without URL and headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_shows_neither_its_url_nor_its_headers() {
        let url = "http://user:hunter2@127.0.0.1:9093/hunter2";
        let client = Client::new("url", url, ureq::Agent::config_builder()).unwrap();
        let client = client.header("x-api-key", "hunter2").unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        assert!(client.clone().header("x api key", "").is_none());
        assert!(client.header("x-api-key", "hunter2\n").is_none());
    }
}
