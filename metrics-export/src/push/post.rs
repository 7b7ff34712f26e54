//! How exporters post: by way of a proxy, with TLS, compressed, and until a deadline.

#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
use std::time::Instant;

use ureq::{Proxy, ProxyProtocol};

use super::exporter::Failed;
use super::secret::Secret;
use crate::http::{Answer, Client, UrlError};

/// How a destination is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    /// The URL of a proxy; default: what `HTTPS_PROXY` or `HTTP_PROXY`, as the destination's URL is, `ALL_PROXY` and `NO_PROXY` say.
    pub(crate) proxy: Option<Secret>,
    /// The certificates to trust, in PEM; default: those of the web.
    #[cfg(feature = "tls")]
    pub(crate) roots: Option<Vec<u8>>,
    /// How many connections are kept from one post to the next that follows at once; default: none.
    pub(crate) kept: usize,
}

impl Connection {
    /// A client for a URL.
    pub(crate) fn client(&self, url: &str) -> Result<Client, UrlError> {
        let proxy = match &self.proxy {
            Some(url) => Some(usable(ureq::Proxy::new(url.expose()))?),
            None => of_environment(url, crate::environment::variable)?,
        };
        #[cfg(feature = "tls")]
        if let Some(roots) = &self.roots {
            return Client::trusting(url, proxy, self.kept, roots);
        }
        Client::new(url, proxy, self.kept)
    }
}

/// The proxy that the environment names for a URL, unless `NO_PROXY` does.
fn of_environment(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, UrlError> {
    let get = |names: [&str; 2]| names.into_iter().find_map(&variable).filter(|value| !value.is_empty());
    let own =
        if url.starts_with("https:") { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let Some(value) = get(own).or_else(|| get(["ALL_PROXY", "all_proxy"])) else { return Ok(None) };
    let except = get(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    // The exceptions by themselves, so that they hold for a proxy that could not be used.
    let direct = except
        .split(',')
        .fold(Proxy::builder(ProxyProtocol::Http), |proxy, name| proxy.no_proxy(name.trim()));
    let direct = direct.build().map_err(|_| UrlError::proxy(NO_PROXY_AT_ALL))?;
    if url.parse().is_ok_and(|uri| direct.is_no_proxy(&uri)) {
        return Ok(None);
    }
    usable(Proxy::new(&value)).map(Some)
}

const NO_PROXY_AT_ALL: &str = "it is no URL of one";

/// A proxy that speaks HTTP.
fn usable(proxy: Result<Proxy, ureq::Error>) -> Result<Proxy, UrlError> {
    let proxy = proxy.map_err(|_| UrlError::proxy(NO_PROXY_AT_ALL))?;
    match proxy.protocol() {
        ProxyProtocol::Http => Ok(proxy),
        ProxyProtocol::Https if cfg!(feature = "tls") => Ok(proxy),
        ProxyProtocol::Https => Err(UrlError::proxy("there is no TLS here without the feature `tls`")),
        _ => Err(UrlError::proxy("it does not speak HTTP")),
    }
}

/// Posts a body until the deadline. What is not a 2xx has failed.
#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
pub(crate) fn post(
    client: &Client,
    content_type: &str,
    encoding: Option<&str>,
    body: &[u8],
    deadline: Instant,
) -> Result<Answer, Failed> {
    let left = deadline.saturating_duration_since(Instant::now());
    checked(client.post(content_type, encoding, body, left).map_err(Failed::temporary)?)
}

/// An answer, unless it is none of success.
pub(crate) fn checked(answer: Answer) -> Result<Answer, Failed> {
    if answer.is_success() {
        return Ok(answer);
    }
    Err(Failed {
        reason: format!("it answered {}", answer.status),
        retry_after: answer.retry_after,
        permanent: !answer.is_temporary(),
    })
}

/// These bytes, compressed quickly.
#[cfg(any(feature = "otlp", feature = "elasticsearch", feature = "sentry"))]
pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let proxy = of_environment(url, variable).map_err(|error| error.to_string())?;
        Ok(proxy.map(|proxy| proxy.host().to_owned()))
    }

    #[test]
    fn a_proxy_is_that_for_the_scheme_of_the_url_then_that_for_all() {
        let [https, http, all] =
            [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:1"), ("ALL_PROXY", "http://a:1")];
        let of = |url, variables: &[_]| named(url, variables).unwrap();
        let url = "http://localhost:4318/v1/metrics";
        assert_eq!([of(url, &[]), of(url, &[https])], [None, None]);
        assert_eq!(of(url, &[https, http, all]).as_deref(), Some("p"));
        assert_eq!(of(url, &[https, all]).as_deref(), Some("a"));
        assert_eq!(of("https://collector", &[https, http, all]).as_deref(), Some("s"));
        assert_eq!(of(url, &[all, ("NO_PROXY", "other, localhost")]), None);
        assert_eq!(of("http://collector", &[all, ("NO_PROXY", "localhost")]).as_deref(), Some("a"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_unless_it_is_not_for_the_url() {
        let allowed = "; allowed: http://[user:password@]host[:port]";
        for value in ["socks5://user:hunter2@a:1", "socks5h://a:1", "http://hunter2:x:y", "ftp://hunter2"] {
            let error = named("http://b", &[("ALL_PROXY", value)]).unwrap_err();
            assert!(error.starts_with("the proxy is refused: ") && error.ends_with(allowed), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert_eq!(named("http://b", &[("ALL_PROXY", value), ("NO_PROXY", "b")]), Ok(None));
        }
        let set = Connection { proxy: Some("socks5://a:1".into()), ..Connection::default() };
        assert!(set.client("http://b").is_err());
    }
}
