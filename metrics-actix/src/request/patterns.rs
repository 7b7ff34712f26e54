//! The patterns of an app, all in one tree of segments: which paths they cannot match.
//!
//! actix-web tells which pattern a request matched, but walks all of them for that, and a request that no resource took
//! pays for the walk only to learn that there is none. The tree answers most of these at once: it knows the literal
//! segments, and takes anything for the rest, so what it rules out matches no pattern.

use std::collections::HashSet;

use actix_web::HttpRequest;

use super::resources::Resource;
use super::route::{is_own_name, template};

/// All patterns of an app.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// The first one is the root.
    nodes: Vec<Node>,
    /// The node of the empty segment before the first slash, if all patterns begin with it.
    after_slash: Option<usize>,
    /// Templates of what is no resource of the application's: scopes, whose default services may answer, services that
    /// handle the paths below theirs, and the monitor's own endpoints. Without the star of a tail, since skeletons do
    /// not show it.
    others: HashSet<String>,
}

/// Where patterns are that begin with the same segments.
#[derive(Debug, Default)]
struct Node {
    /// The nodes of literal segments, sorted by length and then by text, so that few texts are compared.
    literals: Vec<(Box<[u8]>, usize)>,
    /// The node of segments that are not literal.
    any: Option<usize>,
    /// Whether a pattern ends here.
    ends: bool,
    /// Whether a pattern may go on from here in any way, after a slash.
    is_open: bool,
}

impl Node {
    /// Where a literal segment is, or would be.
    #[inline]
    fn find(&self, segment: &[u8]) -> Result<usize, usize> {
        self.literals
            .binary_search_by(|(text, _)| text.len().cmp(&segment.len()).then_with(|| (**text).cmp(segment)))
    }
}

impl Patterns {
    /// The patterns of the app that a request went to, if actix-web shows them.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        let mut patterns = Self { nodes: vec![Node::default()], after_slash: None, others: HashSet::new() };
        patterns.add(&Resource::root(request.resource_map())?, "");
        if let [Node { literals, any: None, is_open: false, .. }, ..] = &*patterns.nodes
            && let [(text, node)] = &**literals
            && text.is_empty()
        {
            patterns.after_slash = Some(*node);
        }
        Some(patterns)
    }

    /// Whether surely no pattern matches the path of a request, whatever guards and regular expressions say. Allocates
    /// nothing.
    #[inline]
    pub(crate) fn rule_out(&self, request: &HttpRequest) -> bool {
        // The router matches the decoded path, and `match_pattern` the one that was sent.
        let path = request.path();
        path == request.match_info().as_str()
            && path.as_bytes().strip_prefix(b"/").is_some_and(|rest| match self.after_slash {
                Some(node) => !self.may_match(node, Some(rest)),
                None => !self.may_match(0, Some(path.as_bytes())),
            })
    }

    /// Whether a request whose whole path was processed, and that has the skeleton of this template, was answered by a
    /// resource of the application's.
    pub(crate) fn only_a_resource_has(&self, template: &str) -> bool {
        !self.others.contains(without_star(template))
    }

    /// `rest` is what follows the segments of the node; `None` at the end of the path.
    fn may_match(&self, node: usize, rest: Option<&[u8]>) -> bool {
        let node = &self.nodes[node];
        let Some(rest) = rest else { return node.ends };
        if node.is_open {
            return true;
        }
        // A loop, since segments are too short for the call that a search for a slash would be.
        let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let (segment, rest) = (&rest[..length], rest.get(length + 1..));
        node.find(segment).is_ok_and(|at| self.may_match(node.literals[at].1, rest))
            || node.any.is_some_and(|any| self.may_match(any, rest))
    }

    /// Adds a resource in scopes that have the pattern `outer` together.
    fn add(&mut self, resource: &Resource, outer: &str) {
        let Resource { name, patterns, is_prefix, children } = resource;
        let is_other = *is_prefix || children.is_some() || name.as_deref().is_some_and(is_own_name);
        for pattern in patterns {
            let whole = format!("{outer}{pattern}");
            if is_other {
                self.others.insert(without_star(&template(&whole)).to_owned());
            }
            match children {
                _ if pattern.ends_with('*') && !pattern.ends_with("}*") => {
                    // actix-web warns of a tail without a name, and does not say what it matches.
                    self.insert(outer, true);
                }
                Some(children) => children.iter().for_each(|child| self.add(child, &whole)),
                None => self.insert(&whole, *is_prefix),
            }
        }
    }

    /// Adds a pattern, which may go on in any way after a slash if it is a prefix.
    fn insert(&mut self, pattern: &str, is_prefix: bool) {
        let (mut node, mut depth) = (0, 0_usize);
        let is_slash = |character| {
            depth = match character {
                '{' => depth + 1,
                '}' => depth.saturating_sub(1),
                _ => depth,
            };
            character == '/' && depth == 0
        };
        for segment in pattern.split(is_slash) {
            node = if !segment.contains(['{', '*']) {
                self.literal(node, segment)
            } else if segment.contains([':', '*']) {
                // A regular expression or a tail, which may take slashes.
                self.nodes[node].is_open = true;
                return;
            } else {
                self.any(node)
            };
        }
        self.nodes[node].ends = true;
        self.nodes[node].is_open |= is_prefix;
    }

    fn literal(&mut self, node: usize, text: &str) -> usize {
        match self.nodes[node].find(text.as_bytes()) {
            Ok(at) => self.nodes[node].literals[at].1,
            Err(at) => {
                let new = self.new_node();
                self.nodes[node].literals.insert(at, (text.as_bytes().into(), new));
                new
            }
        }
    }

    fn any(&mut self, node: usize) -> usize {
        self.nodes[node].any.unwrap_or_else(|| {
            let new = self.new_node();
            self.nodes[node].any = Some(new);
            new
        })
    }

    fn new_node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }
}

fn without_star(template: &str) -> &str {
    template.strip_suffix('*').unwrap_or(template)
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, Resource, web};

    use super::*;

    fn routes() -> [Resource; 7] {
        [
            web::resource("/"),
            web::resource("/health"),
            web::resource(["/v1/x", "/v2/{a}-{b}"]),
            web::resource("/items/{id}"),
            web::resource(r"/numbers/{n:\d+}/x"),
            web::resource("/files/{path}*"),
            web::resource("/time/12:30"),
        ]
    }

    #[actix_web::test]
    async fn a_path_is_ruled_out_only_if_no_pattern_may_match_it() {
        let ok = || web::to(HttpResponse::Ok);
        let scope = web::scope("/api/{tenant}").route("", ok()).route("/orders/{id}", ok());
        let check = async |request: HttpRequest| {
            let patterns = Patterns::of(&request).unwrap();
            let may_match = request.headers().contains_key("x-may-match");
            assert_eq!(patterns.rule_out(&request), !may_match, "{}", request.path());
            assert!(may_match || request.match_pattern().is_none());
            HttpResponse::Ok().finish()
        };
        let app = routes().into_iter().fold(App::new(), |app, resource| app.service(resource.to(check)));
        let app = init_service(app.service(scope).default_service(web::to(check))).await;
        for (path, may_match) in [
            ("/", true),
            ("/health", true),
            ("/health/", false),
            ("/healthy", false),
            ("/Health", false),
            ("//", false),
            ("/nowhere/7", false),
            ("/items", false),
            ("/items/7", true),
            ("/items/7/8", false),
            ("/v1/x", true),
            ("/v1/y", false),
            ("/v2/y", true),
            // What an expression takes is not looked at.
            ("/numbers/a", true),
            ("/number", false),
            ("/files", false),
            ("/files/a/b", true),
            ("/time/12:30", true),
            ("/time/12:31", false),
            ("/api", false),
            ("/api/a/orders", false),
            ("/api/a/orders/7", true),
            // Sent in another way than the router matches it.
            ("/%6Eowhere", true),
        ] {
            let mut request = TestRequest::with_uri(path);
            if may_match {
                request = request.insert_header(("x-may-match", "yes"));
            }
            assert_eq!(call_service(&app, request.to_request()).await.status(), 200, "{path}");
        }
    }
}
