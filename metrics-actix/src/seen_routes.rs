//! Which route a request is counted under, `_unmatched` for a path that matched nothing. The routes that one app has
//! seen on one worker are remembered, so that a known route costs one look-up.

use std::borrow::Borrow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use metrics_core::{EndpointId, Registry, UNMATCHED};
use metrics_monitor::policy::exclusions::Exclusions;

use crate::request::method::{LABELS, MethodLabel};
use crate::request::patterns::Patterns;
use crate::request::route::{
    agrees, has_parts_of, has_tail_twin, is_mount, is_of_same_resource, is_own, is_processed,
    matched_pattern, mount_template, template, template_of,
};
use crate::request::skeleton::{Skeletons, skeleton};

/// The application's hook that names the route of a request.
pub(crate) type RouteWith = dyn Fn(&HttpRequest) -> Option<String> + Send + Sync;

/// Most later patterns of resources that an app and a worker remember. An app has fewer.
const MAX_LATER_PATTERNS: usize = 1_024;

/// Where a request is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CountedAt {
    /// Under this endpoint.
    Endpoint(EndpointId),
    /// Nowhere: it went to one of the monitor's own endpoints, or the application excludes it.
    Nowhere,
    /// Nowhere, and it was already taken out of the requests in flight: one of the monitor's own endpoints said so.
    LeftOut,
}

/// What endpoints are made of that an app has not seen yet.
#[derive(Clone, Copy)]
pub(crate) struct Naming<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) exclusions: &'a Exclusions,
    pub(crate) route_with: Option<&'a RouteWith>,
}

/// The routes that an app has seen on one worker.
#[derive(Debug, Default)]
pub(crate) struct SeenRoutes(RefCell<Seen>);

#[derive(Debug, Default)]
struct Seen {
    tables: Tables,
    /// For the skeleton of the current request; kept, so that writing it does not allocate.
    buffer: Vec<u8>,
}

/// Bounded by the templates of the app: see [`route`](crate::request::route). If the application names routes itself,
/// the tables of skeletons stay empty, so only then a request pays for the hook.
#[derive(Debug, Default)]
struct Tables {
    by_skeleton: Skeletons<KnownRoute>,
    /// Those of resources with several patterns, except the first one: before routing, `match_pattern` does not tell
    /// them, so they count only for a path that the router has processed.
    by_later_skeleton: ByMethod<Vec<u8>>,
    by_template: ByMethod<String>,
    /// As `by_template`, for paths that the router has not processed to their end.
    by_template_of_more: ByMethod<String>,
    /// `_unmatched`, for paths that no pattern matches.
    unmatched: [Option<CountedAt>; LABELS],
    /// `_unmatched`, for requests that got no response.
    unanswered: [Option<EndpointId>; LABELS],
    /// Those of the app, once a request matched nothing or a skeleton was remembered; `None` if actix-web does not show
    /// them.
    patterns: OnceCell<Option<Patterns>>,
}

/// The route of a skeleton.
#[derive(Debug, Default)]
struct KnownRoute {
    counted_at: [Option<CountedAt>; LABELS],
    /// Whether it is the route of a 404, too, if the router has processed the whole path.
    is_of_404: bool,
}

type ByMethod<K> = HashMap<K, [Option<CountedAt>; LABELS], foldhash::fast::RandomState>;

impl SeenRoutes {
    /// The endpoint of a request that was routed and answered. Does not allocate for a known route, nor for a path that
    /// surely matches none.
    #[inline]
    pub(crate) fn endpoint<'a>(
        &self,
        naming: impl FnOnce() -> Naming<'a>,
        method: MethodLabel,
        request: &HttpRequest,
        status: StatusCode,
    ) -> CountedAt {
        let Seen { tables, buffer } = &mut *self.0.borrow_mut();
        let is_404 = status == StatusCode::NOT_FOUND;
        if (!is_404 || is_processed(request))
            && let Some(known) = tables.by_skeleton.get(request.match_info())
            && (!is_404 || known.is_of_404)
            && let Some(counted_at) = known.counted_at[method.index()]
        {
            return counted_at;
        }
        if let Some(counted_at) = tables.unmatched[method.index()]
            && let Some(Some(patterns)) = tables.patterns.get()
            && patterns.rule_out(request)
        {
            return counted_at;
        }
        tables.search(naming(), method, request, buffer, status)
    }

    /// `_unmatched`, whether or not that is excluded: a request without a response may have matched something.
    pub(crate) fn unanswered(&self, registry: &Registry, method: MethodLabel) -> CountedAt {
        let unanswered = &mut self.0.borrow_mut().tables.unanswered[method.index()];
        CountedAt::Endpoint(*unanswered.get_or_insert_with(|| registry.endpoint(method.name(), UNMATCHED)))
    }
}

impl Tables {
    /// Looks up which route a request took: first the application's own name for it, if it names routes.
    #[cold]
    #[inline(never)]
    fn search(
        &mut self,
        naming: Naming<'_>,
        method: MethodLabel,
        request: &HttpRequest,
        buffer: &mut Vec<u8>,
        status: StatusCode,
    ) -> CountedAt {
        let skeleton = skeleton(request.match_info(), buffer);
        let Some(route_with) = naming.route_with else {
            return self.matched(naming, method, request, skeleton, status);
        };
        // Neither the monitor's own endpoints nor excluded routes are named.
        let counted_at = self.matched(naming, method, request, skeleton, status);
        let CountedAt::Endpoint(_) = counted_at else { return counted_at };
        match route_with(request).filter(|name| !name.is_empty()) {
            Some(name) => naming.counted_at(method, &name),
            None => counted_at,
        }
    }

    /// Looks up in actix-web which route a request took, and remembers it if the skeleton agrees.
    fn matched(
        &mut self,
        naming: Naming<'_>,
        method: MethodLabel,
        request: &HttpRequest,
        skeleton: Option<&[u8]>,
        status: StatusCode,
    ) -> CountedAt {
        let is_processed = is_processed(request);
        let later = skeleton.filter(|_| is_processed);
        if let Some(later) = later
            && status != StatusCode::NOT_FOUND
            && let Some(known) = known(&self.by_later_skeleton, later, method)
        {
            return known;
        }
        let Some(pattern) = matched_pattern(request) else { return self.unmatched(naming, method, request) };
        let template = template(&pattern);
        if let Some(later) = later
            && !has_parts_of(later, &template)
            && let Some(counted_at) = self.later(naming, method, request, later, &pattern, status)
        {
            return counted_at;
        }
        let known_templates =
            if is_processed { &mut self.by_template } else { &mut self.by_template_of_more };
        if let Some(known) = known(known_templates, template.as_str(), method) {
            self.remember_skeleton(naming, method, request, skeleton, &template, known);
            return known;
        }
        // Not remembered: an application's resource with a guard may have the same template.
        if is_own(request) {
            return CountedAt::Nowhere;
        }
        if is_mount(request, skeleton, &pattern, &template) {
            let counted_at = naming.counted_at(method, &mount_template(&template));
            remember(known_templates, template.as_str(), method, counted_at);
            return counted_at;
        }
        let counted_at = naming.counted_at(method, &template);
        remember(known_templates, template.as_str(), method, counted_at);
        self.remember_skeleton(naming, method, request, skeleton, &template, counted_at);
        counted_at
    }

    /// The endpoint of a request that matched nothing.
    fn unmatched(&mut self, naming: Naming<'_>, method: MethodLabel, request: &HttpRequest) -> CountedAt {
        if let Some(known) = known(&self.by_template, UNMATCHED, method) {
            return known;
        }
        let counted_at = naming.counted_at(method, UNMATCHED);
        remember(&mut self.by_template, UNMATCHED, method, counted_at);
        // An application that names routes itself names these, too.
        if naming.route_with.is_none() {
            self.patterns(request);
            self.unmatched[method.index()] = Some(counted_at);
        }
        counted_at
    }

    /// The patterns of the request's app, if actix-web shows them.
    fn patterns(&self, request: &HttpRequest) -> Option<&Patterns> {
        self.patterns.get_or_init(|| Patterns::of(request)).as_ref()
    }

    /// The endpoint of a later pattern of a resource with several, of which the request has the skeleton.
    ///
    /// A 404 may also be the answer of a scope that consumed the whole path. So it counts only if the pattern is known,
    /// or found again.
    fn later(
        &mut self,
        naming: Naming<'_>,
        method: MethodLabel,
        request: &HttpRequest,
        skeleton: &[u8],
        pattern: &str,
        status: StatusCode,
    ) -> Option<CountedAt> {
        let is_not_found = status == StatusCode::NOT_FOUND;
        if is_not_found && let Some(known) = known(&self.by_later_skeleton, skeleton, method) {
            return Some(known);
        }
        if self.by_later_skeleton.len() >= MAX_LATER_PATTERNS {
            return None;
        }
        let template = template_of(skeleton, request, pattern)?;
        if is_not_found && !is_of_same_resource(request, &template, pattern) {
            return None;
        }
        let counted_at = naming.counted_at(method, &template);
        remember(&mut self.by_later_skeleton, skeleton, method, counted_at);
        Some(counted_at)
    }

    /// Remembers the endpoint of a template's skeleton, unless the application names routes itself.
    fn remember_skeleton(
        &mut self,
        naming: Naming<'_>,
        method: MethodLabel,
        request: &HttpRequest,
        skeleton: Option<&[u8]>,
        template: &str,
        counted_at: CountedAt,
    ) {
        if let Some(skeleton) = skeleton
            && naming.route_with.is_none()
            && agrees(skeleton, template)
            && !has_tail_twin(request, template)
        {
            let is_of_404 =
                self.patterns(request).is_some_and(|patterns| patterns.only_a_resource_has(template));
            if let Some(known) = self.by_skeleton.entry(request.match_info()) {
                known.counted_at[method.index()] = Some(counted_at);
                known.is_of_404 = is_of_404;
            }
        }
    }
}

impl Naming<'_> {
    /// Where requests of a route are counted.
    fn counted_at(self, method: MethodLabel, route: &str) -> CountedAt {
        if self.exclusions.has_route(route) {
            CountedAt::Nowhere
        } else {
            CountedAt::Endpoint(self.registry.endpoint(method.name(), route))
        }
    }
}

fn known<K, Q>(endpoints: &ByMethod<K>, key: &Q, method: MethodLabel) -> Option<CountedAt>
where
    K: Hash + Eq + Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    endpoints.get(key)?[method.index()]
}

fn remember<K, Q>(endpoints: &mut ByMethod<K>, key: &Q, method: MethodLabel, counted_at: CountedAt)
where
    K: Hash + Eq,
    Q: ToOwned<Owned = K> + ?Sized,
{
    endpoints.entry(key.to_owned()).or_insert([None; LABELS])[method.index()] = Some(counted_at);
}
