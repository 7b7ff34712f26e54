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
//! If skeleton and template disagree, the skeleton may be that of a later pattern of the same resource, since
//! `match_pattern` only returns the first one. Once the router has processed the whole path, all of its literal parts
//! are those of patterns, so the skeleton is the pattern. Otherwise nothing is remembered. A path that matched nothing
//! has no captured parts, so its skeleton is whatever the client sent. Thus clients cannot make the table grow; it is
//! bounded by the templates of the app.
//!
//! A skeleton does not distinguish a resource from a scope that consumed the whole path and answered by its default
//! service. Such an answer is nearly always a 404, so a 404 is looked up by its skeleton only if no scope, and nothing
//! else that handles paths below its own, has the same: [`Patterns`](super::patterns::Patterns) tells. A default
//! service that answers something else is counted under the resource with the same skeleton, if the app has one. So is
//! a resource with several patterns, if another resource has one of them, too.

use actix_web::dev::ServiceRequest;
use actix_web::{HttpMessage, HttpRequest};

use super::skeleton::MARK;

/// More segments than a pattern has after another pattern of the same resource.
const MORE_SEGMENTS: usize = 16;

/// Begins the names of the resources that are the monitor's own endpoints.
const OWN: &str = "metrics-actix:";

/// The name of the scrapes that are mounted by themselves.
pub(crate) const SCRAPES: &str = "scrapes";

/// The ends of patterns whose last part takes any path, slashes included, as `}*` does.
const TAILS: [&str; 4] = [":.*}", ":.+}", ":.*?}", ":.+?}"];

/// The name of the resource of one of the monitor's own endpoints, so that its calls are not counted. With the prefix
/// of its mount, so that two mounts in an app are told apart.
pub(crate) fn own_name(prefix: &str, endpoint: &str) -> String {
    format!("{OWN}{prefix} {endpoint}")
}

/// In the extensions of a request that arrived at one of the monitor's own endpoints.
struct Arrived;

/// A request arrived at one of the monitor's own endpoints.
pub(crate) fn arrive(request: &ServiceRequest) {
    request.extensions_mut().insert(Arrived);
}

/// The name of the own endpoint at the path of a request, whether or not it goes there: a guard may refuse it, so that
/// a resource of the application takes it.
pub(crate) fn own_at_path(request: &HttpRequest) -> Option<&str> {
    request.match_name().filter(|name| is_own_name(name))
}

/// Whether a request went to one of the monitor's own endpoints, or would have, had nothing in front answered it.
///
/// If the router processed the whole path without an arrival, the request went to a resource of the application. Except
/// at the path of a scope: there a middleware of the scope answers.
pub(crate) fn is_own(request: &HttpRequest) -> bool {
    let Some(name) = own_at_path(request) else { return false };
    let is_at_scope = || ["", SCRAPES].into_iter().any(|endpoint| name == own_name("", endpoint));
    !is_processed(request) || request.extensions().contains::<Arrived>() || is_at_scope()
}

/// Whether this is the name of the resource of one of the monitor's own endpoints.
pub(crate) fn is_own_name(name: &str) -> bool {
    name.starts_with(OWN)
}

/// The pattern that a request matched, the first one of a resource with several; `None` if it matched nothing. Correct
/// only after routing, because guards decide, too.
pub(crate) fn matched_pattern(request: &HttpRequest) -> Option<String> {
    request.match_pattern()
}

/// Whether the router has processed the whole path. It has not before routing, in the service of a prefix, such as
/// actix-files, and where a scope's default service answered.
pub(crate) fn is_processed(request: &HttpRequest) -> bool {
    request.match_info().unprocessed().is_empty()
}

/// Whether a pattern is the prefix of a service that handles all paths below it by itself, such as actix-files: then
/// the pattern also matches a longer path. For a pattern with a tail this returns `false`.
///
/// At `/docs`, a resource with the patterns `/docs` and `/docs/{tail}*` differs from that only by
/// [its list](is_listed_with_a_tail).
pub(crate) fn is_mount(
    request: &HttpRequest,
    skeleton: Option<&[u8]>,
    pattern: &str,
    template: &str,
) -> bool {
    let last = pattern.rsplit('{').next().unwrap_or_default();
    // A last part with an expression may match a longer path, too.
    if pattern.ends_with('*') || pattern.ends_with('}') && last.contains(':') {
        return false;
    }
    // A service at the root has an empty pattern. Any other one leaves the path after its prefix unprocessed, unless
    // the path ends there, or the request was answered before routing.
    let unprocessed = request.match_info().unprocessed().as_bytes();
    let processed = skeleton.and_then(|skeleton| skeleton.strip_suffix(unprocessed));
    template.is_empty()
        || !unprocessed.is_empty() && processed.is_some_and(|processed| has_parts_of(processed, template))
        || matches_longer_path(request, pattern) && !is_listed_with_a_tail(request, pattern)
}

/// Whether the resource with this pattern lists a tail after it.
///
/// actix-web shows these lists in the map's `Debug` alone, and this is called once for each template and worker. Where
/// their text is not as expected, the answer is `false`: the request counts under the tail, as a directory's would.
fn is_listed_with_a_tail(request: &HttpRequest, pattern: &str) -> bool {
    let (map, pattern) = (format!("{:#?}", request.resource_map()), format!("{pattern:?}"));
    let pattern = pattern.trim_matches('"');
    // The first patterns of the scopes around a line and of its own resource, with their indentation.
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut lines = map.lines().map(|line| (line.len() - line.trim_start().len(), line.trim_start()));
    while let Some((depth, line)) = lines.next() {
        match line {
            // Resources with names are among the others, too.
            "named: {" => drop(lines.find(|end| *end == (depth, "},"))),
            "patterns: Single(" | "patterns: List(" => {
                let listed = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "),");
                let mut listed = listed.filter_map(|line| line.strip_prefix('"')?.strip_suffix("\","));
                let first = listed.next().unwrap_or_default();
                path.retain(|(outer, _)| *outer < depth);
                path.push((depth, first));
                let has_tail = |other: &str| {
                    other.strip_prefix(first).is_some_and(|below| template(below).ends_with("}*"))
                };
                if path.iter().flat_map(|(_, first)| first.chars()).eq(pattern.chars())
                    && listed.any(has_tail)
                {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// Whether the same pattern would match a path that goes on for longer than any later pattern of the same resource
/// does, such as `/items/{id}` after `/items`.
fn matches_longer_path(request: &HttpRequest, pattern: &str) -> bool {
    let longer = format!("{}{}", request.match_info().as_str(), "/x".repeat(MORE_SEGMENTS));
    request.resource_map().match_pattern(&longer).as_deref() == Some(pattern)
}

/// The template of all paths below the prefix of such a service.
pub(crate) fn mount_template(template: &str) -> String {
    format!("{}/{{path}}*", template.trim_end_matches('/'))
}

/// Whether a skeleton has the literal parts and the names of a template, in the same order.
///
/// A template that captures the tail of a path ends with a star. It agrees only if the tail contains a slash: without
/// one, `/x/{p}` may match the next time.
pub(crate) fn agrees(skeleton: &[u8], template: &str) -> bool {
    skeleton.ends_with(&[MARK, MARK]) == template.ends_with("}*") && has_parts_of(skeleton, template)
}

/// As [`agrees`], whether or not there is a tail.
pub(crate) fn has_parts_of(skeleton: &[u8], template: &str) -> bool {
    let skeleton = without_slash_mark(skeleton);
    let mut rest = if template.ends_with("}*") {
        &template.as_bytes()[..template.len() - 1]
    } else {
        template.as_bytes()
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

/// The template of which a request has the skeleton. The router must have processed the whole path.
pub(crate) fn template_of(skeleton: &[u8], request: &HttpRequest, pattern: &str) -> Option<String> {
    let has_slash = skeleton.ends_with(&[MARK, MARK]);
    let skeleton = without_slash_mark(skeleton);
    let mut template = String::with_capacity(skeleton.len() + 8);
    for (i, part) in skeleton.split(|&byte| byte == MARK).enumerate() {
        let part = std::str::from_utf8(part).ok()?;
        if i % 2 == 0 {
            template.push_str(part);
        } else {
            template.extend(["{", part, "}"]);
        }
    }
    if has_slash || template.ends_with('}') && matches_longer_path(request, pattern) {
        template.push('*');
    }
    (!template.is_empty()).then_some(template)
}

/// Whether a template, taken as a path, matches the same pattern: it is then another pattern of the same resource.
pub(crate) fn is_of_same_resource(request: &HttpRequest, template: &str, pattern: &str) -> bool {
    request.resource_map().match_pattern(template).as_deref() == Some(pattern)
}

/// A skeleton without the mark of a value with a slash.
fn without_slash_mark(skeleton: &[u8]) -> &[u8] {
    if skeleton.ends_with(&[MARK, MARK]) { &skeleton[..skeleton.len() - 1] } else { skeleton }
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

/// A pattern without its regular expressions: `/items/{id:\d+}` becomes `/items/{id}`. A tail keeps its star:
/// `/{tail:.*}` becomes `/{tail}*`.
///
/// Braces inside a regular expression are balanced, as actix-web itself demands.
pub(crate) fn template(pattern: &str) -> String {
    let mut template = String::with_capacity(pattern.len() + 1);
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
    if TAILS.iter().any(|tail| pattern.ends_with(tail)) {
        template.push('*');
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
            ("/{tail:.*}", "/{tail}*"),
            ("/a/{b}/{tail:.+}", "/a/{b}/{tail}*"),
            (r"/{tail:.*\.png}", "/{tail}"),
            ("/{tail:.*}/edit", "/{tail}/edit"),
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
        assert!(has_parts_of(b"/files/\xffpath\xff", "/files/{path}*"));
        assert!(has_parts_of(b"/files/\xffpath\xff\xff", "/files/{path}"));
        assert!(!has_parts_of(b"/other/\xffpath\xff", "/files/{path}*"));
        assert!(agrees(b"/", "/"));
        assert!(!agrees(b"/items/{id}", "/items/7"));
    }
}
