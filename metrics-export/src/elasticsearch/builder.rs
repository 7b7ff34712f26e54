//! The settings of an exporter to Elasticsearch.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use metrics_core::InvalidSetting;

use super::exporter::Elasticsearch;
use crate::ecs::Documents;
use crate::environment::Variables;
use crate::http::HttpOptions;
use crate::push::PushSettings;
use crate::secret::Secret;

/// Builds an [`Elasticsearch`].
///
/// ```
/// use metrics_export::elasticsearch::Elasticsearch;
/// let elasticsearch = Elasticsearch::builder("http://127.0.0.1:9200")
///     .data_stream("logs-http_service-prod")
///     .api_key("a key of yours")
///     .build()?;
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `build`"]
pub struct ElasticsearchBuilder {
    url: Secret,
    data_stream: String,
    authorization: Option<Secret>,
    max_windows: usize,
    max_errors: usize,
    top_endpoints: usize,
    http: HttpOptions,
}

impl Elasticsearch {
    /// Creates a builder for an exporter to the Elasticsearch or OpenSearch at this URL, such as
    /// `http://127.0.0.1:9200`.
    pub fn builder(url: impl Into<Secret>) -> ElasticsearchBuilder {
        ElasticsearchBuilder {
            url: url.into(),
            data_stream: "logs-http_service-default".to_owned(),
            authorization: None,
            max_windows: 60,
            max_errors: 1_000,
            top_endpoints: 100,
            http: HttpOptions::default(),
        }
    }
}

impl ElasticsearchBuilder {
    /// Sets the data stream or the index to write to; default: `logs-http_service-default`.
    pub fn data_stream(mut self, name: impl Into<String>) -> Self {
        self.data_stream = name.into();
        self
    }

    /// Sets an API key, encoded as Elasticsearch shows it; default: none.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.authorization = Some(format!("ApiKey {}", key.into().expose()).into());
        self
    }

    /// Sets a user and a password, instead of an API key; default: none.
    pub fn basic(mut self, user: &str, password: impl Into<Secret>) -> Self {
        let pair = STANDARD.encode(format!("{user}:{}", password.into().expose()));
        self.authorization = Some(format!("Basic {pair}").into());
        self
    }

    /// Sets the maximum number of waiting windows, at least 2; default: 60. Further ones are merged into the last. A
    /// window that was tried never changes, so its documents keep their ids.
    pub fn max_windows(mut self, windows: usize) -> Self {
        self.max_windows = windows.max(2);
        self
    }

    /// Sets the maximum number of waiting errors; default: 1,000. Beyond that, the oldest are dropped and counted.
    pub fn max_errors(mut self, errors: usize) -> Self {
        self.max_errors = errors;
        self
    }

    /// Sets how many of the busiest endpoints have a summary in each window; default: 100.
    pub fn top_endpoints(mut self, endpoints: usize) -> Self {
        self.top_endpoints = endpoints;
        self
    }

    /// Sets interval, timeout, compression, proxy and the like; defaults: see [`HttpOptions`].
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Builds the exporter. A proxy in the environment that cannot be used turns it [off](crate::push::Exporter::off).
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid; the error says what is allowed.
    pub fn build(self) -> Result<Elasticsearch, InvalidSetting> {
        self.build_with(Variables::new(&crate::environment::variable, false))
    }

    fn build_with(self, variables: Variables<'_>) -> Result<Elasticsearch, InvalidSetting> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let is_first = |c: char| c.is_ascii_alphanumeric();
        let name = &self.data_stream;
        if !name.starts_with(is_first) || name.len() > 200 || !name.chars().all(is_allowed) {
            let allowed = "up to 200 lowercase letters, digits and ._-, starting with a letter or digit";
            return Err(InvalidSetting::new("data_stream", format!("{name:?}"), allowed));
        }
        // Only the parts of the answer that are read.
        let filter = "filter_path=errors,items.create.status,items.create.error.type";
        let url = format!("{}/{name}/_bulk?{filter}", self.url.expose().trim_end_matches('/'));
        let mut client = self.http.client("url", &url, 0, &variables)?;
        if let Some(authorization) = &self.authorization {
            let invalid = || InvalidSetting::secret("api_key", "visible ASCII characters");
            client = client.header("authorization", authorization.expose()).ok_or_else(invalid)?;
        }
        let settings = PushSettings {
            max_windows: self.max_windows,
            max_errors: self.max_errors,
            ..PushSettings::default()
        };
        Ok(Elasticsearch {
            client: variables.finish("elasticsearch").map_or(Ok(client), Err),
            documents: Documents::new(self.top_endpoints),
            gzip: self.http.gzip.unwrap_or(true),
            settings: settings.with_http(&self.http),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::fixed;
    use crate::push::Exporter;

    fn builder() -> ElasticsearchBuilder {
        Elasticsearch::builder("http://hunter2:hunter2@127.0.0.1:9200/")
    }

    #[test]
    fn no_secret_is_shown() {
        let options = HttpOptions::new().proxy("http://a:hunter2@b:1");
        let builder = builder().api_key("hunter2").basic("elastic", "hunter2").http(options);
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
        let error = builder.api_key("hunter2\n").build().unwrap_err().to_string();
        assert_eq!(error, "api_key is invalid; allowed: visible ASCII characters");
    }

    #[test]
    fn an_unusable_proxy_in_the_environment_keeps_the_exporter_off_unless_it_is_not_used() {
        let off = |url: &str, proxy: &str| {
            let variables = [("HTTP_PROXY", proxy)];
            let built = Elasticsearch::builder(url).build_with(Variables::new(&fixed(&variables), false));
            built.unwrap().off().map(str::to_owned)
        };
        let said = off("http://elastic:9200", "socks5://a:hunter2@b:1").unwrap();
        assert!(said.contains("proxy") && !said.contains("hunter2"), "{said}");
        assert_eq!(off("http://elastic:9200", ""), None);
        assert_eq!(off("http://127.0.0.1:9200", "socks5://a:1"), None);
    }

    #[test]
    fn an_invalid_name_of_a_data_stream_is_rejected_with_what_is_allowed() {
        for name in ["", "Logs", "_bulk", "a/b", "a?b", &"x".repeat(201)] {
            let error = builder().data_stream(name).build().unwrap_err().to_string();
            assert!(error.contains("allowed: up to 200 lowercase letters, digits"), "{error}");
        }
    }
}
