//! Who may call an endpoint.

use super::answer::Answer;
use super::request::Request;
use crate::policy::headers::Headers;
use crate::policy::tokens::Tokens;

/// Why a request is refused before anything else is looked at; `None` if it may go on.
pub(crate) fn refusal(request: &Request<'_>, tokens: &Tokens) -> Option<Answer> {
    if !tokens.admit(request.headers) {
        let message = "this needs a valid token: Authorization: Bearer <token>";
        let refusal = Answer::failure(401, "unauthorized", message);
        return Some(refusal.header("www-authenticate", "Bearer realm=\"metrics\""));
    }
    let is_safe = matches!(request.method, "GET" | "HEAD" | "OPTIONS");
    (!is_safe && is_cross_site(request.headers)).then(cross_site)
}

/// Whether another site's page made the browser send this.
pub(crate) fn is_cross_site(headers: &dyn Headers) -> bool {
    if let Some(site) = headers.value("sec-fetch-site", 0) {
        // Set by the browser; pages cannot change it.
        return site != b"same-origin" && site != b"none";
    }
    let Some(origin) = headers.value("origin", 0) else { return false };
    let host = headers.value("host", 0).unwrap_or_default();
    let origin = std::str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
    !origin.is_some_and(|(_, authority)| authority.as_bytes().eq_ignore_ascii_case(host))
}

/// The refusal of such a request.
pub(crate) fn cross_site() -> Answer {
    Answer::failure(403, "cross_site", "this cannot be called from another site's page")
}
