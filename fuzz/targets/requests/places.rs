//! Where a request can go in the application, and the route that the docs promise for it.

use metrics_core::UNMATCHED;

/// A path, and the route of its requests.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub path: &'static str,
    /// After routing.
    pub route: &'static str,
    /// If a middleware answered before that: of a resource with several patterns the first one.
    pub early: &'static str,
    /// With the header that guards demand; `None` if that changes nothing.
    pub guarded: Option<&'static str>,
    /// Whether its resource has a marker, where resources have one.
    pub is_marked: bool,
}

const fn plain(path: &'static str, route: &'static str) -> Place {
    Place { path, route, early: route, guarded: None, is_marked: false }
}

const fn marked(path: &'static str, route: &'static str) -> Place {
    Place { is_marked: true, ..plain(path, route) }
}

const fn several(path: &'static str, route: &'static str, early: &'static str) -> Place {
    Place { early, ..plain(path, route) }
}

const fn unmatched(path: &'static str) -> Place {
    Place::unmatched(path)
}

pub const PLACES: &[Place] = &[
    marked("/static", "/static"),
    marked("/items/7", "/items/{id}"),
    marked("/items/caf%C3%A9?x=/static", "/items/{id}"),
    marked("/items/a%2Fb", "/items/{id}"),
    plain("/numbers/12/x/y", "/numbers/{n}/{rest}*"),
    plain("/numbers/12/", "/numbers/{n}/{rest}*"),
    Place { is_marked: true, ..several("/many/1", "/many/{a}", "/many/{a}") },
    Place { is_marked: true, ..several("/many/1/more/2", "/many/{a}/more/{b}", "/many/{a}") },
    Place { is_marked: true, ..several("/much", "/much", "/many/{a}") },
    plain("/guarded", "/guarded"),
    plain("/posts", "/posts"),
    Place { guarded: Some("/twin/{p}"), ..several("/twin/a", "/twin/{p}*", "/twin/{p}") },
    plain("/twin/a/b", "/twin/{p}*"),
    marked("/api/users/5", "/api/users/{id}"),
    marked("/api/users/6", "/api/users/{id}"),
    plain("/api/v2/deep/9", "/api/v{version}/deep/{id}"),
    several("/api/one/1", "/api/one/{x}", "/api/one/{x}"),
    several("/api/two", "/api/two", "/api/one/{x}"),
    plain("/tail/a/b/c", "/tail/{path}*"),
    plain("/tail/a", "/tail/{path}*"),
    plain("/tail/", "/tail/{path}*"),
    plain("/files/x/y.css", "/files/{path}*"),
    plain("/files/x", "/files/{path}*"),
    plain("/files/", "/files/{path}*"),
    plain("/files", "/files/{path}*"),
    plain("/inner/inside", "/inner/inside"),
    unmatched("/nothing"),
    unmatched("/static/"),
    unmatched("/items"),
    unmatched("/items/"),
    unmatched("/numbers/x/y"),
    unmatched("/tail"),
    unmatched("/api"),
    unmatched("/api/"),
    unmatched("/api/nothing"),
    unmatched("/api/v2/nothing"),
    unmatched("/apis/users/5"),
    unmatched("/inner/nothing"),
    unmatched("//static"),
    unmatched("/%ff/..%2f..%2fstatic"),
    unmatched("/{id}"),
];

impl Place {
    /// A path that nothing matches.
    pub const fn unmatched(path: &'static str) -> Self {
        plain(path, UNMATCHED)
    }
}
