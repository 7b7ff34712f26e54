//! What a server answered to a POST.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;
use ureq::http::header::{LOCATION, RETRY_AFTER};

use super::peer::Peer;

/// The longest answer that is read, in bytes.
pub(super) const MAX_ANSWER: u64 = 16 << 20;

/// What a server answered to a POST.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Sentry's rate limits, if the answer has any.
    #[cfg(feature = "sentry")]
    pub(crate) rate_limits: Option<String>,
    /// Where it redirects to.
    pub(crate) location: Option<String>,
    /// The body, or why it was not received.
    pub(crate) body: Result<Vec<u8>, String>,
    /// What to tell people about an answer other than a 2xx.
    pub(crate) refusal: String,
}

impl HttpResponse {
    /// An answer without a refusal.
    pub(crate) fn new(status: u16, headers: &HeaderMap, body: Result<Vec<u8>, String>) -> Self {
        let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status,
            retry_after: value(RETRY_AFTER).and_then(|text| retry_after_of(text, SystemTime::now())),
            #[cfg(feature = "sentry")]
            rate_limits: rate_limits_of(headers),
            location: value(LOCATION).map(str::to_owned),
            body,
            refusal: String::new(),
        }
    }

    /// Says what to tell people, if it is not a 2xx, without secrets of ours.
    pub(crate) fn explained(mut self, peer: &Peer, secrets: &[String]) -> Self {
        if !self.is_success() {
            let body = self.body.as_deref().unwrap_or_default();
            self.refusal = peer.refusal(self.status, self.location.as_deref(), body, secrets);
        }
        self
    }

    /// Whether it is a 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the same request may succeed later. A 3xx or 4xx is final, except 408, 425 and 429.
    pub(crate) fn is_temporary(&self) -> bool {
        !(200..500).contains(&self.status) || matches!(self.status, 408 | 425 | 429)
    }
}

/// Reads `Retry-After`: a number of seconds, or a date (RFC 9110, 10.2.3).
fn retry_after_of(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Returns all values of `X-Sentry-Rate-Limits`, which may be sent more than once.
#[cfg(feature = "sentry")]
fn rate_limits_of(headers: &ureq::http::HeaderMap) -> Option<String> {
    let values = headers.get_all("x-sentry-rate-limits").iter().filter_map(|value| value.to_str().ok());
    values.map(str::to_owned).reduce(|all, value| format!("{all},{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 5);
        let seconds = |text| retry_after_of(text, now).map(|pause| pause.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(5));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!([seconds("soon"), seconds("-1"), seconds("")], [None; 3]);
    }
}
