//! HTTP for what is sent to others, notices of alerts and windows: a POST, and what was answered.

use std::fmt;
use std::time::Duration;
#[cfg(feature = "_push-http")]
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::http::{HeaderMap, HeaderValue, header};

/// The longest answer that is read, in bytes.
#[cfg(feature = "_push-http")]
const MAX_ANSWER: u64 = 16 << 20;

/// A URL that nothing can be sent to, or a way there that is none. It is not repeated here, since many hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is refused: {reason}; allowed: {allowed}")]
pub struct UrlError {
    what: &'static str,
    reason: &'static str,
    allowed: &'static str,
}

impl UrlError {
    pub(crate) const fn url(reason: &'static str) -> Self {
        Self { what: "the URL", reason, allowed: ALLOWED }
    }

    #[cfg(feature = "_push-http")]
    pub(crate) const fn proxy(reason: &'static str) -> Self {
        Self { what: "the proxy", reason, allowed: "http://[user:password@]host[:port]" }
    }

    #[cfg(all(feature = "_push-http", feature = "tls"))]
    pub(crate) const fn roots(reason: &'static str) -> Self {
        Self { what: "what is to be trusted", reason, allowed: "one certificate or more, in PEM" }
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
            return Err(UrlError::roots("there is no certificate in it"));
        }
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build();
        let config = ureq::Agent::config_builder().proxy(proxy).max_idle_connections(kept);
        Self::with(url, config.tls_config(tls))
    }

    fn with(url: impl Into<String>, config: Config) -> Result<Self, UrlError> {
        let url = url.into();
        check(&url)?;
        let (url, login) = without_login(&url)?;
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

    /// Sends this header, too, and shows it nowhere. `None` for a name or a value that no header can have.
    #[cfg(feature = "_push-http")]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Option<Self> {
        use ureq::http::HeaderName;
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
    let refused = |reason| Err(UrlError::url(reason));
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
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return refused("it names no host") };
    // What is no port would be taken for the usual one.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let behind_user = authority.rsplit_once('@').map_or(authority, |(_, behind)| behind);
    let port = behind_user.strip_prefix(host).filter(|port| !port.is_empty());
    if port.is_some() && uri.port_u16().is_none_or(|port| port == 0) {
        return refused("its port is none of 1 to 65535");
    }
    Ok(())
}

/// A URL without its user and password, and these as what logs in by `Basic` (RFC 7617).
pub(crate) fn without_login(url: &str) -> Result<(String, Option<HeaderValue>), UrlError> {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |length| authority + length);
    let Some((user, host)) = url[authority..end].rsplit_once('@') else { return Ok((url.to_owned(), None)) };
    let mut pair =
        percent_decoded(user).ok_or(UrlError::url("its user or password is not percent-encoded"))?;
    if !user.contains(':') {
        pair.push(':');
    }
    let login = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut login = login.expect("base64 is visible ASCII");
    login.set_sensitive(true);
    Ok((format!("{}{host}{}", &url[..authority], &url[end..]), Some(login)))
}

/// A text with `%` and two hexadecimal digits in place of some bytes; `None` if it is not that.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            (digit(bytes.next()?)? * 16 + digit(bytes.next()?)?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
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
        for url in [
            "",
            "hunter2",
            "ftp://hunter2",
            tls,
            "http:///hunter2",
            "http://a b",
            "http://a:81260/hunter2",
            "http://a:hunter2",
            "http://[::1]:0",
            "http://b:c@a:",
        ] {
            let error = Client::new(url, None, 0).unwrap_err().to_string();
            assert!(error.contains("; allowed: http://host[:port][/path]"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for url in ["http://a", "http://[::1]", "http://[::1]:80/", "http://b:c@a:65535/x:y", "http://b:c@a"]
        {
            assert!(Client::new(url, None, 0).is_ok(), "{url}");
        }
        let client = Client::new("http://127.0.0.1:9093/hunter2", None, 0).unwrap();
        #[cfg(feature = "_push-http")]
        let client = client.header("x-api-key", "hunter2").unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        #[cfg(feature = "_push-http")]
        assert!(client.header("x api key", "").is_none());
    }

    #[test]
    fn a_user_in_a_url_logs_in_and_is_not_in_it_any_more() {
        let split = |url| {
            let (url, login) = without_login(url).unwrap();
            (url, login.map(|login| (login.to_str().unwrap().to_owned(), login.is_sensitive())))
        };
        for plain in ["http://a:1/b@c?d@e", "http://[::1]/", "http://a?b@c"] {
            assert_eq!(split(plain), (plain.to_owned(), None));
        }
        let login = |text: &str| Some((format!("Basic {}", STANDARD.encode(text)), true));
        assert_eq!(
            split("https://elastic:p%40ss@es:9200/x@y"),
            ("https://es:9200/x@y".to_owned(), login("elastic:p@ss"))
        );
        assert_eq!(split("http://key@[::1]:80"), ("http://[::1]:80".to_owned(), login("key:")));
        for wrong in ["http://a:%4@b", "http://a:hunter2%zz@b", "http://%ff@b"] {
            let error = Client::new(wrong, None, 0).unwrap_err().to_string();
            assert!(
                error.contains("is not percent-encoded; allowed: ") && !error.contains("hunter2"),
                "{error}"
            );
        }
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
