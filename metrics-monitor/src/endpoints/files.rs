//! The dashboard's page and files. They hold no figures and no names, so they need no token; the page asks for the one
//! that the figures need.

use super::answer::Answer;
use super::request::{Coding, Request};
use crate::dashboard::{self, File};
use crate::policy::headers::{Headers, values};

/// What the page may do: load its own files, and call the endpoints beside it. The hash is that of the one script in the
/// page itself. Scripts cannot make elements from text.
const POLICY: &str = "default-src 'none'; \
                      script-src 'self'; script-src-elem 'self' 'sha256-9fv6bYQ/0qC1fxyuB3azS0FF51+3A+PuRJgJLX3r/tI='; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The query that says that a client has come from a redirect: its address ends with a slash, whatever path arrives.
const PAGE: &str = "page";

/// The path without a slash at its end: leads to the page, whose links are relative to the path with the slash.
///
/// A middleware such as actix-web's `NormalizePath`, or a proxy, may take the slash away that this appends. Then the
/// client gets the same redirect again, now relative to the path with the slash, and calls the mount's last part twice:
/// `/api/metrics/metrics/`. So adapters route this path here, too, as [`Request::path`]. It leads back to the page, with
/// a query that says that the slash is there; so does the same path without a slash, which somebody may have typed.
///
/// All redirects are relative, so that they are right behind a proxy that adds or strips a prefix.
pub(crate) fn redirect(request: &Request<'_>) -> Answer {
    let last = request.mount.rsplit('/').next().unwrap_or_default();
    let location = match (request.path, request.query) {
        ("", PAGE) => return page(request),
        ("", _) => format!("./{last}/"),
        (_, PAGE) => format!("../?{PAGE}"),
        // Right with and without a slash at the end of the client's address: it leads to the page or here again.
        _ => format!("../{last}/?{PAGE}"),
    };
    Answer::new(307, "").header("location", location).header("cache-control", "no-store")
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
    let packed = file.packed().filter(|_| request.coding == Coding::Gzip);
    let (status, body) = match packed {
        _ if has(request.headers, file.etag()) => (304, &[][..]),
        Some(packed) => (200, packed),
        None => (200, file.text().as_bytes()),
    };
    let answer = Answer::new(status, body)
        .header("content-type", file.content_type())
        // Kept, but checked each time: a new version of the service has new files.
        .header("cache-control", "no-cache")
        // Weak, because the compressed file differs byte by byte.
        .header("etag", format!("W/{}", file.etag()))
        .header("content-security-policy", POLICY)
        .header("x-content-type-options", "nosniff")
        // To no other site. To our endpoints, it tells a page behind a proxy from one on this machine.
        .header("referrer-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin");
    // Without the feature, there is one coding, and the application's own compression is welcome.
    if !cfg!(feature = "gzip") {
        return answer;
    }
    let coding = if packed.is_some() { Coding::Gzip } else { Coding::Identity };
    answer.header("vary", "accept-encoding").coded(coding, request.headers)
}

/// Whether the client has the file with this entity tag.
fn has(headers: &dyn Headers, etag: &str) -> bool {
    let known = values(headers, "if-none-match").next().and_then(|known| std::str::from_utf8(known).ok());
    known.unwrap_or_default().split(',').any(|known| known.trim().trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in a policy: base64, with padding.
    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = |chunk: &[u8]| {
            let bits =
                chunk.iter().chain(&[0; 3]).take(3).fold(0, |bits, &byte| bits << 8 | usize::from(byte));
            (0..4).map(move |i| bits >> (18 - 6 * i) & 63)
        };
        let text: String = bytes.chunks(3).flat_map(digits).map(|digit| char::from(DIGITS[digit])).collect();
        let padding = (3 - bytes.len() % 3) % 3;
        format!("{}{}", &text[..text.len() - padding], "=".repeat(padding))
    }

    #[test]
    fn the_policy_allows_the_one_script_that_is_in_the_page() {
        let page = dashboard::page().text();
        let scripts: Vec<_> = page.split("<script>").skip(1).collect();
        let [script] = scripts[..] else { panic!("{} scripts", scripts.len()) };
        let hash = hmac_sha256::Hash::hash(script.split("</script>").next().unwrap().as_bytes());
        assert!(POLICY.contains(&format!("'sha256-{}'", base64(&hash))), "{}", base64(&hash));
    }
}
