//! The dashboard's page and files. They hold no figures and no names, so they need no token; the page asks for the one
//! that the figures need.

use super::answer::Answer;
use super::request::{Coding, Request};
use crate::dashboard::{self, File};
use crate::policy::headers::{Headers, values};

/// What the page may do: load its own files, and call the endpoints beside it. Scripts cannot make elements from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The path without a slash: leads to the page.
pub(crate) fn redirect(request: &Request<'_>) -> Answer {
    let last = request.mount.rsplit('/').next().unwrap_or_default();
    // Relative, so that it is right behind a proxy that mounts the service elsewhere.
    Answer::new(307, "").header("location", format!("./{last}/")).header("cache-control", "no-store")
}

/// The page.
pub(crate) fn page(request: &Request<'_>) -> Answer {
    send(dashboard::page(), request)
}

/// A file of the page.
pub(crate) fn file(request: &Request<'_>) -> Answer {
    let name = request.path.rsplit('/').next().unwrap_or_default();
    match dashboard::file(name) {
        Some(file) => send(file, request),
        None => Answer::failure(404, "not_found", "the dashboard has no such file"),
    }
}

/// The file, or 304 if the client has it already.
fn send(file: &'static File, request: &Request<'_>) -> Answer {
    let is_known = has(request.headers, file.etag());
    let (status, body, is_packed) = match file.packed() {
        _ if is_known => (304, &[][..], false),
        Some(packed) if request.coding == Coding::Gzip => (200, packed, true),
        _ => (200, file.text().as_bytes(), false),
    };
    let answer = Answer::new(status, body)
        .header("content-type", file.content_type())
        // Kept, but checked each time: a new version of the service has new files.
        .header("cache-control", "no-cache")
        // Weak, because the compressed file differs byte by byte.
        .header("etag", format!("W/{}", file.etag()))
        .header("vary", "accept-encoding")
        .header("content-security-policy", POLICY)
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
        .header("cross-origin-resource-policy", "same-origin");
    if is_packed { answer.header("content-encoding", "gzip") } else { answer }
}

/// Whether the client has the file with this entity tag.
fn has(headers: &dyn Headers, etag: &str) -> bool {
    let known = values(headers, "if-none-match").next().and_then(|known| std::str::from_utf8(known).ok());
    known.unwrap_or_default().split(',').any(|known| known.trim().trim_start_matches("W/") == etag)
}
