//! The middleware: one guard a request, which counts it exactly once however it ends.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use metrics_core::{Outcome, Start};
use pin_project_lite::pin_project;

use crate::builder::Shared;
use crate::method::MethodLabel;
use crate::worker::{AppWorker, Endpoint};

/// Records every request. Made by [`Metrics::middleware`](crate::Metrics::middleware), for
/// [`App::wrap`](actix_web::App::wrap).
#[derive(Debug, Clone)]
pub struct Middleware {
    shared: Arc<Shared>,
}

impl Middleware {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Middleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = MetricsService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(MetricsService { service, worker: AppWorker::new(Arc::clone(&self.shared)) }))
    }
}

/// A service whose requests are recorded by the worker thread that built it.
#[derive(Debug)]
pub struct MetricsService<S> {
    service: S,
    worker: Rc<AppWorker>,
}

impl<S, B> Service<ServiceRequest> for MetricsService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Recorded<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // Before the inner call, so that what it does at once, panic included, is measured, too.
        let guard = Guard::begin(&self.worker, &request);
        Recorded { call: self.service.call(request), guard }
    }
}

pin_project! {
    /// A call that is recorded when it ends, or when it is dropped before.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct Recorded<F> {
        #[pin]
        call: F,
        guard: Guard,
    }
}

impl<F, B> Future for Recorded<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(cx));
        match &result {
            Ok(response) => this.guard.end_with_response(response),
            Err(error) => this.guard.end_with_error(error),
        }
        Poll::Ready(result)
    }
}

/// A request under way. Owns its start and its place among those in flight; gives both up exactly once.
#[derive(Debug)]
struct Guard {
    worker: Rc<AppWorker>,
    method: MethodLabel,
    /// `None` once the request was recorded.
    start: Option<Start>,
}

impl Guard {
    fn begin(worker: &Rc<AppWorker>, request: &ServiceRequest) -> Self {
        Self {
            worker: Rc::clone(worker),
            method: MethodLabel::of(request.method()),
            start: Some(worker.recorder().start()),
        }
    }

    fn end_with_response<B>(&mut self, response: &ServiceResponse<B>) {
        let status = response.status();
        let endpoint = self.worker.endpoint(self.method, response.request(), status);
        let outcome = Outcome::from(status.as_u16());
        self.end(endpoint, outcome, response.response().error());
    }

    /// An inner middleware gave up the request. What it had matched went with it.
    fn end_with_error(&mut self, error: &Error) {
        let endpoint = Endpoint::Counted(self.worker.unmatched(self.method));
        let outcome = Outcome::from(error.as_response_error().status_code().as_u16());
        self.end(endpoint, outcome, Some(error));
    }

    fn end(&mut self, endpoint: Endpoint, outcome: Outcome, error: Option<&Error>) {
        // The service's own code; while it runs, the request is still this guard's to count.
        let message = error.filter(|_| outcome.is_error()).map(Error::to_string);
        let Some(start) = self.start.take() else { return };
        let recorder = self.worker.recorder();
        match endpoint {
            Endpoint::Excluded => recorder.discard(start),
            Endpoint::Counted(endpoint) if outcome.is_error() => {
                recorder.finish_error(start, endpoint, outcome, message.as_deref().unwrap_or_default());
            }
            Endpoint::Counted(endpoint) => {
                recorder.finish(start, endpoint, outcome);
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(start) = self.start.take() else { return };
        let endpoint = self.worker.unmatched(self.method);
        let recorder = self.worker.recorder();
        if std::thread::panicking() {
            recorder.finish_error(start, endpoint, Outcome::Panicked, "");
        } else {
            recorder.finish(start, endpoint, Outcome::Aborted);
        }
    }
}
