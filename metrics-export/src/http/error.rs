//! Why a POST failed, in words.

use std::time::Duration;

/// Returns what went wrong, without the URL.
pub(super) fn reason(error: &ureq::Error, timeout: Duration) -> String {
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
