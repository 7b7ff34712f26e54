//! The route that a request took: actix-web's answer, without its cost. `seen_routes.rs` uses it to name the route of
//! each request.
//!
//! [`HttpRequest::match_pattern`] returns the template, but walks the tree of resources and allocates each time. For
//! free, the router leaves `match_info`: the path, and the positions of its captured parts. The path with each captured
//! part replaced by its name is the route's *skeleton*: `/items/` + *id* for `/items/7`. A thread remembers the
//! endpoint of a skeleton once `match_pattern` returned the same literal parts and the same names.
//!
//! A skeleton shows neither guards nor regular expressions, but they matter only where two templates have the same
//! skeleton: `/x/{p}` and `/x/{p}*`. So a tail is remembered only if it contains a slash, and `/x/{p}` only in an app
//! without the other one.
//!
//! If skeleton and template disagree, nothing is remembered. A path that matched nothing has no captured parts, so its
//! skeleton is whatever the client sent. Thus clients cannot make the table grow; it is bounded by the templates of the
//! app.
//!
//! A skeleton does not distinguish a resource from a scope that consumed the whole path and answered by its default
//! service. Such an answer is nearly always a 404, so a 404 is never looked up by its skeleton. A default service that
//! answers something else is counted under the resource with the same skeleton, if the app has one. So is a resource
//! with several patterns, if another resource has one of them, too.

use actix_web::HttpRequest;
use actix_web::dev::{Path, Url};

/// The route of requests that matched nothing, or whose route is unknown.
pub(crate) const UNMATCHED: &str = "_unmatched";

/// Stands before and after a captured part's name, and once more after the last one if its value has a slash. Not a
/// byte of UTF-8, so no path can contain it.
const MARK: u8 = 0xff;

/// The longest skeleton that is looked up, in bytes. Routes are shorter; paths of clients may be longer.
const MAX_SKELETON: usize = 1_024;

/// Begins the names of the resources that are the monitor's own endpoints.
const OWN: &str = "metrics-actix:";

/// The name that marks the resource at a path as one of the monitor's own endpoints, so that its calls are not counted.
pub(crate) fn own_name(path: &str) -> String {
    format!("{OWN}{path}")
}

/// Whether a request matched a resource with such a name.
pub(crate) fn is_own(request: &HttpRequest) -> bool {
    request.match_name().is_some_and(|name| name.starts_with(OWN))
}

/// The template that a request matched, without regular expressions; `None` if it matched nothing. Correct only after
/// routing, because guards decide, too.
pub(crate) fn matched_template(request: &HttpRequest) -> Option<String> {
    request.match_pattern().as_deref().map(template)
}

/// The request's skeleton, unless it is too long: the path itself if nothing was captured, or else written into
/// `buffer`.
#[inline]
pub(crate) fn skeleton<'a>(request: &'a HttpRequest, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let info = request.match_info();
    let path = info.as_str().as_bytes();
    if !info.is_empty() {
        return write_skeleton(info, path, buffer).then_some(buffer);
    }
    (path.len() <= MAX_SKELETON).then_some(path)
}

/// Writes the skeleton. Returns whether there is one.
fn write_skeleton(info: &Path<Url>, path: &[u8], skeleton: &mut Vec<u8>) -> bool {
    skeleton.clear();
    let mut literal_from = 0;
    let mut slash = false;
    for (name, value) in info.iter() {
        // The router's values are slices of the path, so their positions follow from their addresses. A value from
        // elsewhere is no such slice, and its distance is out of bounds.
        let start = (value.as_ptr() as usize).wrapping_sub(path.as_ptr() as usize);
        let Some(literal) = path.get(literal_from..start) else { return false };
        literal_from = start.saturating_add(value.len());
        slash = value.contains('/');
        if skeleton.len() + literal.len() + name.len() > MAX_SKELETON {
            return false;
        }
        skeleton.extend_from_slice(literal);
        skeleton.push(MARK);
        skeleton.extend_from_slice(name.as_bytes());
        skeleton.push(MARK);
    }
    match path.get(literal_from..) {
        Some(literal) if skeleton.len() + literal.len() <= MAX_SKELETON => {
            if slash {
                skeleton.push(MARK);
            }
            skeleton.extend_from_slice(literal);
            true
        }
        _ => false,
    }
}

/// Whether a skeleton has the literal parts and the names of a template, in the same order.
///
/// A template that captures the tail of a path ends with a star. It agrees only if the tail contains a slash: without
/// one, `/x/{p}` may match the next time.
pub(crate) fn agrees(skeleton: &[u8], template: &str) -> bool {
    let (skeleton, mut rest) = match (skeleton.strip_suffix(&[MARK, MARK]), template.strip_suffix("}*")) {
        (Some(head), Some(tail)) => (&skeleton[..head.len() + 1], &template.as_bytes()[..tail.len() + 1]),
        (None, None) => (skeleton, template.as_bytes()),
        _ => return false,
    };
    for (i, part) in skeleton.split(|&byte| byte == MARK).enumerate() {
        // Literal parts and names alternate.
        let (before, after): (&[u8], &[u8]) = if i % 2 == 0 { (b"", b"") } else { (b"{", b"}") };
        let stripped = rest.strip_prefix(before).and_then(|rest| rest.strip_prefix(part));
        match stripped.and_then(|rest| rest.strip_prefix(after)) {
            Some(left) => rest = left,
            None => return false,
        }
    }
    rest.is_empty()
}

/// Whether the request's app also has the template with a star at its end: `/x/{p}*` beside `/x/{p}`. Guards and
/// regular expressions decide which of the two matches, and a skeleton does not show them.
pub(crate) fn has_tail_twin(request: &HttpRequest, matched: &str) -> bool {
    if !matched.ends_with('}') {
        return false;
    }
    let longer = request.resource_map().match_pattern(&format!("{}/x", request.path()));
    longer.is_some_and(|longer| template(&longer).strip_suffix('*') == Some(matched))
}

/// A pattern without its regular expressions: `/items/{id:\d+}` becomes `/items/{id}`.
///
/// Braces inside a regular expression are balanced, as actix-web itself demands.
fn template(pattern: &str) -> String {
    let mut template = String::with_capacity(pattern.len());
    let mut depth = 0_usize;
    let mut in_regex = false;
    for c in pattern.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 1 => in_regex = true,
            _ => {}
        }
        if depth == 0 {
            in_regex = false;
        }
        if !in_regex {
            template.push(c);
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_the_pattern_without_its_regular_expressions() {
        for (pattern, expected) in [
            ("/", "/"),
            ("/items/{id}", "/items/{id}"),
            (r"/items/{id:\d+}", "/items/{id}"),
            (r"/items/{id:\d{3}}/x", "/items/{id}/x"),
            (r"/{a:[^/:]+}-{b:.*}.json", "/{a}-{b}.json"),
            ("/files/{path}*", "/files/{path}*"),
            ("/time/12:30", "/time/12:30"),
        ] {
            assert_eq!(template(pattern), expected);
        }
    }

    #[test]
    fn a_skeleton_agrees_with_its_own_template_only() {
        let skeleton = b"/items/\xffid\xff/x";
        assert!(agrees(skeleton, "/items/{id}/x"));
        for other in ["/items/{id}", "/items/{id}/x/", "/items/{di}/x", "/items/id/x", "/item/{id}/x", ""] {
            assert!(!agrees(skeleton, other), "{other}");
        }
        assert!(agrees(b"/files/\xffpath\xff\xff", "/files/{path}*"));
        assert!(agrees(b"/files/\xffpath\xff", "/files/{path}"));
        assert!(!agrees(b"/files/\xffpath\xff", "/files/{path}*"));
        assert!(!agrees(b"/files/\xffpath\xff\xff", "/files/{path}"));
        assert!(agrees(b"/", "/"));
        assert!(!agrees(b"/items/{id}", "/items/7"));
    }
}
