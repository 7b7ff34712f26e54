//! Posts until a deadline, and treats every answer except a 2xx as a failure.

#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
use std::time::Instant;

use super::exporter::Failed;
#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
use crate::http::Client;
use crate::http::HttpResponse;

/// Posts a body until the deadline. An answer other than a 2xx is an error.
#[cfg(any(feature = "datadog", feature = "otlp", feature = "elasticsearch"))]
pub(crate) fn post(
    client: &Client,
    content_type: &str,
    encoding: Option<&str>,
    body: &[u8],
    deadline: Instant,
) -> Result<HttpResponse, Failed> {
    let left = deadline.saturating_duration_since(Instant::now());
    checked(client.post(content_type, encoding, body, left).map_err(Failed::temporary)?)
}

/// Returns a 2xx, and makes any other answer an error.
pub(crate) fn checked(answer: HttpResponse) -> Result<HttpResponse, Failed> {
    if answer.is_success() {
        return Ok(answer);
    }
    Err(Failed { retry_after: answer.retry_after, permanent: !answer.is_temporary(), reason: answer.refusal })
}
