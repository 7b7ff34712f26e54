//! Who may call the endpoints.

use std::time::Duration;

use actix_web::dev::ServiceRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::rt::time::timeout;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_core::Stream;
use hmac_sha256::Hash;
use subtle::{Choice, ConstantTimeEq};

use crate::answer;

/// The longest body that a request to an endpoint may have, in bytes. None needs one.
const MAX_BODY_BYTES: u64 = 1_024;

/// How long a request's body may take to come in.
const MAX_BODY_TIME: Duration = Duration::from_secs(5);

/// Tokens that open an endpoint; none if it is open to everybody. Only their hashes are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    pub(crate) fn new(tokens: &[String]) -> Self {
        Self(tokens.iter().map(|token| Hash::hash(token.as_bytes())).collect())
    }

    /// Whether a request may pass. Takes as long for a wrong token as for none, and for any wrong one of its length.
    fn admit(&self, headers: &HeaderMap) -> bool {
        let given = bearer(headers);
        let hash = Hash::hash(given.unwrap_or_default());
        let equal = self.0.iter().fold(Choice::from(0), |any, known| any | known.as_slice().ct_eq(&hash));
        self.0.is_empty() || bool::from(equal & Choice::from(u8::from(given.is_some())))
    }
}

/// The token of the one `Authorization: Bearer` header, if there is just one.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// Whether another site's page made the browser send this.
pub(crate) fn is_cross_site(request: &HttpRequest) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get("sec-fetch-site") {
        // The browser says so itself, and pages cannot change it.
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    // HTTP/2 has the host in the target.
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes).or(target).unwrap_or_default();
    let authority = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    !authority.is_some_and(|authority| authority.as_bytes().eq_ignore_ascii_case(host))
}

/// The refusal of what another site's page made the browser send.
pub(crate) fn cross_site() -> HttpResponse {
    let message = "this cannot be called from another site's page";
    answer::failure(StatusCode::FORBIDDEN, "cross_site", message)
}

/// Why a request is refused before anything else is looked at; `None` if it may go on.
pub(crate) async fn refusal(request: &mut ServiceRequest, tokens: &Tokens) -> Option<HttpResponse> {
    if !tokens.admit(request.headers()) {
        let message = "this needs a valid token: Authorization: Bearer <token>";
        let mut refusal = answer::failure(StatusCode::UNAUTHORIZED, "unauthorized", message);
        let challenge = HeaderValue::from_static("Bearer realm=\"metrics\"");
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return Some(refusal);
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && is_cross_site(request.request()) {
        return Some(cross_site());
    }
    let (status, code, message) = match timeout(MAX_BODY_TIME, read_away(request)).await {
        Ok(Ok(true)) => return None,
        Ok(Ok(false)) => {
            let message = format!("the body is too long; allowed: at most {MAX_BODY_BYTES} bytes");
            (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
        }
        Ok(Err(_)) => (StatusCode::BAD_REQUEST, "bad_request", "the body is broken".to_owned()),
        Err(_) => {
            let message = format!("the body is too slow; allowed: at most {} s", MAX_BODY_TIME.as_secs());
            (StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
        }
    };
    Some(answer::failure(status, code, &message))
}

/// Reads the body away, and says whether it kept to the limit.
async fn read_away(request: &mut ServiceRequest) -> Result<bool, PayloadError> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse().ok()).unwrap_or(0_u64) > MAX_BODY_BYTES {
        return Ok(false);
    }
    let mut payload = std::pin::pin!(request.take_payload());
    let mut read = 0;
    while let Some(chunk) = std::future::poll_fn(|cx| payload.as_mut().poll_next(cx)).await {
        read += chunk?.len() as u64;
        if read > MAX_BODY_BYTES {
            return Ok(false);
        }
    }
    Ok(true)
}
