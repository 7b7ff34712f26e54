//! Mounts the monitor's endpoints in an app, and tells which endpoint a request means.
//!
//! The endpoints below a prefix are one entry in the router of the app, a scope, since actix-web tries the entries one
//! after the other: a request to the application passes one prefix instead of twenty paths. A scope takes every path
//! below its prefix, so a guard refuses those that are no endpoint's. They go on to the routes of the application.
//!
//! Each endpoint also answers with a slash at the end of its path, for apps that append one (`NormalizePath`).

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::{AppService, HttpServiceFactory, Service, Url};
use actix_web::guard::{Guard, GuardContext};
use actix_web::web::{self, ServiceConfig};
use metrics_monitor::{Endpoint, Monitor, Sender};

use crate::adapter;
use crate::request::headers::RequestHeaders;
use crate::request::route::own_name;
use crate::shared::Shared;
use crate::worker::leave_out;

/// The name of the scrapes that are mounted by themselves.
const SCRAPES: &str = "scrapes";

/// The name of the path that repeats the mount's last part.
const TWICE: &str = "twice";

/// All endpoints of a monitor under `prefix`.
pub(crate) fn routes(shared: Arc<Shared>, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let prefix = normal(prefix);
    move |config| mount(config, &shared, &prefix, all(&shared.monitor, &prefix))
}

/// The endpoint for Prometheus by itself.
pub(crate) fn prometheus_at(shared: Arc<Shared>, path: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let path = normal(path);
    move |config| {
        let endpoint = shared.monitor.prometheus_endpoint();
        let scrapes = Own { name: SCRAPES, below: String::new(), endpoint, also_with_slash: true };
        mount_singly(config, &shared, &path, scrapes);
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

fn is_page(endpoint: &Endpoint) -> bool {
    matches!(endpoint.path(), "" | "/")
}

/// Mounts the endpoints as a scope.
fn mount(config: &mut ServiceConfig, shared: &Arc<Shared>, prefix: &str, mounted: Vec<Own>) {
    // Where the prefix ends with a parameter, or is empty, its end cannot be found in a path.
    if prefix.is_empty() || prefix.ends_with('}') {
        return mounted.into_iter().for_each(|own| mount_singly(config, shared, prefix, own));
    }
    config.service(Mount { shared: Arc::clone(shared), prefix: prefix.to_owned(), mounted });
}

/// The endpoints below a prefix, until the app knows where they are.
struct Mount {
    shared: Arc<Shared>,
    prefix: String,
    mounted: Vec<Own>,
}

impl HttpServiceFactory for Mount {
    fn register(self, config: &mut AppService) {
        let Self { shared, prefix, mounted } = self;
        let end = if config.is_root() { End::of(&prefix) } else { End::after_last_parameter(&prefix) };
        let scope = web::scope(&prefix).guard(Below { end, mounted: mounted.clone() });
        let paths = mounted.into_iter().flat_map(|own| own.paths().map(move |path| (own.clone(), path)));
        let resources = paths.map(|(own, path)| resource(&shared, path.clone(), own, path));
        resources.fold(scope, |scope, resource| scope.service(resource)).register(config);
    }
}

/// Mounts an endpoint as entries of its own.
fn mount_singly(config: &mut ServiceConfig, shared: &Arc<Shared>, prefix: &str, own: Own) {
    for path in own.paths() {
        config.service(resource(shared, format!("{prefix}{path}"), own.clone(), path));
    }
}

/// Lets only the paths of endpoints into the scope of a mount.
struct Below {
    end: End,
    mounted: Vec<Own>,
}

impl Guard for Below {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        // Decoded, as the router matches it.
        let url = Url::new(context.head().uri.clone());
        self.end.rest_is(url.path(), |rest| self.mounted.iter().any(|own| own.has(rest)))
    }
}

/// Where the prefix of a mount ends in a path that begins with it.
enum End {
    /// Before the slash that follows so many slashes.
    Slashes(usize),
    /// After this part of the prefix, which follows its last parameter: what an outer scope or a parameter takes of a
    /// path is not known here, so it may be any place with this text.
    Literal(String),
}

impl End {
    /// Of a prefix that begins with the path.
    fn of(prefix: &str) -> Self {
        // A parameter takes one segment, unless its expression says otherwise.
        if prefix.contains(':') {
            Self::after_last_parameter(prefix)
        } else {
            Self::Slashes(prefix.matches('/').count())
        }
    }

    fn after_last_parameter(prefix: &str) -> Self {
        Self::Literal(prefix.rsplit('}').next().unwrap_or_default().to_owned())
    }

    /// Whether what follows the prefix in a path is as wanted.
    fn rest_is(&self, path: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Slashes(before) => {
                let end = path.match_indices('/').nth(*before).map_or(path.len(), |(position, _)| position);
                is_wanted(&path[end..])
            }
            Self::Literal(literal) => {
                let mut ends = path.rmatch_indices(&**literal).map(|(from, literal)| from + literal.len());
                ends.any(|end| is_wanted(&path[end..]))
            }
        }
    }
}

/// A resource that answers all methods: the monitor refuses the wrong ones. Its name tells the middleware that it is
/// not counted. `below` is its path below the mount.
fn resource(shared: &Arc<Shared>, path: String, own: Own, below: String) -> impl HttpServiceFactory + use<> {
    let (answering, leaving) = (Arc::clone(shared), Arc::clone(shared));
    web::resource(path)
        .name(&own_name(own.name))
        .to(move |request: HttpRequest, body: web::Payload| {
            let (monitor, below) = (answering.monitor.clone(), below.clone());
            let endpoint = meant(&monitor, &own, &request);
            async move { adapter::respond(&monitor, endpoint, &below, &request, body.into_inner()).await }
        })
        .wrap_fn(move |request, service| {
            leave_out(&leaving);
            service.call(request)
        })
}

/// The endpoint that a request means: where the scrapes share a path with another endpoint, its `Accept` decides.
fn meant(monitor: &Monitor, own: &Own, request: &HttpRequest) -> &'static Endpoint {
    let scrapes = monitor.prometheus_endpoint();
    let sender = monitor.sender(&RequestHeaders { headers: request.headers(), authority: None });
    if own.name == SCRAPES {
        return match sender {
            Sender::Scraper => scrapes,
            sender => beside_scrapes(monitor, request, sender).unwrap_or(scrapes),
        };
    }
    let wants_scrapes = match sender {
        Sender::Browser => false,
        Sender::Scraper => is_page(own.endpoint) || is_mounted(request, SCRAPES),
        Sender::Unknown => is_page(own.endpoint) && is_mounted(request, SCRAPES),
    };
    if wants_scrapes { scrapes } else { own.endpoint }
}

/// Another endpoint at the path of the scrapes, if the sender wants it: of the page, only a browser does.
fn beside_scrapes(monitor: &Monitor, request: &HttpRequest, sender: Sender) -> Option<&'static Endpoint> {
    let has_slash = request.path().ends_with('/');
    let scrapes = monitor.prometheus_endpoint().path();
    monitor.endpoints().find(|endpoint| {
        let fits = match endpoint.path() {
            "" => !has_slash && sender == Sender::Browser,
            "/" => has_slash && sender == Sender::Browser,
            path => path != scrapes,
        };
        fits && is_mounted(request, endpoint.path())
    })
}

/// Whether an endpoint with this name is mounted at the path of a request, in the same app.
fn is_mounted(request: &HttpRequest, name: &str) -> bool {
    let captured = request.match_info().iter().map(|(_, value)| value);
    let url = request.url_for(&own_name(name), captured);
    url.is_ok_and(|url| url.path().trim_end_matches('/') == request.path().trim_end_matches('/'))
}
