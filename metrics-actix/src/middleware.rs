//! The middleware: one guard a request, which counts it exactly once however it ends.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::Error;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::{StatusCode, header};
use metrics_core::{Consumer, Outcome, Start};
use pin_project_lite::pin_project;

use crate::body::{End, MeasuredBody, Watch};
use crate::builder::{Shared, Until};
use crate::method::MethodLabel;
use crate::worker::{AppWorker, Current, Endpoint, RequestId};

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
    B: MessageBody,
{
    type Response = ServiceResponse<MeasuredBody<B>>;
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
    B: MessageBody,
{
    type Response = ServiceResponse<MeasuredBody<B>>;
    type Error = Error;
    type Future = Recorded<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // Before the inner call, so that what it does at once, panic included, is measured, too.
        let mut guard = Guard::begin(&self.worker, &request);
        let current = guard.enter();
        let call = self.service.call(request);
        drop(current);
        guard.leave();
        Recorded { call, guard }
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
    B: MessageBody,
{
    type Output = Result<ServiceResponse<MeasuredBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let current = this.guard.enter();
        let polled = this.call.poll(cx);
        drop(current);
        this.guard.leave();
        Poll::Ready(match ready!(polled) {
            Ok(response) => {
                let watch = this.guard.end_with_response(&response);
                Ok(response.map_body(|_, body| MeasuredBody::new(body, watch)))
            }
            Err(error) => {
                this.guard.end_with_error(&error);
                Err(error)
            }
        })
    }
}

/// A request under way, which is ended exactly once: by a response, by an error, or by being dropped.
#[derive(Debug)]
struct Guard(Option<Request>);

/// What is known of a request from its beginning.
#[derive(Debug)]
struct Request {
    worker: Rc<AppWorker>,
    method: MethodLabel,
    id: RequestId,
    /// Whether what is inside of the middleware runs now. If the request is dropped meanwhile, that has panicked.
    ///
    /// Not `std::thread::panicking`: whoever catches a panic may drop the request later, and a panic of one request can
    /// drop others.
    inside: bool,
    /// Of the body, as the head announced it.
    bytes: u64,
    start: Start,
}

impl Guard {
    fn begin(worker: &Rc<AppWorker>, request: &ServiceRequest) -> Self {
        let method = MethodLabel::of(request.method());
        Self(Some(Request {
            worker: Rc::clone(worker),
            method,
            id: worker.next_request(),
            inside: false,
            bytes: if method.may_have_body() { announced_bytes(request) } else { 0 },
            start: worker.recorder().start(),
        }))
    }

    /// What is inside of the middleware runs now, until [`Guard::leave`]. The request is the worker's current one for as long
    /// as what is given back lives.
    #[inline(always)]
    fn enter(&mut self) -> Option<Current<'_>> {
        let request = self.0.as_mut()?;
        request.inside = true;
        Some(request.worker.enter(request.id))
    }

    #[inline(always)]
    fn leave(&mut self) {
        if let Some(request) = &mut self.0 {
            request.inside = false;
        }
    }

    /// Gives the watch that the body needs, if it has anything to give out.
    fn end_with_response<B: MessageBody>(&mut self, response: &ServiceResponse<B>) -> Option<Watch> {
        let status = response.status();
        let outcome = Outcome::from(status.as_u16());
        let request = self.0.as_ref()?;
        request.worker.take_note(request.id);
        let endpoint = match request.worker.endpoint(request.method, response.request(), status) {
            Endpoint::Counted(endpoint) if !request.worker.shared().exclusions.has_status(status) => endpoint,
            _ => {
                self.0.take()?.discard();
                return None;
            }
        };
        // From here to where the request is taken out, the service's own code runs; the request is still the guard's.
        let message = request.message(outcome, response.response().error());
        let consumer = request.worker.consumer(response.request(), status);
        let body = Body::of(request, response);

        let Request { worker, start, bytes, .. } = self.0.take()?;
        let recorder = worker.recorder();
        let size = if let Body::Watched(size) = body { size } else { None };
        let at_body_end = matches!(body, Body::Watched(_)) && worker.shared().measure == Until::BodyEnd;
        let end = if at_body_end {
            recorder.add_bytes(endpoint, outcome, bytes, size.unwrap_or(0));
            if let Some(message) = message {
                recorder.log_error(endpoint, outcome, recorder.elapsed(&start), &message);
            }
            End::Record { start: Some(start), consumer }
        } else {
            let nanos = recorder.finish_with_bytes(start, endpoint, outcome, bytes, size.unwrap_or(0));
            if let Some(message) = message {
                recorder.log_error(endpoint, outcome, Duration::from_nanos(nanos), &message);
            }
            worker.count_consumer(consumer, outcome, nanos);
            match body {
                Body::None => return None,
                Body::Watched(_) => End::Recorded,
                Body::Stream => {
                    recorder.open_stream();
                    End::Stream
                }
            }
        };
        Some(Watch::new(worker, endpoint, outcome, end, size))
    }

    /// An inner middleware gave up the request. What it had matched went with it, unless a marker left word.
    fn end_with_error(&mut self, error: &Error) {
        let Some(request) = &self.0 else { return };
        // The service's own code; while it runs, the request is still the guard's.
        let status = error.as_response_error().status_code();
        let outcome = Outcome::from(status.as_u16());
        let message = request.message(outcome, Some(error));
        let Some(request) = self.0.take() else { return };
        if request.worker.shared().exclusions.has_status(status) {
            request.worker.take_note(request.id);
            return request.discard();
        }
        let rejected = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let consumer = if rejected { Consumer::Rejected } else { Consumer::Unanswered };
        request.end_unanswered(outcome, consumer, message.as_deref());
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(request) = self.0.take() else { return };
        if request.inside {
            request.end_unanswered(Outcome::Panicked, Consumer::Unanswered, Some(""));
        } else {
            request.end_unanswered(Outcome::Aborted, Consumer::Unanswered, None);
        }
    }
}

impl Request {
    /// What is to be logged, if the outcome is an error.
    #[inline(always)]
    fn message(&self, outcome: Outcome, error: Option<&Error>) -> Option<String> {
        if outcome.is_error() { Some(self.error_message(error)) } else { None }
    }

    #[cold]
    fn error_message(&self, error: Option<&Error>) -> String {
        error.map(|error| self.worker.shared().error_message(error)).unwrap_or_default()
    }

    /// Ends a request that has no response to tell what it matched.
    fn end_unanswered(self, outcome: Outcome, consumer: Consumer, message: Option<&str>) {
        let Endpoint::Counted(endpoint) = self.worker.last_seen(self.method, self.worker.take_note(self.id))
        else {
            return self.discard();
        };
        let recorder = self.worker.recorder();
        let consumer = self.worker.shared().consumers.is_some().then_some(consumer);
        if self.bytes > 0 {
            recorder.add_bytes(endpoint, outcome, self.bytes, 0);
        }
        let nanos = match message {
            Some(message) => recorder.finish_error(self.start, endpoint, outcome, message),
            None => recorder.finish(self.start, endpoint, outcome),
        };
        self.worker.count_consumer(consumer, outcome, nanos);
    }

    fn discard(self) {
        self.worker.recorder().discard(self.start);
    }
}

/// What follows the head of a response.
enum Body {
    /// Nothing.
    None,
    /// A body of this many bytes, if that is known, which the client waits for.
    Watched(Option<u64>),
    /// What stays open for as long as both sides like: an upgraded connection, or server-sent events.
    Stream,
}

impl Body {
    fn of<B: MessageBody>(request: &Request, response: &ServiceResponse<B>) -> Self {
        let size = match response.response().body().size() {
            BodySize::None | BodySize::Sized(0) => return Self::None,
            BodySize::Sized(size) => Some(size),
            BodySize::Stream => None,
        };
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Self::Stream,
            // The server sends none, whatever is given to it.
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Self::None,
            _ if request.method == MethodLabel::HEAD => Self::None,
            _ if size.is_none() && is_event_stream(response) => Self::Stream,
            _ => Self::Watched(size),
        }
    }
}

fn is_event_stream<B>(response: &ServiceResponse<B>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let name = b"text/event-stream";
    content_type
        .and_then(|value| value.get(..name.len()))
        .is_some_and(|value| value.eq_ignore_ascii_case(name))
}

/// The longest body that is believed to be on its way: 1 TiB. Anybody can announce more.
const MAX_ANNOUNCED_BYTES: u64 = 1 << 40;

fn announced_bytes(request: &ServiceRequest) -> u64 {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length: u64 = length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    length.min(MAX_ANNOUNCED_BYTES)
}
