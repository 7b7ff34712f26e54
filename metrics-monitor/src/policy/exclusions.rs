//! Requests that are not counted.

use regex_lite::Regex;

/// Routes and statuses that are not counted. Routes are templates, such as `/items/{id}`; `_unmatched` stands for
/// requests that matched no route.
#[derive(Debug, Default)]
pub struct Exclusions {
    pub(crate) routes: Vec<String>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) patterns: Vec<Regex>,
    pub(crate) statuses: Vec<u16>,
}

impl Exclusions {
    /// Returns whether a route is excluded. Called once per route and thread.
    pub fn has_route(&self, template: &str) -> bool {
        self.routes.iter().any(|route| route == template)
            || self.prefixes.iter().any(|prefix| template.starts_with(prefix))
            || self.patterns.iter().any(|pattern| pattern.is_match(template))
    }

    /// Returns whether any status is excluded.
    pub fn has_statuses(&self) -> bool {
        !self.statuses.is_empty()
    }

    /// Returns whether responses with a status are excluded. Called for each request.
    #[inline]
    pub fn has_status(&self, status: u16) -> bool {
        !self.statuses.is_empty() && self.statuses.contains(&status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_excluded_by_its_template_by_a_prefix_or_by_a_pattern() {
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
        assert!(exclusions.has_status(404) && !exclusions.has_status(200));
        assert!(!Exclusions::default().has_status(404));
        assert!(exclusions.has_statuses() && !Exclusions::default().has_statuses());
    }
}
