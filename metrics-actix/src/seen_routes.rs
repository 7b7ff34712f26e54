//! Which route a request is counted under, `_unmatched` for a path that matched nothing. The routes that one app has
//! seen on one worker are remembered, so that a known route costs one look-up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use metrics_core::{EndpointId, Registry};
use metrics_monitor::policy::exclusions::Exclusions;

use crate::request::method::{LABELS, MethodLabel};
use crate::request::route::{UNMATCHED, agrees, has_tail_twin, is_own, matched_template, skeleton};

/// Where a request is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CountedAt {
    /// Under this endpoint.
    Endpoint(EndpointId),
    /// Nowhere: it went to one of the monitor's own endpoints, or the application excludes it.
    Nowhere,
}

/// What endpoints are made of that an app has not seen yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) exclusions: &'a Exclusions,
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

/// Bounded by the templates of the app: see [`route`](crate::request::route).
#[derive(Debug, Default)]
struct Tables {
    by_skeleton: ByMethod<Vec<u8>>,
    by_template: ByMethod<String>,
    /// `_unmatched`, for requests that got no response.
    unanswered: [Option<EndpointId>; LABELS],
}

type ByMethod<K> = HashMap<K, [Option<CountedAt>; LABELS], foldhash::fast::RandomState>;

impl SeenRoutes {
    /// The endpoint of a request that was routed and answered. Does not allocate for a known route, unless the answer
    /// is a 404.
    #[inline]
    pub(crate) fn endpoint(
        &self,
        naming: Naming<'_>,
        method: MethodLabel,
        request: &HttpRequest,
        status: StatusCode,
    ) -> CountedAt {
        let Seen { tables, buffer } = &mut *self.0.borrow_mut();
        let skeleton = skeleton(request, buffer);
        if let Some(skeleton) = skeleton
            && status != StatusCode::NOT_FOUND
            && let Some(methods) = tables.by_skeleton.get(skeleton)
            && let Some(endpoint) = methods[method.index()]
        {
            return endpoint;
        }
        tables.search(naming, method, request, skeleton)
    }

    /// `_unmatched`, whether or not that is excluded: a request without a response may have matched something.
    pub(crate) fn unanswered(&self, registry: &Registry, method: MethodLabel) -> CountedAt {
        let unanswered = &mut self.0.borrow_mut().tables.unanswered[method.index()];
        CountedAt::Endpoint(*unanswered.get_or_insert_with(|| registry.endpoint(method.name(), UNMATCHED)))
    }
}

impl Tables {
    /// Looks up in actix-web which route a request took, and remembers it if the skeleton agrees.
    #[cold]
    fn search(
        &mut self,
        naming: Naming<'_>,
        method: MethodLabel,
        request: &HttpRequest,
        skeleton: Option<&[u8]>,
    ) -> CountedAt {
        let matched = matched_template(request);
        let template = matched.as_deref().unwrap_or(UNMATCHED);
        let endpoint = self.by_template(naming, method, template, request);
        if let Some(skeleton) = skeleton
            && matched.is_some()
            && agrees(skeleton, template)
            && !has_tail_twin(request, template)
        {
            remember(&mut self.by_skeleton, skeleton, method, endpoint);
        }
        endpoint
    }

    fn by_template(
        &mut self,
        Naming { registry, exclusions }: Naming<'_>,
        method: MethodLabel,
        template: &str,
        request: &HttpRequest,
    ) -> CountedAt {
        let known = self.by_template.get(template).and_then(|methods| methods[method.index()]);
        known.unwrap_or_else(|| {
            let endpoint = if is_own(request) || exclusions.has_route(template) {
                CountedAt::Nowhere
            } else {
                CountedAt::Endpoint(registry.endpoint(method.name(), template))
            };
            remember(&mut self.by_template, template, method, endpoint);
            endpoint
        })
    }
}

fn remember<K, Q>(endpoints: &mut ByMethod<K>, key: &Q, method: MethodLabel, endpoint: CountedAt)
where
    K: Hash + Eq,
    Q: ToOwned<Owned = K> + ?Sized,
{
    endpoints.entry(key.to_owned()).or_insert([None; LABELS])[method.index()] = Some(endpoint);
}
