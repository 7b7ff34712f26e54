//! HTTP for what is sent to others, notices of alerts and windows: a POST, and what was answered.

use std::fmt;
use std::time::Duration;
#[cfg(feature = "_push-http")]
use std::time::SystemTime;

use ureq::http::{HeaderMap, header};

/// The longest answer that is read, in bytes.
#[cfg(feature = "_push-http")]
const MAX_ANSWER: u64 = 16 << 20;

/// A URL that nothing can be sent to. It is not repeated here, since many hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the URL is refused: {reason}; allowed: {ALLOWED}")]
pub struct UrlError {
    reason: &'static str,
}

#[cfg(feature = "_push-http")]
impl UrlError {
    /// That of a proxy that cannot be one.
    pub(crate) fn proxy() -> Self {
        Self { reason: "its proxy is none" }
    }

    /// One that a client cannot take apart.
    #[cfg(feature = "otlp-grpc")]
    pub(crate) fn unreadable() -> Self {
        Self { reason: "it cannot be read" }
    }
}

#[cfg(not(feature = "tls"))]
const ALLOWED: &str = "http://host[:port][/path]";
#[cfg(feature = "tls")]
const ALLOWED: &str = "http://host[:port][/path] or https://host[:port][/path]";

/// How long a connection is kept, where any is: from one post to the next that follows at once.
const MAX_IDLE: Duration = Duration::from_secs(2);

type Config = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

/// Where to post to, and how.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    headers: HeaderMap,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long whoever answered asks to be left alone.
    #[cfg(feature = "_push-http")]
    pub(crate) retry_after: Option<Duration>,
    /// What Sentry says of its limits, if it does.
    #[cfg(feature = "sentry")]
    pub(crate) rate_limits: Option<String>,
    /// What came behind the head, or why it did not come.
    #[cfg(feature = "_push-http")]
    #[cfg_attr(
        not(any(feature = "otlp", feature = "elasticsearch")),
        expect(dead_code, reason = "a Datadog Agent says all with its status")
    )]
    pub(crate) body: Result<Vec<u8>, String>,
}

impl Answer {
    #[cfg(not(feature = "_push-http"))]
    fn of(response: ureq::http::Response<ureq::Body>, _: Duration) -> Self {
        Self { status: response.status().as_u16() }
    }

    /// Reads the rest of an answer, for which as much time is left as the request has.
    #[cfg(feature = "_push-http")]
    fn of(mut response: ureq::http::Response<ureq::Body>, timeout: Duration) -> Self {
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| retry_after_of(text, SystemTime::now()));
        #[cfg(feature = "sentry")]
        let rate_limits = rate_limits_of(response.headers());
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        Self {
            status: response.status().as_u16(),
            retry_after,
            #[cfg(feature = "sentry")]
            rate_limits,
            body: body.map_err(|error| reason(&error, timeout)),
        }
    }

    /// Whether it is a 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the same can be sent later. What a server says of the request itself will not change; but for "too slow" and
    /// "too many".
    pub(crate) fn is_temporary(&self) -> bool {
        !(200..500).contains(&self.status) || matches!(self.status, 408 | 425 | 429)
    }
}

impl Client {
    /// A client that posts to this URL, and keeps so many connections for what follows at once.
    ///
    /// A post each few seconds costs no more by a connection of its own, and none is found dead.
    pub(crate) fn new(
        url: impl Into<String>,
        proxy: Option<ureq::Proxy>,
        kept: usize,
    ) -> Result<Self, UrlError> {
        Self::with(url, ureq::Agent::config_builder().proxy(proxy).max_idle_connections(kept))
    }

    /// A client that trusts these certificates, in PEM, and no others.
    #[cfg(all(feature = "_push-http", feature = "tls"))]
    pub(crate) fn trusting(
        url: impl Into<String>,
        proxy: Option<ureq::Proxy>,
        kept: usize,
        roots: &[u8],
    ) -> Result<Self, UrlError> {
        use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
        let certificates = parse_pem(roots).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<_> = certificates.collect();
        if certificates.is_empty() {
            return Err(UrlError { reason: "there is no certificate in what it is to be trusted by" });
        }
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build();
        let config = ureq::Agent::config_builder().proxy(proxy).max_idle_connections(kept);
        Self::with(url, config.tls_config(tls))
    }

    fn with(url: impl Into<String>, config: Config) -> Result<Self, UrlError> {
        let url = url.into();
        check(&url)?;
        let agent = config
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("metrics-export/", env!("CARGO_PKG_VERSION")))
            .max_idle_age(MAX_IDLE)
            .build()
            .into();
        Ok(Self { agent, url, headers: HeaderMap::new() })
    }

    /// Sends this header, too, and shows it nowhere. `None` for a name or a value that no header can have.
    #[cfg(feature = "_push-http")]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Option<Self> {
        use ureq::http::{HeaderName, HeaderValue};
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        self.headers.insert(HeaderName::try_from(name).ok()?, value);
        Some(self)
    }

    /// Posts a body. Why it was not answered is told without the URL.
    pub(crate) fn post(
        &self,
        content_type: &str,
        encoding: Option<&str>,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Answer, String> {
        if timeout.is_zero() {
            return Err("there was no time left".to_owned());
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
        Ok(Answer::of(response, timeout))
    }
}

fn check(url: &str) -> Result<(), UrlError> {
    let refused = |reason| Err(UrlError { reason });
    let Ok(uri) = url.parse::<ureq::http::Uri>() else { return refused("it cannot be read") };
    match uri.scheme_str() {
        Some("http") => {}
        #[cfg(feature = "tls")]
        Some("https") => {}
        #[cfg(not(feature = "tls"))]
        Some("https") => {
            return refused("there is no TLS here without the feature `tls`, so send to a proxy near by");
        }
        _ => return refused("it does not begin with http://"),
    }
    if uri.host().is_none_or(str::is_empty) {
        return refused("it names no host");
    }
    Ok(())
}

/// What `Retry-After` asks for: some seconds, or a date (RFC 9110, 10.2.3).
#[cfg(feature = "_push-http")]
pub(crate) fn retry_after_of(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

/// All values of `X-Sentry-Rate-Limits`, which can be of several lines.
#[cfg(feature = "sentry")]
fn rate_limits_of(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all("x-sentry-rate-limits").iter().filter_map(|value| value.to_str().ok());
    values.map(str::to_owned).reduce(|all, value| format!("{all},{value}"))
}

/// What went wrong, without the URL.
fn reason(error: &ureq::Error, timeout: Duration) -> String {
    match error {
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Timeout(_) => format!("it did not answer within {} s", timeout.as_secs_f32()),
        ureq::Error::HostNotFound => "its host has no address".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be connected to".to_owned(),
        ureq::Error::ConnectProxyFailed(_) => "the proxy did not let it through".to_owned(),
        #[cfg(feature = "tls")]
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "there is no trust in its TLS".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => "its answer is too long".to_owned(),
        _ => "what it answered is not HTTP".to_owned(),
    }
}

impl fmt::Debug for Client {
    /// Without the URL and the headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_nothing_can_be_sent_to_is_refused_and_not_repeated() {
        let tls = if cfg!(feature = "tls") { "https://" } else { "https://example.com/hunter2" };
        for url in ["", "hunter2", "ftp://hunter2", tls, "http:///hunter2", "http://a b"] {
            let error = Client::new(url, None, 0).unwrap_err().to_string();
            assert!(error.contains("; allowed: http://host[:port][/path]"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let client = Client::new("http://127.0.0.1:9093/hunter2", None, 0).unwrap();
        #[cfg(feature = "_push-http")]
        let client = client.header("x-api-key", "hunter2").unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        #[cfg(feature = "_push-http")]
        assert!(client.header("x api key", "").is_none());
    }

    #[cfg(feature = "_push-http")]
    #[test]
    fn a_time_to_wait_is_read_in_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 5);
        let seconds = |text| retry_after_of(text, now).map(|pause| pause.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(5));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!([seconds("soon"), seconds("-1"), seconds("")], [None; 3]);
    }
}
