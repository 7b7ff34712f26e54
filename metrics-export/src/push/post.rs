//! How exporters post: by way of a proxy, with TLS, compressed, and until a deadline.

#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
use std::time::Instant;

use super::exporter::Failed;
use super::secret::Secret;
use crate::http::{Answer, Client, UrlError};

/// How a destination is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    /// The URL of a proxy; default: what `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
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
            Some(url) => Some(ureq::Proxy::new(url.expose()).map_err(|_| UrlError::proxy())?),
            None => ureq::Proxy::try_from_env(),
        };
        #[cfg(feature = "tls")]
        if let Some(roots) = &self.roots {
            return Client::trusting(url, proxy, self.kept, roots);
        }
        Client::new(url, proxy, self.kept)
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
