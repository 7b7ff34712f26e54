//! Requests that are not counted.

use actix_web::http::StatusCode;
use regex_lite::Regex;

/// What is left out. Routes are templates, such as `/items/{id}`; `_unmatched` stands for what matched nothing.
#[derive(Debug, Default)]
pub(crate) struct Exclusions {
    pub(crate) routes: Vec<String>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) patterns: Vec<Regex>,
    pub(crate) statuses: Vec<u16>,
}

impl Exclusions {
    /// Asked once for each route and thread.
    pub(crate) fn has_route(&self, template: &str) -> bool {
        self.routes.iter().any(|route| route == template)
            || self.prefixes.iter().any(|prefix| template.starts_with(prefix))
            || self.patterns.iter().any(|pattern| pattern.is_match(template))
    }

    /// Asked for each request.
    #[inline]
    pub(crate) fn has_status(&self, status: StatusCode) -> bool {
        !self.statuses.is_empty() && self.statuses.contains(&status.as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_excluded_by_itself_by_its_beginning_or_by_a_pattern() {
        let exclusions = Exclusions {
            routes: vec!["/health".into()],
            prefixes: vec!["/static/".into()],
            patterns: vec![Regex::new("^/v[0-9]+/ping$").unwrap()],
            statuses: vec![404],
        };
        for (route, excluded) in [
            ("/health", true),
            ("/health/", false),
            ("/static/{file}*", true),
            ("/static", false),
            ("/v12/ping", true),
            ("/v12/pings", false),
        ] {
            assert_eq!(exclusions.has_route(route), excluded, "{route}");
        }
        assert!(exclusions.has_status(StatusCode::NOT_FOUND) && !exclusions.has_status(StatusCode::OK));
        assert!(!Exclusions::default().has_status(StatusCode::NOT_FOUND));
    }
}
