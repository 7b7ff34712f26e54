//! Counts each request exactly once, however it ends.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use metrics_core::{Consumer, Outcome};
use metrics_monitor::policy::mistakes::Mistake;
use pin_project_lite::pin_project;

use super::body::{Body, End, MeasuredBody, Watch};
use super::open::{Open, end_reading};
use super::payload;
use super::unrendered::{Failed, follow};
use crate::request::method::MethodLabel;
use crate::seen_routes::CountedAt;
use crate::shared::Shared;
use crate::worker::{AppWorker, Current, Ended, RequestId};

/// Records every request. [`Metrics::middleware`](crate::Metrics::middleware) returns it, for
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
    B: MessageBody,
{
    type Response = ServiceResponse<MeasuredBody<B>>;
    type Error = Error;
    type Transform = MetricsService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        self.shared.monitor.policy().mistakes.wrapped();
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
    B: MessageBody,
{
    type Response = ServiceResponse<MeasuredBody<B>>;
    type Error = Error;
    type Future = MiddlewareFuture<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        // Before the inner call, so that its synchronous part is measured, too, and a panic in it.
        let mut under_way = Request::begin(&self.worker, &mut request);
        let current = under_way.enter();
        if current.as_ref().is_some_and(Current::is_nested) {
            drop(current);
            under_way.stand_back();
            return MiddlewareFuture { call: self.service.call(request), under_way };
        }
        let call = self.service.call(request);
        drop(current);
        under_way.leave();
        MiddlewareFuture { call, under_way }
    }
}

pin_project! {
    /// A call that is recorded when it ends, or when it is dropped before that.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct MiddlewareFuture<F> {
        #[pin]
        call: F,
        under_way: Request,
    }
}

impl<F, B> Future for MiddlewareFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<MeasuredBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let current = this.under_way.enter();
        let mut polled = this.call.poll(cx);
        drop(current);
        // Only if pending: what follows runs hooks of the application, whose panics are panics of the request, too.
        if polled.is_pending() {
            this.under_way.leave();
        }
        // The watch is made before the response is taken apart, and the parts go straight to where they are returned: a
        // response is large, and `map_body` would move it twice more.
        let watch = match &mut polled {
            Poll::Ready(Ok(response)) => this.under_way.end_with_response(response),
            Poll::Ready(Err(error)) => {
                this.under_way.end_with_error(error);
                Watch::NONE
            }
            Poll::Pending => Watch::NONE,
        };
        polled.map_ok(|response| {
            let (request, response) = response.into_parts();
            let (head, body) = response.into_parts();
            ServiceResponse::new(request, head.set_body(MeasuredBody::new(body, watch)))
        })
    }
}

/// A request under way, which is ended exactly once: by a response, by an error, or by being dropped.
#[derive(Debug)]
struct Request {
    /// `None` once it has ended.
    open: Option<Open>,
    method: MethodLabel,
    id: RequestId,
    /// Whether the code inside the middleware is running. If the request is dropped meanwhile, that code has panicked.
    ///
    /// Not the standard library's `panicking`: code that catches a panic may drop the request later, and a panic of one
    /// request can drop others.
    inside: bool,
    /// Whether its path is that of one of the monitor's own endpoints, which is in no figure. Asked before the request
    /// is lost with an error of a middleware in front.
    is_own: bool,
}

impl Request {
    fn begin(worker: &Rc<AppWorker>, request: &mut ServiceRequest) -> Self {
        let method = MethodLabel::of(request.method());
        let is_own = worker.leads_to_own(request.request());
        let start = worker.recorder().start_method(method.index());
        let read = payload::count(worker, method, request);
        let open = Some(Open { worker: Rc::clone(worker), start, read });
        Self { method, id: worker.next_request(method), inside: false, is_own, open }
    }

    /// Leaves the request to the middleware around this one, which counts it.
    #[cold]
    #[inline(never)]
    fn stand_back(&mut self) {
        self.leave();
        if let Some(open) = self.open.take() {
            open.worker.policy().mistakes.tell(Mistake::WrappedTwice);
            open.discard(None);
        }
    }

    /// The code inside the middleware runs from now until [`Request::leave`]. The request is the worker's current one
    /// until the returned guard is dropped.
    #[inline(always)]
    fn enter(&mut self) -> Option<Current<'_>> {
        self.inside = true;
        Some(self.open.as_ref()?.worker.enter(self.id))
    }

    #[inline(always)]
    fn leave(&mut self) {
        self.inside = false;
    }

    /// Returns the watch of the body, if that has any bytes.
    #[inline(always)]
    fn end_with_response<B: MessageBody>(&mut self, response: &ServiceResponse<B>) -> Watch {
        let watch = match &self.open {
            Some(open) if open.worker.is_plain() => self.end_counted::<true, B>(response),
            _ => self.end_with_options(response),
        };
        watch.unwrap_or(Watch::NONE)
    }

    /// Out of line, because by default nobody asks for what it looks at.
    #[inline(never)]
    fn end_with_options<B: MessageBody>(&mut self, response: &ServiceResponse<B>) -> Option<Watch> {
        self.end_counted::<false, B>(response)
    }

    /// `PLAIN` is that of [`AppWorker::is_plain`].
    #[inline(always)]
    fn end_counted<const PLAIN: bool, B: MessageBody>(
        &mut self,
        response: &ServiceResponse<B>,
    ) -> Option<Watch> {
        let head = response.response().head();
        let (status, request) = (head.status, response.request());
        let outcome = Outcome::from(status.as_u16());
        let worker = &self.open.as_ref()?.worker;
        let endpoint = match worker.endpoint(self.method, request, status) {
            CountedAt::Endpoint(endpoint)
                if PLAIN || !worker.policy().exclusions.has_status(status.as_u16()) =>
            {
                endpoint
            }
            _ => {
                let note = worker.take_note(self.id);
                self.open.take()?.discard(note);
                return None;
            }
        };
        if self.is_own {
            worker.share_path(response.request());
        }
        // The service's own code runs from here until the request is taken out, so the request is still open.
        let message = outcome.is_error().then(|| worker.error_message(response.response().error()));
        let consumer = if PLAIN { None } else { worker.consumer(request, status, endpoint) };
        let body = Body::of(self.method, response.response());
        if let note @ Some(CountedAt::LeftOut) = worker.take_note(self.id) {
            self.open.take()?.discard(note);
            return None;
        }

        let Open { worker, start, read } = self.open.take()?;
        let read = read.map_or(0, |count| end_reading(&worker, count, endpoint, outcome));
        let recorder = worker.recorder();
        let size = body.size();
        let end = if !PLAIN && body.ends_request(worker.policy().measure) {
            recorder.add_bytes(endpoint, outcome, read, size.unwrap_or(0));
            let elapsed = recorder.elapsed(&start);
            let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            let captured = if message.is_some() || worker.captures(endpoint, nanos) {
                worker.capture_head(endpoint, outcome, elapsed, message.as_deref(), consumer, Some(request))
            } else {
                None
            };
            End::Record { start, consumer, captured }
        } else {
            let finished = recorder.finish_with_bytes(start, endpoint, outcome, read, size.unwrap_or(0));
            let (nanos, is_slow) = (finished.nanos, finished.is_slow());
            if message.is_some() || is_slow {
                let ended = Ended { endpoint, outcome, nanos, is_slow };
                worker.capture(ended, message.as_deref(), consumer, Some(request));
            }
            worker.count_consumer(consumer, outcome, nanos);
            End::of_recorded(body, recorder)?
        };
        Some(Watch::new(worker, endpoint, outcome, end, size))
    }

    /// An inner middleware returned an error. The route is lost with the request, unless a marker noted it. What the
    /// client gets is known when a response is made of the error.
    #[cold]
    fn end_with_error(&mut self, error: &mut Error) {
        let Some(Open { worker, start, .. }) = &self.open else { return };
        // This runs the service's own code, so the request is still open.
        let status = error.as_response_error().status_code().as_u16();
        let message = worker.error_message(Some(error));
        let elapsed = worker.recorder().elapsed(start);
        let note = worker.take_note(self.id);
        let counted_at = self.last_seen(worker, note, false);
        let Some(open) = self.open.take() else { return };
        match counted_at {
            CountedAt::Endpoint(endpoint) => {
                follow(error, Failed { open, method: self.method, endpoint, status, message, elapsed });
            }
            CountedAt::Nowhere | CountedAt::LeftOut => open.discard(note),
        }
    }

    /// Where it counts without a response: at the route that a marker noted, wherever its path seemed to lead. A panic
    /// counts in any case: one of the monitor's own endpoints would have left a note, so it was the application's code.
    fn last_seen(&self, worker: &AppWorker, note: Option<CountedAt>, has_panicked: bool) -> CountedAt {
        match note {
            Some(noted) => noted,
            None if self.is_own && !has_panicked => CountedAt::Nowhere,
            None => worker.unanswered(self.method),
        }
    }

    /// Ends a request that got no response.
    fn end_unanswered(&mut self, outcome: Outcome, message: Option<&str>) {
        let Some(open) = self.open.take() else { return };
        let note = open.worker.take_note(self.id);
        let has_panicked = outcome == Outcome::Panicked;
        let CountedAt::Endpoint(endpoint) = self.last_seen(&open.worker, note, has_panicked) else {
            return open.discard(note);
        };
        let Open { worker, start, read } = open;
        let read = read.map_or(0, |count| end_reading(&worker, count, endpoint, outcome));
        let consumer = worker.counts_consumers().then_some(Consumer::Unanswered);
        let finished = worker.recorder().finish_with_bytes(start, endpoint, outcome, read, 0);
        let (nanos, is_slow) = (finished.nanos, finished.is_slow());
        if message.is_some() || is_slow {
            worker.capture(Ended { endpoint, outcome, nanos, is_slow }, message, consumer, None);
        }
        worker.count_consumer(consumer, outcome, nanos);
    }
}

impl Drop for Request {
    #[inline]
    fn drop(&mut self) {
        if self.open.is_none() {
            return;
        }
        if self.inside {
            self.end_unanswered(Outcome::Panicked, Some(""));
        } else {
            self.end_unanswered(Outcome::Aborted, None);
        }
    }
}
