//! JSON by HTTP POST, for the destinations that take it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::SendError;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A URL that nothing can be sent to. It is not repeated here, since many hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the URL is refused: {reason}; allowed: http://host[:port][/path]")]
pub struct UrlError {
    reason: &'static str,
}

/// Where to post to.
pub(super) struct Target {
    agent: ureq::Agent,
    url: String,
}

impl Target {
    pub(super) fn new(url: String) -> Result<Self, UrlError> {
        let refused = |reason| Err(UrlError { reason });
        let Ok(uri) = url.parse::<ureq::http::Uri>() else { return refused("it cannot be read") };
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return refused("there is no TLS here, so send to a proxy near by"),
            _ => return refused("it does not begin with http://"),
        }
        if uri.host().is_none_or(str::is_empty) {
            return refused("it names no host");
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .build()
            .into();
        Ok(Self { agent, url })
    }

    /// Posts a body, and takes every 2xx for a success.
    pub(super) fn post(&self, body: &impl Serialize) -> Result<(), SendError> {
        let json =
            serde_json::to_vec(body).expect("a body is numbers, texts and lists, which can be written");
        let sent = self.agent.post(&self.url).content_type("application/json").send(json);
        let status = match sent {
            Ok(response) => response.status().as_u16(),
            Err(error) => return Err(SendError { reason: reason(&error), is_temporary: true }),
        };
        if (200..300).contains(&status) {
            return Ok(());
        }
        // What the server says of the request itself will not change; but for "too slow" and "too many".
        let is_temporary = !(300..500).contains(&status) || matches!(status, 408 | 425 | 429);
        Err(SendError { reason: format!("it answered {status}"), is_temporary })
    }
}

/// What went wrong, without the URL.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Timeout(_) => format!("it did not answer within {} s", TIMEOUT.as_secs()),
        ureq::Error::HostNotFound => "its host has no address".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be connected to".to_owned(),
        _ => "what it answered is not HTTP".to_owned(),
    }
}

impl fmt::Debug for Target {
    /// Without the URL, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_nothing_can_be_sent_to_is_refused_and_not_repeated() {
        for url in
            ["", "hunter2", "ftp://hunter2", "https://example.com/hunter2", "http:///hunter2", "http://a b"]
        {
            let error = Target::new(url.to_owned()).unwrap_err().to_string();
            assert!(error.ends_with("; allowed: http://host[:port][/path]"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let target = Target::new("http://127.0.0.1:9093/hunter2".to_owned()).unwrap();
        assert!(!format!("{target:?}").contains("hunter2"));
    }
}
