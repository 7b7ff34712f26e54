//! What one worker thread keeps: its recorder, and the endpoints it has seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use actix_web::HttpRequest;
use metrics_core::{EndpointId, Recorder};

use crate::builder::Shared;
use crate::endpoints;
use crate::route::{UNMATCHED, pattern, template};

thread_local! {
    /// The workers of this thread, one a monitor. Looked up when a service is built, not when it is called.
    static WORKERS: RefCell<Vec<Weak<Worker>>> = const { RefCell::new(Vec::new()) };
}

/// One thread's part of a monitor, shared by all apps on the thread.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    recorder: Recorder,
    /// The endpoints of this thread by method label and pattern. Both are from fixed sets: labels from the methods that
    /// HTTP defines, patterns from the apps. So clients cannot make it grow.
    endpoints: RefCell<HashMap<&'static str, HashMap<String, Endpoint, foldhash::fast::RandomState>>>,
}

/// Where a request is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Endpoint {
    /// Under this endpoint.
    Counted(EndpointId),
    /// Nowhere: it is one of our own endpoints.
    Excluded,
}

impl Worker {
    /// This thread's worker of the monitor; made if there is none.
    pub(crate) fn of_this_thread(shared: &Arc<Shared>) -> Rc<Self> {
        WORKERS.with_borrow_mut(|workers| {
            workers.retain(|worker| worker.strong_count() > 0);
            let known = workers.iter().filter_map(Weak::upgrade);
            let found = known.into_iter().find(|worker| Arc::ptr_eq(&worker.shared, shared));
            found.unwrap_or_else(|| {
                let worker = Rc::new(Self {
                    shared: Arc::clone(shared),
                    recorder: shared.registry.recorder(),
                    endpoints: RefCell::default(),
                });
                workers.push(Rc::downgrade(&worker));
                worker
            })
        })
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The endpoint of a request that went through routing.
    pub(crate) fn endpoint(&self, method: &'static str, request: &HttpRequest) -> Endpoint {
        let pattern = pattern(request);
        let pattern = pattern.as_deref().unwrap_or(UNMATCHED);
        if let Some(known) = self.endpoints.borrow().get(method).and_then(|routes| routes.get(pattern)) {
            return *known;
        }
        let endpoint = if endpoints::is_own(request) {
            Endpoint::Excluded
        } else {
            Endpoint::Counted(self.shared.registry.endpoint(method, &template(pattern)))
        };
        let mut endpoints = self.endpoints.borrow_mut();
        endpoints.entry(method).or_default().insert(pattern.to_owned(), endpoint);
        endpoint
    }

    /// The endpoint of a request of which nobody knows what it matched.
    pub(crate) fn unmatched(&self, method: &'static str) -> EndpointId {
        self.shared.registry.endpoint(method, UNMATCHED)
    }
}
