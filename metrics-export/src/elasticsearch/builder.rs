//! What an exporter to Elasticsearch can be told.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Elasticsearch;
use crate::ecs::{Documents, Service};
use crate::push::{Connection, Secret, Settings, UrlError};

/// Makes an [`Elasticsearch`].
#[derive(Debug, Clone)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    url: Secret,
    service: Service,
    target: String,
    authorization: Option<Secret>,
    gzip: bool,
    interval: Duration,
    timeout: Duration,
    max_windows: usize,
    max_errors: usize,
    top_endpoints: usize,
    connection: Connection,
}

/// A setting that is out of its range. Secrets are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing can be sent to the URL.
    #[error("elasticsearch: {0}")]
    Url(#[from] UrlError),
    /// No data stream or index has this name.
    #[error(
        "data_stream is {name:?}; allowed: small letters, digits, and . _ - but not first, up to 200 of them"
    )]
    DataStream {
        /// The name.
        name: String,
    },
    /// The key, or the user and the password, cannot be sent in a header.
    #[error("api_key is refused; allowed: visible ASCII characters")]
    ApiKey,
}

impl Elasticsearch {
    /// Begins an exporter of a service's documents to an Elasticsearch or OpenSearch, such as `http://127.0.0.1:9200`.
    pub fn builder(url: impl Into<Secret>, service: Service) -> Builder {
        Builder {
            url: url.into(),
            service,
            target: "logs-http_service-default".to_owned(),
            authorization: None,
            gzip: true,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            max_windows: 60,
            max_errors: 1_000,
            top_endpoints: 100,
            connection: Connection::default(),
        }
    }
}

impl Builder {
    /// The data stream, or the index, to write to; default `logs-http_service-default`.
    pub fn data_stream(mut self, name: impl Into<String>) -> Self {
        self.target = name.into();
        self
    }

    /// An API key, encoded as Elasticsearch gives it out; default: none.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.authorization = Some(format!("ApiKey {}", key.into().expose()).into());
        self
    }

    /// A user and a password, in place of an API key; default: none.
    pub fn basic(mut self, user: &str, password: impl Into<Secret>) -> Self {
        let pair = STANDARD.encode(format!("{user}:{}", password.into().expose()));
        self.authorization = Some(format!("Basic {pair}").into());
        self
    }

    /// Whether bodies are compressed; default: they are.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// From one summary to the next; default 10 s. Errors are sent with them.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long an attempt may take; default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Windows that wait at most, 2 or more; default 60. When there are as many, the next one is merged into the last; one
    /// that was tried is never changed, so that its ids stay the same.
    pub fn max_windows(mut self, windows: usize) -> Self {
        self.max_windows = windows.max(2);
        self
    }

    /// Errors that wait at most; default 1,000. The oldest make room, and are counted.
    pub fn max_errors(mut self, errors: usize) -> Self {
        self.max_errors = errors;
        self
    }

    /// Endpoints of which each window has a summary, those with the most calls; default 100.
    pub fn top_endpoints(mut self, endpoints: usize) -> Self {
        self.top_endpoints = endpoints;
        self
    }

    /// A proxy, such as `http://user:password@proxy:3128`; default: what `HTTPS_PROXY` or `HTTP_PROXY`, as the URL is, `ALL_PROXY` and
    /// `NO_PROXY` say.
    pub fn proxy(mut self, url: impl Into<Secret>) -> Self {
        self.connection.proxy = Some(url.into());
        self
    }

    /// The certificates to trust, in PEM; default: those of the web.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.connection.roots = Some(pem.into());
        self
    }

    /// Makes the exporter.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range; the error says what is allowed.
    pub fn build(self) -> Result<Elasticsearch, BuildError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let first = self.target.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !first || self.target.len() > 200 || !self.target.chars().all(allowed) {
            return Err(BuildError::DataStream { name: self.target });
        }
        // All that is read of the answer.
        let filter = "filter_path=errors,items.create.status,items.create.error.type";
        let base = self.url.expose().trim_end_matches('/');
        let mut client = self.connection.client(&format!("{base}/{}/_bulk?{filter}", self.target))?;
        if let Some(authorization) = &self.authorization {
            client = client.header("authorization", authorization.expose()).ok_or(BuildError::ApiKey)?;
        }
        let settings = Settings {
            interval: self.interval,
            timeout: self.timeout,
            max_windows: self.max_windows,
            max_errors: self.max_errors,
            ..Settings::default()
        };
        let documents = Documents::new(self.service, self.top_endpoints);
        Ok(Elasticsearch { client, documents, gzip: self.gzip, settings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> Builder {
        Elasticsearch::builder("http://hunter2:hunter2@127.0.0.1:9200/", Service::new("orders"))
    }

    #[test]
    fn no_secret_is_shown() {
        let builder = builder().api_key("hunter2").basic("elastic", "hunter2").proxy("http://a:hunter2@b:1");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
        let error = builder.api_key("hunter2\n").build().unwrap_err().to_string();
        assert_eq!(error, "api_key is refused; allowed: visible ASCII characters");
    }

    #[test]
    fn a_name_that_is_no_index_is_refused_with_what_is_allowed() {
        for name in ["", "Logs", "_bulk", "a/b", "a?b", &"x".repeat(201)] {
            let error = builder().data_stream(name).build().unwrap_err().to_string();
            assert!(error.contains("allowed: small letters, digits"), "{error}");
        }
    }
}
