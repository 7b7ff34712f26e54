//! What one worker thread keeps: its recorder, the requests that markers noted, and the routes that each of its apps
//! has seen.

mod capture;

pub(crate) use self::capture::Ended;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{Error, HttpRequest};
use metrics_core::{Consumer, EndpointId, Outcome, Recorder, Registry};
use metrics_monitor::policy::capture::Sampler;
use metrics_monitor::policy::consumers::{Consumers, KnownConsumers};
use metrics_monitor::policy::{Policy, Until};

use crate::request::event_loops::Watch;
use crate::request::method::{LABELS, MethodLabel};
use crate::request::mounts::Fronts;
use crate::request::read_bytes::UnusedCounts;
use crate::seen_routes::{CountedAt, Naming, SeenRoutes};
use crate::shared::Shared;

thread_local! {
    /// The workers of this thread, one per monitor. Looked up when a service is built, not when it is called.
    static WORKERS: RefCell<Vec<Weak<Worker>>> = const { RefCell::new(Vec::new()) };
}

/// One thread's part of a monitor, shared by all apps on the thread.
#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    /// Clones of the monitor's own, each one step away from a request.
    registry: Registry,
    policy: Arc<Policy>,
    /// See [`AppWorker::is_plain`].
    is_plain: bool,
    recorder: Recorder,
    event_loop: Watch,
    consumers: KnownConsumers,
    /// The request that is being called or polled, if any.
    current: Cell<RequestId>,
    requests: Cell<u64>,
    /// The endpoints of requests that markers saw, and that the middleware has not ended yet.
    notes: RefCell<HashMap<RequestId, CountedAt, foldhash::fast::RandomState>>,
    sampler: Sampler,
    unused_counts: UnusedCounts,
}

/// Notes that a worker keeps at most. There are more only if something inside the middleware outlives its request.
const MAX_NOTES: usize = 4_096;

/// A request, among those of its worker. The lowest bits are its method as the middleware saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(u64);

/// One more than the bits of a method.
const NEXT_REQUEST: u64 = LABELS.next_power_of_two() as u64;

impl RequestId {
    /// The place of its method among all labels.
    fn method(self) -> usize {
        (self.0 % NEXT_REQUEST) as usize
    }
}

/// No request.
const NO_REQUEST: RequestId = RequestId(0);

/// While it lives, its request is the current one.
#[derive(Debug)]
pub(crate) struct Current<'a> {
    worker: &'a Worker,
    before: RequestId,
}

impl Current<'_> {
    /// Whether another request is being called or polled: a middleware around this one entered with the same request.
    #[inline]
    pub(crate) fn is_nested(&self) -> bool {
        self.before != NO_REQUEST
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.worker.current.set(self.before);
    }
}

impl Worker {
    /// This thread's worker of the monitor; a new one if there is none.
    fn of_this_thread(shared: Arc<Shared>) -> Rc<Self> {
        WORKERS.with_borrow_mut(|workers| {
            workers.retain(|worker| worker.strong_count() > 0);
            let mut known = workers.iter().filter_map(Weak::upgrade);
            let found = known.find(|worker| Arc::ptr_eq(&worker.shared, &shared));
            found.unwrap_or_else(|| {
                let (policy, registry) =
                    (Arc::clone(shared.monitor.policy()), shared.monitor.registry().clone());
                let recorder = registry.recorder();
                recorder.set_captured_from(policy.capture.threshold_nanos());
                let event_loop = shared.event_loops.watch(registry.clone());
                let consumers = policy.consumers.as_ref().map(Consumers::worker).unwrap_or_default();
                let worker = Rc::new(Self {
                    is_plain: policy.consumers.is_none()
                        && !policy.exclusions.has_statuses()
                        && policy.measure == Until::Head,
                    shared,
                    registry,
                    policy,
                    recorder,
                    event_loop,
                    consumers,
                    current: Cell::new(NO_REQUEST),
                    requests: Cell::new(0),
                    notes: RefCell::default(),
                    sampler: Sampler::default(),
                    unused_counts: UnusedCounts::default(),
                });
                workers.push(Rc::downgrade(&worker));
                worker
            })
        })
    }

    /// Takes the current request out of the requests in flight.
    fn leave_out(&self) {
        let current = self.current.get();
        if current == NO_REQUEST {
            return;
        }
        let before = self.notes.borrow_mut().insert(current, CountedAt::LeftOut);
        if !matches!(before, Some(CountedAt::LeftOut)) {
            self.recorder.leave_out(current.method());
        }
    }
}

/// Takes the request that is being called on this thread, if any, out of the requests in flight: it went to an endpoint
/// of the monitor itself, which is to be in no figure. Tells the middleware not to end it again.
pub(crate) fn leave_out(shared: &Arc<Shared>) {
    WORKERS.with_borrow(|workers| {
        let mut workers = workers.iter().filter_map(Weak::upgrade);
        if let Some(worker) = workers.find(|worker| Arc::ptr_eq(&worker.shared, shared)) {
            worker.leave_out();
        }
    });
}

/// One app on one worker thread.
#[derive(Debug)]
pub(crate) struct AppWorker {
    worker: Rc<Worker>,
    routes: SeenRoutes,
    mounts: Fronts,
}

impl AppWorker {
    /// For an app that is being built on this thread.
    pub(crate) fn new(shared: Arc<Shared>) -> Rc<Self> {
        // The app's services, and with them its mounts, were registered before its middlewares are made.
        let mounts = shared.mounts.fronts();
        Rc::new(Self { worker: Worker::of_this_thread(shared), routes: SeenRoutes::default(), mounts })
    }

    /// Whether a request that was not routed yet goes to one of the monitor's own endpoints.
    #[inline]
    pub(crate) fn leads_to_own(&self, request: &HttpRequest) -> bool {
        self.mounts.leads_to_own(request)
    }

    /// The application has answered a request that seemed to lead to one of the monitor's own endpoints.
    pub(crate) fn share_path(&self, request: &HttpRequest) {
        self.mounts.share(request);
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.worker.recorder
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.worker.policy
    }

    /// Whether a request that took this long is to be [captured](AppWorker::capture), even if it did not fail. Only for
    /// one that [`Recorder::finish_with_bytes`] does not tell of.
    pub(crate) fn captures(&self, endpoint: EndpointId, nanos: u64) -> bool {
        nanos >= self.worker.policy.capture.threshold_nanos() || self.recorder().ranks(endpoint, nanos)
    }

    /// The endpoint of a request that was routed and answered. Does not allocate for a known route, nor for a path that
    /// surely matches none.
    pub(crate) fn endpoint(
        &self,
        method: MethodLabel,
        request: &HttpRequest,
        status: StatusCode,
    ) -> CountedAt {
        let naming = || {
            let Worker { shared, registry, policy, .. } = &*self.worker;
            let exclusions = &policy.exclusions;
            Naming { registry, exclusions, route_with: shared.route_with.as_deref() }
        };
        self.routes.endpoint(naming, method, request, status)
    }

    /// Whether neither consumers are counted nor answers excluded by their statuses, and requests are recorded with
    /// their heads: then a request needs to ask for none of these.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.worker.is_plain
    }

    /// `_unmatched`, for a request that got no response.
    pub(crate) fn unanswered(&self, method: MethodLabel) -> CountedAt {
        self.routes.unanswered(&self.worker.registry, method)
    }

    /// The number of a request that begins.
    #[inline]
    pub(crate) fn next_request(&self, method: MethodLabel) -> RequestId {
        self.worker.event_loop.request_begins();
        let next = self.worker.requests.get().wrapping_add(NEXT_REQUEST);
        self.worker.requests.set(next);
        RequestId(next | method.index() as u64)
    }

    /// Makes a request the current one, until the returned guard is dropped.
    #[inline]
    pub(crate) fn enter(&self, request: RequestId) -> Current<'_> {
        Current { before: self.worker.current.replace(request), worker: &self.worker }
    }

    pub(crate) fn current(&self) -> Option<RequestId> {
        Some(self.worker.current.get()).filter(|&current| current != NO_REQUEST)
    }

    /// Notes the endpoint of a request, unless it was [left out](leave_out).
    pub(crate) fn leave_note(&self, request: RequestId, endpoint: CountedAt) {
        let mut notes = self.worker.notes.borrow_mut();
        if notes.len() >= MAX_NOTES {
            // The others are of requests that have not ended, each of which takes its own.
            notes.retain(|_, note| matches!(note, CountedAt::LeftOut));
        }
        let note = notes.entry(request).or_insert(endpoint);
        if !matches!(note, CountedAt::LeftOut) {
            *note = endpoint;
        }
    }

    /// Takes the endpoint that a marker noted of a request.
    #[inline]
    pub(crate) fn take_note(&self, request: RequestId) -> Option<CountedAt> {
        let mut notes = self.worker.notes.borrow_mut();
        if notes.is_empty() { None } else { notes.remove(&request) }
    }

    /// Counts for the bodies of new requests.
    pub(crate) fn unused_counts(&self) -> &UnusedCounts {
        &self.worker.unused_counts
    }

    /// Whether consumers are counted.
    pub(crate) fn counts_consumers(&self) -> bool {
        self.worker.policy.consumers.is_some()
    }

    /// The consumer of a request that was answered; `None` if consumers are not counted.
    pub(crate) fn consumer(
        &self,
        request: &HttpRequest,
        status: StatusCode,
        endpoint: EndpointId,
    ) -> Option<Consumer> {
        let Worker { shared, registry, policy, consumers: known, .. } = &*self.worker;
        let (source, consumers) = (shared.consumers.as_ref()?, policy.consumers.as_ref()?);
        Some(source.consumer(consumers, request, status, endpoint, registry, known))
    }

    /// Counts a request for its consumer, if consumers are counted.
    #[inline]
    pub(crate) fn count_consumer(&self, consumer: Option<Consumer>, outcome: Outcome, nanos: u64) {
        if let Some(consumer) = consumer {
            self.recorder().record_consumer(consumer, outcome, Duration::from_nanos(nanos));
        }
    }

    /// The message that is logged of a failed request.
    #[cold]
    pub(crate) fn error_message(&self, error: Option<&Error>) -> String {
        error.map(|error| self.worker.shared.error_message(error)).unwrap_or_default()
    }
}
