//! Which route a request took: actix-web's answer, without its cost.
//!
//! [`HttpRequest::match_pattern`] gives the template, but walks the tree of resources and allocates each time. What the
//! router leaves behind for free is `match_info`: the path, and where in it the captured parts are. The path without the
//! captured parts, and with their names, is the route's *skeleton*: `/items/` + *id* for `/items/7`. A thread remembers
//! which endpoint a skeleton belongs to, once `match_pattern` named the same literal parts and the same names.
//!
//! A skeleton tells neither guards nor regular expressions, but they matter only where two templates have one skeleton:
//! `/x/{p}` and `/x/{p}*`. So the tail is looked up only where it holds a slash, and `/x/{p}` only in an app that does not
//! have the other one.
//!
//! Where the two disagree, nothing is remembered: a path that matched nothing has no captured parts, so its skeleton is
//! whatever the client sent. Thus clients cannot make the table grow; it holds the templates of the app and no more.
//!
//! A skeleton does not tell a resource from a scope that consumed the whole path and answered by its default service. Such
//! an answer is a 404 nearly always, so a 404 is never looked up: `match_pattern` is asked. A default service that answers
//! something else is counted under the resource that has the same skeleton, if the app has one; likewise a resource with
//! several patterns, if one of them is that of another resource, too.

use actix_web::HttpRequest;
use actix_web::dev::{Path, Url};

/// The route of requests that matched nothing, or of which nobody knows what they matched.
pub(crate) const UNMATCHED: &str = "_unmatched";

/// Stands before and after a captured part's name, and once more behind the last one if its value has a slash. No byte of UTF-8, so no path that a client sends can contain it.
const MARK: u8 = 0xff;

/// The longest skeleton that is looked up, in bytes. No service has longer routes; clients send longer paths.
const MAX_SKELETON: usize = 1_024;

/// The template that a request matched, without regular expressions; `None` if it matched nothing. Right only after
/// routing, since guards decide, too.
pub(crate) fn matched_template(request: &HttpRequest) -> Option<String> {
    request.match_pattern().as_deref().map(template)
}

/// The request's skeleton, if there is one: the path itself where nothing was captured, or else written into `buffer`.
#[inline]
pub(crate) fn skeleton<'a>(request: &'a HttpRequest, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let info = request.match_info();
    let path = info.as_str().as_bytes();
    if !info.is_empty() {
        return write_skeleton(info, path, buffer).then_some(buffer);
    }
    (path.len() <= MAX_SKELETON).then_some(path)
}

/// Says whether there is a skeleton.
fn write_skeleton(info: &Path<Url>, path: &[u8], skeleton: &mut Vec<u8>) -> bool {
    skeleton.clear();
    let mut literal_from = 0;
    let mut slash = false;
    for (name, value) in info.iter() {
        // The value is a part of the path, hence its place follows from its address. A value that was put there by
        // something else than the router is not, and its distance is out of bounds.
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

/// Whether a skeleton has the literal parts and the names of a template, in their order.
///
/// What captures the tail of a path has a star behind it, and agrees only if it has captured a slash: where it has not,
/// `/x/{p}` can be what matched the next time.
pub(crate) fn agrees(skeleton: &[u8], template: &str) -> bool {
    let (skeleton, mut rest) = match (skeleton.strip_suffix(&[MARK, MARK]), template.strip_suffix("}*")) {
        (Some(head), Some(tail)) => (&skeleton[..head.len() + 1], &template.as_bytes()[..tail.len() + 1]),
        (None, None) => (skeleton, template.as_bytes()),
        _ => return false,
    };
    for (i, part) in skeleton.split(|&byte| byte == MARK).enumerate() {
        // Literal parts and names take turns.
        let (before, after): (&[u8], &[u8]) = if i % 2 == 0 { (b"", b"") } else { (b"{", b"}") };
        let stripped = rest.strip_prefix(before).and_then(|rest| rest.strip_prefix(part));
        match stripped.and_then(|rest| rest.strip_prefix(after)) {
            Some(left) => rest = left,
            None => return false,
        }
    }
    rest.is_empty()
}

/// Whether the app that a request went to also has the template with a star behind it: `/x/{p}*` beside `/x/{p}`. Which of
/// the two matches is then up to guards and regular expressions, which a skeleton does not show.
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
