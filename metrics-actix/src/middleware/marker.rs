//! The marker: counts a request under its route while it is under way, and notes the route for a request without a
//! response.
//!
//! The middleware is the outermost, so it learns the route only from the response. A marker wraps a resource, where the
//! route is known. When a request ends there, the marker notes its route with the worker. The middleware's guard ends
//! later, and reads the note if there is no response. Which request the note is about, the middleware tells the worker
//! while it calls or polls the code inside.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use pin_project_lite::pin_project;

use crate::request::method::MethodLabel;
use crate::seen_routes::CountedAt;
use crate::shared::Shared;
use crate::worker::{AppWorker, RequestId};

/// Marks a resource, so that requests in progress are counted under its route.
/// [`Metrics::route_marker`](crate::Metrics::route_marker) returns it, for
/// [`Resource::wrap`](actix_web::Resource::wrap).
#[derive(Debug, Clone)]
pub struct RouteMarker {
    shared: Arc<Shared>,
}

impl RouteMarker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<S, B> Transform<S, ServiceRequest> for RouteMarker
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = MarkerService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(MarkerService { service, worker: AppWorker::new(Arc::clone(&self.shared)) }))
    }
}

/// A marked service.
#[derive(Debug)]
pub struct MarkerService<S> {
    service: S,
    worker: Rc<AppWorker>,
}

impl<S, B> Service<ServiceRequest> for MarkerService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = MarkerFuture<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let mark = Mark::begin(&self.worker, &request);
        MarkerFuture { call: self.service.call(request), mark }
    }
}

pin_project! {
    /// A call in progress at a marked service.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct MarkerFuture<F> {
        #[pin]
        call: F,
        mark: Mark,
    }
}

impl<F, B> Future for MarkerFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(cx));
        this.mark.end();
        Poll::Ready(result)
    }
}

/// A request under way at an endpoint; ends exactly once.
#[derive(Debug)]
struct Mark {
    worker: Rc<AppWorker>,
    /// `None` without a middleware around it.
    request: Option<RequestId>,
    /// `None` once it has ended.
    endpoint: Option<CountedAt>,
}

impl Mark {
    fn begin(worker: &Rc<AppWorker>, request: &ServiceRequest) -> Self {
        let method = MethodLabel::of(request.method());
        // Not 404, for which the route would be looked up the slow way.
        let endpoint = worker.endpoint(method, request.request(), StatusCode::OK);
        if let CountedAt::Endpoint(endpoint) = endpoint {
            worker.recorder().enter(endpoint);
        }
        Self { worker: Rc::clone(worker), request: worker.current(), endpoint: Some(endpoint) }
    }

    fn end(&mut self) {
        let Some(endpoint) = self.endpoint.take() else { return };
        if let CountedAt::Endpoint(endpoint) = endpoint {
            self.worker.recorder().leave(endpoint);
        }
        if let Some(request) = self.request {
            self.worker.leave_note(request, endpoint);
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.end();
    }
}
