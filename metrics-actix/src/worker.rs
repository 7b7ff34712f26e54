//! What one worker thread keeps: its recorder, and the routes that each of its apps has seen.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{Error, HttpRequest};
use metrics_core::{Consumer, EndpointId, Outcome, Recorder, TraceContext};

use crate::builder::Shared;
use crate::consumer::Seen;
use crate::endpoints;
use crate::method::{LABELS, MethodLabel};
use crate::notable::{Lots, Notable, Noted, nanos};
use crate::route::{UNMATCHED, agrees, has_tail_twin, matched_template, skeleton};
use crate::trace::{w3c, w3c_or_vendors};

thread_local! {
    /// The workers of this thread, one a monitor. Looked up when a service is built, not when it is called.
    static WORKERS: RefCell<Vec<Weak<Worker>>> = const { RefCell::new(Vec::new()) };
}

/// One thread's part of a monitor, shared by all apps on the thread.
#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    recorder: Recorder,
    /// Gone when the worker is, for whoever watches its thread.
    alive: Arc<()>,
    consumers: Seen,
    /// The request that is being called or polled, if any.
    current: Cell<RequestId>,
    requests: Cell<u64>,
    /// Where requests were that markers saw, and that the middleware has not ended yet.
    notes: RefCell<HashMap<RequestId, Endpoint, foldhash::fast::RandomState>>,
    lots: Lots,
}

/// Notes that a worker keeps. There are more only if something inside of the middleware goes on when the request is over.
const MAX_NOTES: usize = 4_096;

/// Tells the requests of a worker apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(u64);

/// Is no request's.
const NO_REQUEST: RequestId = RequestId(0);

/// While it lives, its request is the current one.
#[derive(Debug)]
pub(crate) struct Current<'a> {
    worker: &'a Worker,
    before: RequestId,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.worker.current.set(self.before);
    }
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
                let worker = Rc::new(Self {
                    shared,
                    recorder,
                    alive: Arc::new(()),
                    consumers: Seen::default(),
                    current: Cell::new(NO_REQUEST),
                    requests: Cell::new(0),
                    notes: RefCell::default(),
                    lots: Lots::new(),
                });
                worker.shared.resources.event_loops.watch(Arc::downgrade(&worker.alive));
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
    /// Nowhere: it is one of our own endpoints, or the application wants it left out.
    Excluded,
}

#[derive(Debug, Default)]
struct Routes {
    seen: SeenRoutes,
    /// For the skeleton of the request at hand; kept, so that writing it does not allocate.
    buffer: Vec<u8>,
}

/// The routes that the app has seen. Bounded by its templates: see `route`.
#[derive(Debug, Default)]
struct SeenRoutes {
    by_skeleton: ByMethod<Vec<u8>>,
    by_template: ByMethod<String>,
    /// `_unmatched`, for requests that got no response.
    unanswered: [Option<EndpointId>; LABELS],
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
        let Routes { seen, buffer } = &mut *self.routes.borrow_mut();
        let skeleton = skeleton(request, buffer);
        if let Some(skeleton) = skeleton
            && status != StatusCode::NOT_FOUND
            && let Some(methods) = seen.by_skeleton.get(skeleton)
            && let Some(endpoint) = methods[method.index()]
        {
            return endpoint;
        }
        seen.search(&self.worker.shared, method, request, skeleton)
    }

    /// The endpoint of a request that got no response: where a marker saw it, or `_unmatched`, whether or not that is
    /// excluded: nobody knows that it matched nothing.
    pub(crate) fn last_seen(&self, method: MethodLabel, noted: Option<Endpoint>) -> Endpoint {
        noted.unwrap_or_else(|| {
            let unanswered = &mut self.routes.borrow_mut().seen.unanswered[method.index()];
            let intern = || self.worker.shared.registry.endpoint(method.name(), UNMATCHED);
            Endpoint::Counted(*unanswered.get_or_insert_with(intern))
        })
    }

    /// A number for a request that begins.
    #[inline]
    pub(crate) fn next_request(&self) -> RequestId {
        let next = self.worker.requests.get().wrapping_add(1);
        self.worker.requests.set(next);
        RequestId(next)
    }

    /// Makes a request the current one, for as long as what is given back lives.
    #[inline]
    pub(crate) fn enter(&self, request: RequestId) -> Current<'_> {
        Current { before: self.worker.current.replace(request), worker: &self.worker }
    }

    pub(crate) fn current(&self) -> Option<RequestId> {
        Some(self.worker.current.get()).filter(|&current| current != NO_REQUEST)
    }

    /// Leaves word where a request was.
    pub(crate) fn leave_note(&self, request: RequestId, endpoint: Endpoint) {
        let mut notes = self.worker.notes.borrow_mut();
        if notes.len() >= MAX_NOTES {
            notes.clear();
        }
        notes.insert(request, endpoint);
    }

    /// Takes the word that a marker left of a request.
    #[inline]
    pub(crate) fn take_note(&self, request: RequestId) -> Option<Endpoint> {
        let mut notes = self.worker.notes.borrow_mut();
        if notes.is_empty() { None } else { notes.remove(&request) }
    }

    /// Whom a request that was answered is counted for; `None` if nobody wants to know.
    pub(crate) fn consumer(&self, request: &HttpRequest, status: StatusCode) -> Option<Consumer> {
        let Worker { shared, consumers, .. } = &*self.worker;
        Some(shared.consumers.as_ref()?.of(request, status, &shared.registry, consumers))
    }

    /// Counts a request for its consumer, if anybody wants to know.
    #[inline]
    pub(crate) fn count_consumer(&self, consumer: Option<Consumer>, outcome: Outcome, nanos: u64) {
        if let Some(consumer) = consumer {
            self.recorder().record_consumer(consumer, outcome, Duration::from_nanos(nanos));
        }
    }

    /// What is logged of a failed request.
    #[cold]
    pub(crate) fn error_message(&self, error: Option<&Error>) -> String {
        error.map(|error| self.shared().error_message(error)).unwrap_or_default()
    }

    /// Keeps of a request that ended what somebody wants to know of it. Called for those that failed, with their message, and
    /// those that took [`Shared::notable_nanos`]; where a share of all is wanted, for all.
    #[cold]
    #[inline(never)]
    pub(crate) fn note(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        nanos: u64,
        message: Option<&str>,
        request: Option<&HttpRequest>,
    ) {
        let notable = &self.shared().notable;
        let randomness = self.randomness();
        let (is_wanted, is_slow) = (notable.is_wanted(nanos, randomness), nanos >= notable.exemplar_nanos);
        if !is_wanted && !is_slow && message.is_none() {
            return;
        }
        let (recorder, elapsed) = (self.recorder(), Duration::from_nanos(nanos));
        let trace = self.trace(request);
        if let Some(message) = message {
            recorder.log_error(endpoint, outcome, elapsed, message, trace);
        }
        if let Some(context) = trace
            && notable.exemplars
            && (is_slow || message.is_some())
        {
            recorder.keep_exemplar(endpoint, outcome, elapsed, context.trace);
        }
        if is_wanted {
            recorder.log_request(endpoint, outcome, elapsed, trace, randomness);
        }
    }

    /// As [`AppWorker::note`], of a request whose body is still under way: its error, and what is needed at the end of the body.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_head(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        elapsed: Duration,
        message: Option<&str>,
        request: &HttpRequest,
    ) -> Option<Box<Noted>> {
        let notable = &self.shared().notable;
        let nanos = nanos(Some(elapsed));
        let randomness = self.randomness();
        let (is_wanted, is_slow) = (notable.is_wanted(nanos, randomness), nanos >= notable.exemplar_nanos);
        if !is_wanted && !is_slow && message.is_none() {
            return None;
        }
        let trace = self.trace(Some(request));
        if let Some(message) = message {
            self.recorder().log_error(endpoint, outcome, elapsed, message, trace);
        }
        Some(Box::new(Noted { trace, randomness }))
    }

    /// Keeps of a request whose body has ended what somebody wants to know of it. One that nothing was noted of is slow by its
    /// body alone, and its trace is not known any more.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_body(&self, endpoint: EndpointId, outcome: Outcome, nanos: u64, noted: Option<Noted>) {
        let notable = &self.shared().notable;
        let Noted { trace, randomness } = noted.unwrap_or(Noted { trace: None, randomness: 1.0 });
        let (recorder, elapsed) = (self.recorder(), Duration::from_nanos(nanos));
        if let Some(context) = trace
            && notable.exemplars
            && (nanos >= notable.exemplar_nanos || outcome.is_error())
        {
            recorder.keep_exemplar(endpoint, outcome, elapsed, context.trace);
        }
        if notable.is_wanted(nanos, randomness) {
            recorder.log_request(endpoint, outcome, elapsed, trace, randomness);
        }
    }

    /// A lot for a request, if anybody has them drawn.
    fn randomness(&self) -> f64 {
        if self.shared().notable.share > 0.0 { self.worker.lots.draw() } else { 1.0 }
    }

    /// Where a request stands in a trace, if anybody wants to know. One without a response has no headers any more.
    fn trace(&self, request: Option<&HttpRequest>) -> Option<TraceContext> {
        let (headers, notable) = (request?.headers(), &self.shared().notable);
        match notable {
            Notable { traces: true, .. } => w3c_or_vendors(headers),
            Notable { exemplars: true, .. } => w3c(headers),
            _ => None,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.worker.shared
    }
}

impl SeenRoutes {
    /// Asks actix-web which route a request took, and remembers it if the skeleton agrees.
    #[cold]
    fn search(
        &mut self,
        shared: &Shared,
        method: MethodLabel,
        request: &HttpRequest,
        skeleton: Option<&[u8]>,
    ) -> Endpoint {
        let matched = matched_template(request);
        let template = matched.as_deref().unwrap_or(UNMATCHED);
        let endpoint = self.by_template(shared, method, template, || endpoints::is_own(request));
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
        shared: &Shared,
        method: MethodLabel,
        template: &str,
        is_own: impl FnOnce() -> bool,
    ) -> Endpoint {
        let known = self.by_template.get(template).and_then(|methods| methods[method.index()]);
        known.unwrap_or_else(|| {
            let endpoint = if is_own() || shared.exclusions.has_route(template) {
                Endpoint::Excluded
            } else {
                Endpoint::Counted(shared.registry.endpoint(method.name(), template))
            };
            remember(&mut self.by_template, template, method, endpoint);
            endpoint
        })
    }
}

fn remember<K, Q>(endpoints: &mut ByMethod<K>, key: &Q, method: MethodLabel, endpoint: Endpoint)
where
    K: Hash + Eq,
    Q: ToOwned<Owned = K> + ?Sized,
{
    endpoints.entry(key.to_owned()).or_insert([None; LABELS])[method.index()] = Some(endpoint);
}
