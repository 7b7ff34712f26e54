//! What a server answered to a POST.

use std::time::Duration;
#[cfg(feature = "_push-http")]
use std::time::SystemTime;

#[cfg(feature = "_push-http")]
use ureq::http::header::RETRY_AFTER;

#[cfg(feature = "_push-http")]
use super::error::reason;

/// The longest answer that is read, in bytes.
#[cfg(feature = "_push-http")]
const MAX_ANSWER: u64 = 16 << 20;

/// What a server answered to a POST.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    /// How long the server asks to be left alone.
    #[cfg(feature = "_push-http")]
    pub(crate) retry_after: Option<Duration>,
    /// Sentry's rate limits, if the answer has any.
    #[cfg(feature = "sentry")]
    pub(crate) rate_limits: Option<String>,
    /// The body, or why it was not received.
    #[cfg(feature = "_push-http")]
    #[cfg_attr(
        not(any(feature = "otlp", feature = "elasticsearch")),
        expect(dead_code, reason = "a Datadog Agent says all with its status")
    )]
    pub(crate) body: Result<Vec<u8>, String>,
}

impl HttpResponse {
    #[cfg(not(feature = "_push-http"))]
    pub(super) fn read(response: ureq::http::Response<ureq::Body>, _: Duration) -> Self {
        Self { status: response.status().as_u16() }
    }

    /// Reads a whole answer, until the timeout of its request.
    #[cfg(feature = "_push-http")]
    pub(super) fn read(mut response: ureq::http::Response<ureq::Body>, timeout: Duration) -> Self {
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
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

    /// Whether the same request may succeed later. A 3xx or 4xx is final, except 408, 425 and 429.
    pub(crate) fn is_temporary(&self) -> bool {
        !(200..500).contains(&self.status) || matches!(self.status, 408 | 425 | 429)
    }
}

/// Reads `Retry-After`: a number of seconds, or a date (RFC 9110, 10.2.3).
#[cfg(feature = "_push-http")]
pub(crate) fn retry_after_of(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

/// Returns all values of `X-Sentry-Rate-Limits`, which may be sent more than once.
#[cfg(feature = "sentry")]
fn rate_limits_of(headers: &ureq::http::HeaderMap) -> Option<String> {
    let values = headers.get_all("x-sentry-rate-limits").iter().filter_map(|value| value.to_str().ok());
    values.map(str::to_owned).reduce(|all, value| format!("{all},{value}"))
}

#[cfg(all(test, feature = "_push-http"))]
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
