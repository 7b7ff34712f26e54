//! Why a POST failed, in words.

use std::time::Duration;

/// Returns what went wrong, without the URL.
pub(super) fn reason(error: &ureq::Error, timeout: Duration) -> String {
    match error {
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Timeout(_) => format!("it did not answer within {} s", timeout.as_secs_f32()),
        ureq::Error::HostNotFound => "its host was not found".to_owned(),
        ureq::Error::ConnectionFailed => "the connection failed".to_owned(),
        ureq::Error::ConnectProxyFailed(_) => "the proxy refused the connection".to_owned(),
        #[cfg(feature = "tls-no-provider")]
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "its TLS certificate is not trusted".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => "its answer is too long".to_owned(),
        _ => "its answer is not HTTP".to_owned(),
    }
}
