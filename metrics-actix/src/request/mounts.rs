//! Where the monitor's own endpoints are mounted.
//!
//! A middleware of the application may refuse a request with an error before it is routed, and the request is lost with
//! that. So the measuring middleware asks before, if the path looks like one of the monitor's own endpoints.
//!
//! Where a mount is in a scope with a guard, the application may have the same paths, and only the router knows who
//! takes a request. Once the application has answered at a path of such a mount, requests below it that are lost count.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use metrics_monitor::Endpoint;

use super::route::{SCRAPES, own_at_path, own_name};

/// The mounts of all apps of a monitor. An app adds its own while it is built.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Mutex<Vec<Mount>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    prefix: String,
    front: Front,
}

/// What a path below a mount has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Front {
    /// It begins with this.
    Beginning(String),
    /// It has this part of the prefix, which follows its last parameter: an outer scope or a parameter takes what is
    /// before it.
    Part(String),
    /// Nothing is known.
    Unknown,
}

/// The mounts that an app's requests are compared with.
#[derive(Debug)]
pub(crate) struct Fronts {
    fronts: Box<[Front]>,
    /// The names of the resources at whose paths the application has answered, which are all of a mount in a scope.
    shared: RefCell<HashSet<Box<str>>>,
}

impl Mounts {
    /// Adds a mount in the app itself, or in a scope of it.
    pub(crate) fn add(&self, prefix: &str, is_root: bool) {
        let literal = prefix.rsplit('}').next().unwrap_or_default().to_owned();
        let front = match literal {
            _ if literal.is_empty() => Front::Unknown,
            literal if is_root && literal.len() == prefix.len() => Front::Beginning(literal),
            literal => Front::Part(literal),
        };
        let mount = Mount { prefix: prefix.to_owned(), front };
        let mut mounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !mounts.contains(&mount) {
            mounts.push(mount);
        }
    }

    /// The prefixes of all mounts.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        self.all().into_iter().map(|mount| mount.prefix).collect()
    }

    /// The mounts so far.
    pub(crate) fn fronts(&self) -> Fronts {
        let fronts = self.all().into_iter().map(|mount| mount.front).collect();
        Fronts { fronts, shared: RefCell::default() }
    }

    fn all(&self) -> Vec<Mount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Fronts {
    /// Whether a request that was not routed yet goes to one of the monitor's own endpoints. Not known below a prefix
    /// that is empty or ends with a parameter, nor where the application [has answered](Fronts::share).
    #[inline]
    pub(crate) fn leads_to_own(&self, request: &HttpRequest) -> bool {
        let is_exclusive = |name: &str| !self.shared.borrow().contains(name);
        self.fronts.iter().any(|front| front.fits(request.path()))
            && own_at_path(request).is_some_and(is_exclusive)
    }

    /// The application has answered a request to the path of one of the monitor's own endpoints.
    #[cold]
    pub(crate) fn share(&self, request: &HttpRequest) {
        if let Some(name) = own_at_path(request) {
            self.shared.borrow_mut().insert(name.into());
        }
    }

    /// The path of a request that belongs to one of the endpoints, if this app has that endpoint but did not route the
    /// request to it.
    #[cold]
    pub(crate) fn shadowed(
        &self,
        request: &HttpRequest,
        mut endpoints: impl Iterator<Item = &'static Endpoint>,
    ) -> Option<String> {
        let path = request.path();
        self.fronts.iter().find_map(|front| {
            let Front::Beginning(prefix) = front else { return None };
            let below = path.strip_prefix(&**prefix)?;
            let is_scrapes = below.is_empty() && is_here(request, prefix, SCRAPES);
            let mut is_endpoint =
                || endpoints.any(|own| own.path() == below && is_here(request, prefix, below));
            // The template of the client's path, not the path itself: it is one of a few.
            (is_scrapes || is_endpoint()).then(|| format!("{prefix}{below}"))
        })
    }
}

/// Whether an app has an endpoint of this name below a mount without parameters.
fn is_here(request: &HttpRequest, prefix: &str, name: &str) -> bool {
    request.url_for_static(&own_name(prefix, name)).is_ok()
}

impl Front {
    fn fits(&self, path: &str) -> bool {
        match self {
            Self::Beginning(beginning) => path.starts_with(&**beginning),
            Self::Part(part) => path.contains(&**part),
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_mount_fit_it() {
        let fits = |prefix, is_root, path| {
            let mounts = Mounts::default();
            (0..2).for_each(|_| mounts.add(prefix, is_root));
            let fronts = mounts.fronts().fronts;
            assert_eq!((fronts.len(), mounts.prefixes()), (1, vec![prefix.to_owned()]));
            fronts[0].fits(path)
        };
        assert!(fits("/metrics", true, "/metrics/summary"));
        assert!(!fits("/metrics", true, "/api/metrics/summary"));
        assert!(fits("/metrics", false, "/api/metrics/summary"));
        assert!(fits("/{tenant}/metrics", true, "/a/metrics/summary"));
        assert!(!fits("/{tenant}/metrics", true, "/a/items"));
        assert!(!fits("", true, "/summary"));
        assert!(!fits("/{tenant}", true, "/a/summary"));
    }
}
