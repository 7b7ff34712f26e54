//! What one worker thread keeps: its recorder, and the routes that each of its apps has seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use metrics_core::{EndpointId, Recorder};

use crate::builder::Shared;
use crate::endpoints;
use crate::method::{LABELS, MethodLabel};
use crate::route::{UNMATCHED, agrees, matched_template, write_skeleton};

thread_local! {
    /// The workers of this thread, one a monitor. Looked up when a service is built, not when it is called.
    static WORKERS: RefCell<Vec<Weak<Worker>>> = const { RefCell::new(Vec::new()) };
}

/// One thread's part of a monitor, shared by all apps on the thread.
#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    recorder: Recorder,
}

impl Worker {
    /// This thread's worker of the monitor; made if there is none.
    fn of_this_thread(shared: Arc<Shared>) -> Rc<Self> {
        WORKERS.with_borrow_mut(|workers| {
            workers.retain(|worker| worker.strong_count() > 0);
            let mut known = workers.iter().filter_map(Weak::upgrade);
            let found = known.find(|worker| Arc::ptr_eq(&worker.shared, &shared));
            found.unwrap_or_else(|| {
                let recorder = shared.registry.recorder();
                let worker = Rc::new(Self { shared, recorder });
                workers.push(Rc::downgrade(&worker));
                worker
            })
        })
    }
}

/// One app on one worker thread.
#[derive(Debug)]
pub(crate) struct AppWorker {
    worker: Rc<Worker>,
    routes: RefCell<Routes>,
}

/// Where a request is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Endpoint {
    /// Under this endpoint.
    Counted(EndpointId),
    /// Nowhere: it is one of our own endpoints.
    Excluded,
}

/// The routes that the app has seen. Bounded by its templates: see `route`.
#[derive(Debug, Default)]
struct Routes {
    by_skeleton: ByMethod<Vec<u8>>,
    by_template: ByMethod<String>,
    /// The skeleton of the request at hand; kept, so that writing it does not allocate.
    skeleton: Vec<u8>,
}

type ByMethod<K> = HashMap<K, [Option<Endpoint>; LABELS], foldhash::fast::RandomState>;

impl AppWorker {
    /// For an app that is being built on this thread.
    pub(crate) fn new(shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self { worker: Worker::of_this_thread(shared), routes: RefCell::default() })
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.worker.recorder
    }

    /// The endpoint of a request that went through routing and was answered. Does not allocate once its route was seen,
    /// unless the answer is a 404.
    pub(crate) fn endpoint(
        &self,
        method: MethodLabel,
        request: &HttpRequest,
        status: StatusCode,
    ) -> Endpoint {
        let routes = &mut *self.routes.borrow_mut();
        let has_skeleton = write_skeleton(request, &mut routes.skeleton);
        if has_skeleton
            && status != StatusCode::NOT_FOUND
            && let Some(methods) = routes.by_skeleton.get(&routes.skeleton)
            && let Some(endpoint) = methods[method.index()]
        {
            return endpoint;
        }
        routes.search(&self.worker.shared, method, request, has_skeleton)
    }

    /// The endpoint of a request of which nobody knows what it matched.
    pub(crate) fn unmatched(&self, method: MethodLabel) -> EndpointId {
        self.worker.shared.registry.endpoint(method.name(), UNMATCHED)
    }
}

impl Routes {
    /// Asks actix-web which route a request took, and remembers it if the skeleton agrees.
    #[cold]
    fn search(
        &mut self,
        shared: &Shared,
        method: MethodLabel,
        request: &HttpRequest,
        has_skeleton: bool,
    ) -> Endpoint {
        let matched = matched_template(request);
        let template = matched.as_deref().unwrap_or(UNMATCHED);
        let known = self.by_template.get(template).and_then(|methods| methods[method.index()]);
        let endpoint = known.unwrap_or_else(|| {
            let endpoint = if endpoints::is_own(request) {
                Endpoint::Excluded
            } else {
                Endpoint::Counted(shared.registry.endpoint(method.name(), template))
            };
            remember(&mut self.by_template, template, method, endpoint);
            endpoint
        });
        if has_skeleton && matched.is_some() && agrees(&self.skeleton, template) {
            remember(&mut self.by_skeleton, self.skeleton.as_slice(), method, endpoint);
        }
        endpoint
    }
}

fn remember<K, Q>(endpoints: &mut ByMethod<K>, key: &Q, method: MethodLabel, endpoint: Endpoint)
where
    K: Hash + Eq,
    Q: ToOwned<Owned = K> + ?Sized,
{
    endpoints.entry(key.to_owned()).or_insert([None; LABELS])[method.index()] = Some(endpoint);
}
