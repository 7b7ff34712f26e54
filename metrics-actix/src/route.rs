//! From a request to the name of its endpoint.

use actix_web::HttpRequest;
use actix_web::http::Method;

/// The route of requests that matched nothing, or of which nobody knows what they matched.
pub(crate) const UNMATCHED: &str = "_unmatched";

/// The method of requests whose method HTTP does not define.
const OTHER_METHOD: &str = "_OTHER";

/// The method as a label. Clients can send any; only those that HTTP defines are kept apart.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "PATCH" => "PATCH",
        "TRACE" => "TRACE",
        _ => OTHER_METHOD,
    }
}

/// The template that a request matched, as actix-web writes it. Right only after routing, since guards decide, too.
pub(crate) fn pattern(request: &HttpRequest) -> Option<String> {
    request.match_pattern()
}

/// A template without its regular expressions: `/items/{id:\d+}` becomes `/items/{id}`.
///
/// Braces inside a regular expression are balanced, as actix-web itself demands.
pub(crate) fn template(pattern: &str) -> String {
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
    fn a_method_that_http_does_not_define_is_other() {
        assert_eq!(method_label(&Method::PATCH), "PATCH");
        for name in ["get", "BREW", "PROPFIND"] {
            assert_eq!(method_label(&Method::from_bytes(name.as_bytes()).unwrap()), "_OTHER");
        }
    }
}
