//! Mounts the monitor's endpoints in an app, and finds the endpoint that a request means.
//!
//! The endpoints below a prefix are one entry in the router of the app, since actix-web tries the entries one after the
//! other: a request to the application passes one prefix instead of twenty paths. The entry is a scope where a guard
//! can tell which part of a path is below the prefix. A scope takes every path below its prefix, so the guard refuses
//! those that are no endpoint's, and they go on to the routes of the application. Inside another scope, and after a
//! parameter with an expression, a guard cannot tell that. There the entry is a resource whose pattern has all paths of
//! endpoints, which takes longer to compare.
//!
//! Each endpoint also answers with a slash at the end of its path, for apps that append one (`NormalizePath`).

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::{AppService, HttpServiceFactory, Service, Url};
use actix_web::guard::{Guard, GuardContext};
use actix_web::web::{self, ServiceConfig};
use metrics_monitor::{Endpoint, Monitor, Sender};

use crate::adapter;
use crate::request::headers::RequestHeaders;
use crate::request::route::{SCRAPES, arrive, own_name};
use crate::shared::Shared;
use crate::worker::leave_out;

/// The name of the path that repeats the mount's last part.
const TWICE: &str = "twice";

/// The name of the resource that is all endpoints of a mount.
const ALL: &str = "all";

/// The part of a path below the prefix of such a resource.
const BELOW: &str = "metrics_actix_below";

/// All endpoints of a monitor under `prefix`.
pub(crate) fn routes(shared: Arc<Shared>, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let prefix = normal(prefix);
    move |config| {
        let mounted = all(&shared.monitor, &prefix);
        config.service(Mount { shared, prefix, mounted });
    }
}

/// The endpoint for Prometheus by itself.
pub(crate) fn prometheus_at(shared: Arc<Shared>, path: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let path = normal(path);
    move |config| {
        let endpoint = shared.monitor.prometheus_endpoint();
        let scrapes = Own { name: SCRAPES, below: String::new(), endpoint, also_with_slash: true };
        config.service(Mount { shared, prefix: path, mounted: vec![scrapes] });
    }
}

/// With a slash at its beginning and none at its end; nothing if it is the root.
fn normal(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

/// An endpoint of a mount.
#[derive(Debug, Clone)]
struct Own {
    name: &'static str,
    /// Its path below the mount.
    below: String,
    endpoint: &'static Endpoint,
    also_with_slash: bool,
}

/// All endpoints, as they are mounted under `prefix`.
fn all(monitor: &Monitor, prefix: &str) -> Vec<Own> {
    let last = prefix.rsplit('/').next().filter(|last| !last.is_empty() && !last.contains(['{', '}']));
    let mut mounted: Vec<_> = monitor
        .endpoints()
        .map(|endpoint| {
            let path = endpoint.path();
            let is_page = is_page(endpoint);
            Own { name: path, below: path.to_owned(), endpoint, also_with_slash: !is_page }
        })
        .collect();
    let find = |path| monitor.endpoints().find(|endpoint| endpoint.path() == path);
    match (last, find(""), find("/")) {
        // If the slash that the redirect appends is taken away, it leads here, and back to the page.
        (Some(last), Some(redirect), _) => {
            let below = format!("/{last}");
            mounted.push(Own { name: TWICE, below, endpoint: redirect, also_with_slash: false });
        }
        // The last part is not known, or there is none: no redirect, but the page itself.
        (None, _, Some(page)) => {
            mounted.iter_mut().filter(|own| own.below.is_empty()).for_each(|own| own.endpoint = page);
        }
        _ => {}
    }
    mounted
}

impl Own {
    /// Its paths below the mount.
    fn paths(&self) -> impl Iterator<Item = String> + use<> {
        let with_slash = self.also_with_slash.then(|| format!("{}/", self.below));
        std::iter::once(self.below.clone()).chain(with_slash)
    }

    /// The expression of its paths below the mount.
    fn expression(&self) -> String {
        let path = match self.below.strip_suffix("/{file}") {
            Some(folder) => format!("{}/[^/]+", escaped(folder)),
            None => escaped(&self.below),
        };
        format!("{path}{}", if self.also_with_slash { "/?" } else { "" })
    }

    /// Whether it has this path below the mount.
    fn has(&self, path: &str) -> bool {
        let path = if self.also_with_slash { path.strip_suffix('/').unwrap_or(path) } else { path };
        match self.below.strip_suffix("/{file}") {
            Some(folder) => {
                let file = path.strip_prefix(folder).and_then(|file| file.strip_prefix('/'));
                file.is_some_and(|file| !file.is_empty() && !file.contains('/'))
            }
            None => path == self.below,
        }
    }
}

/// A text as an expression.
fn escaped(text: &str) -> String {
    let is_special = |c: &char| c.is_ascii_punctuation() && !"/<>".contains(*c);
    text.chars().flat_map(|c| is_special(&c).then_some('\\').into_iter().chain([c])).collect()
}

fn is_page(endpoint: &Endpoint) -> bool {
    matches!(endpoint.path(), "" | "/")
}

/// Returns the endpoint of a request that was routed, and its path below the mount.
type Find = dyn Fn(&HttpRequest) -> (Own, String);

/// The endpoints below a prefix, until the app knows where they are.
struct Mount {
    shared: Arc<Shared>,
    prefix: String,
    mounted: Vec<Own>,
}

impl HttpServiceFactory for Mount {
    fn register(self, config: &mut AppService) {
        let is_root = config.is_root();
        self.shared.mounts.add(&self.prefix, is_root);
        if self.prefix.is_empty() || self.mounted.len() == 1 {
            self.register_singly(config);
        } else if is_root && !self.prefix.contains(':') && !self.prefix.ends_with('}') {
            self.register_as_scope(config);
        } else {
            self.register_as_pattern(config);
        }
    }
}

impl Mount {
    /// Each endpoint is an entry of its own.
    fn register_singly(self, config: &mut AppService) {
        for (own, path) in self.paths() {
            let name = own_name(&self.prefix, own.name);
            self.resource(format!("{}{path}", self.prefix), &name, one(own, path)).register(config);
        }
    }

    fn register_as_scope(self, config: &mut AppService) {
        let slashes = self.prefix.matches('/').count();
        let scope = web::scope(&self.prefix).guard(Below { slashes, mounted: self.mounted.clone() });
        let resources = self.paths().map(|(own, path)| {
            let name = own_name(&self.prefix, own.name);
            self.resource(path.clone(), &name, one(own, path))
        });
        resources.fold(scope, |scope, resource| scope.service(resource)).register(config);
    }

    fn register_as_pattern(self, config: &mut AppService) {
        let below: Vec<_> = self.mounted.iter().map(Own::expression).collect();
        let pattern = format!("{}{{{BELOW}:{}}}", self.prefix, below.join("|"));
        let mounted: Rc<[Own]> = self.mounted.clone().into();
        let find: Rc<Find> = Rc::new(move |request| {
            let below = request.match_info().get(BELOW).unwrap_or_default();
            let own = mounted.iter().find(|own| own.has(below));
            (own.expect("the pattern has no other paths").clone(), below.to_owned())
        });
        self.resource(pattern, &own_name(&self.prefix, ALL), find).register(config);
    }

    /// The endpoints, with each of their paths below the mount.
    fn paths(&self) -> impl Iterator<Item = (Own, String)> + use<> {
        let paths = |own: Own| own.paths().map(move |path| (own.clone(), path));
        self.mounted.clone().into_iter().flat_map(paths)
    }

    /// A resource that answers all methods: the monitor refuses the wrong ones. Its name tells the middleware that it
    /// is not counted. `find` returns the endpoint of a request, and its path below the mount.
    fn resource(&self, path: String, name: &str, find: Rc<Find>) -> impl HttpServiceFactory + use<> {
        let (answering, leaving) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        web::resource(path)
            .name(name)
            .to(move |request: HttpRequest, body: web::Payload| {
                let shared = Arc::clone(&answering);
                let (own, below) = find(&request);
                let endpoint = meant(&shared, &own, &request);
                async move {
                    adapter::respond(&shared.monitor, endpoint, &below, &request, body.into_inner()).await
                }
            })
            .wrap_fn(move |request, service| {
                arrive(&request);
                leave_out(&leaving);
                service.call(request)
            })
    }
}

/// Always the same endpoint.
fn one(own: Own, path: String) -> Rc<Find> {
    Rc::new(move |_| (own.clone(), path.clone()))
}

/// Lets only the paths of endpoints into the scope of a mount.
struct Below {
    /// Those of the prefix, which begins with the path, and of which each parameter takes one segment.
    slashes: usize,
    mounted: Vec<Own>,
}

impl Guard for Below {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        // Decoded, as the router matches it.
        let url = Url::new(context.head().uri.clone());
        let path = url.path();
        let end = path.match_indices('/').nth(self.slashes).map_or(path.len(), |(position, _)| position);
        self.mounted.iter().any(|own| own.has(&path[end..]))
    }
}

/// The endpoint that a request means: where the scrapes share a path with another endpoint, its `Accept` decides.
fn meant(shared: &Shared, own: &Own, request: &HttpRequest) -> &'static Endpoint {
    let monitor = &shared.monitor;
    let scrapes = monitor.prometheus_endpoint();
    let sender = monitor.sender(&RequestHeaders { headers: request.headers(), authority: None });
    if own.name == SCRAPES {
        return match sender {
            Sender::Scraper => scrapes,
            sender => beside_scrapes(shared, request, sender).unwrap_or(scrapes),
        };
    }
    let wants_scrapes = match sender {
        Sender::Browser => false,
        Sender::Scraper => is_page(own.endpoint) || is_mounted(shared, request, SCRAPES, ""),
        Sender::Unknown => is_page(own.endpoint) && is_mounted(shared, request, SCRAPES, ""),
    };
    if wants_scrapes { scrapes } else { own.endpoint }
}

/// Another endpoint at the path of the scrapes, if the sender wants it: of the page, only a browser does.
fn beside_scrapes(shared: &Shared, request: &HttpRequest, sender: Sender) -> Option<&'static Endpoint> {
    let monitor = &shared.monitor;
    let has_slash = request.path().ends_with('/');
    let scrapes = monitor.prometheus_endpoint().path();
    monitor.endpoints().find(|endpoint| {
        let fits = match endpoint.path() {
            "" => !has_slash && sender == Sender::Browser,
            "/" => has_slash && sender == Sender::Browser,
            path => path != scrapes,
        };
        let path = endpoint.path();
        fits && (is_mounted(shared, request, path, "") || is_mounted(shared, request, ALL, path))
    })
}

/// Whether an endpoint with this name is mounted at the path of a request, in the same app. `below` is its path below a
/// mount that is one resource.
fn is_mounted(shared: &Shared, request: &HttpRequest, name: &str, below: &str) -> bool {
    let is_here = |path: &str| path.trim_end_matches('/') == request.path().trim_end_matches('/');
    shared.mounts.prefixes().iter().any(|prefix| {
        let captured = request.match_info().iter().filter(|(name, _)| *name != BELOW).map(|(_, value)| value);
        let url = request.url_for(&own_name(prefix, name), captured.chain([below]));
        url.is_ok_and(|url| is_here(url.path()))
    })
}
