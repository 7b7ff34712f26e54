//! An error that an inner middleware returned: counted as the response that is made of it.
//!
//! `Error::status_code` and the status of the response may differ, and the response can often be made only once. So the
//! error is not asked for it. A mapper, which the error calls with each response that is made of it, notes the response,
//! and the request is counted when its body is first read or when the error is dropped, whichever comes first. Then no
//! other response of it can reach the client.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse};
use metrics_core::{Consumer, EndpointId, Outcome};

use super::body::{Body, End, MeasuredBody, Watch};
use super::open::{Open, end_reading};
use crate::request::method::MethodLabel;
use crate::worker::Ended;

/// A request that an error ended.
pub(super) struct Failed {
    pub(super) open: Open,
    pub(super) method: MethodLabel,
    pub(super) endpoint: EndpointId,
    /// The error's `status_code`, for an error of which no response is made.
    pub(super) status: u16,
    pub(super) message: String,
    /// From the middleware to the error.
    pub(super) elapsed: Duration,
}

/// Has the request counted as what is made of the error.
pub(super) fn follow(error: &mut Error, failed: Failed) {
    let unrendered = Unrendered(Rc::new(Rendering {
        failed: RefCell::new(Some(failed)),
        responses: RefCell::default(),
        watch: RefCell::default(),
    }));
    error.add_response_mapper(move |response| unrendered.map(response));
}

/// What the error and the bodies made of it share.
struct Rendering {
    /// `None` once the request is counted.
    failed: RefCell<Option<Failed>>,
    /// One, unless an outer middleware has the error make more.
    responses: RefCell<Vec<Response>>,
    /// The watch of the response that counts, until its body is read.
    watch: RefCell<Watch>,
}

/// A response that was made of the error.
#[derive(Clone, Copy)]
struct Response {
    status: u16,
    body: Body,
    /// Whether its body was dropped unread.
    dropped: bool,
}

/// Owned by the error.
struct Unrendered(Rc<Rendering>);

impl Unrendered {
    fn map(&self, response: HttpResponse) -> HttpResponse {
        let method = match &*self.0.failed.borrow() {
            Some(failed) => failed.method,
            // An earlier response is being sent.
            None => return response,
        };
        let body = Body::of(method, &response);
        let mut responses = self.0.responses.borrow_mut();
        responses.push(Response { status: response.status().as_u16(), body, dropped: false });
        if matches!(body, Body::None) {
            return response;
        }
        let ticket = Ticket { rendering: Rc::clone(&self.0), position: responses.len() - 1 };
        response.map_body(|_, body| {
            BoxBody::new(RenderedBody { body: MeasuredBody::new(body, Watch::NONE), ticket: Some(ticket) })
        })
    }
}

impl Drop for Unrendered {
    fn drop(&mut self) {
        let responses = self.0.responses.borrow();
        let latest = responses.iter().rev().find(|response| !response.dropped).or(responses.last()).copied();
        drop(responses);
        self.0.count(latest);
    }
}

impl Rendering {
    /// Counts the request as ended by this response, unless it was counted before.
    fn count(&self, response: Option<Response>) {
        let Some(failed) = self.failed.take() else { return };
        let Response { status, body, dropped } =
            response.unwrap_or(Response { status: failed.status, body: Body::None, dropped: false });
        // The error is dropped between its return and the head of the response, so it is its own request that panics.
        let watch = if std::thread::panicking() {
            failed.count(Outcome::Panicked, Body::None)
        } else {
            failed.count(Outcome::from(status), body)
        };
        // Else it ends here, and the body counts as broken off.
        if !dropped {
            *self.watch.borrow_mut() = watch;
        }
    }
}

impl Failed {
    /// Returns the watch that the body needs, if it has any bytes.
    fn count(self, outcome: Outcome, body: Body) -> Watch {
        let Self { open, endpoint, message, elapsed, .. } = self;
        if outcome.status().is_some_and(|status| open.worker.policy().exclusions.has_status(status)) {
            open.discard(None);
            return Watch::NONE;
        }
        let Open { worker, start, read } = open;
        let read = read.map_or(0, |count| end_reading(&worker, count, endpoint, outcome));
        let message = outcome.is_error().then_some(&*message);
        let rejected = matches!(outcome, Outcome::Status(401 | 403));
        let consumer = if rejected { Consumer::Rejected } else { Consumer::Unanswered };
        let consumer = worker.counts_consumers().then_some(consumer);
        let recorder = worker.recorder();
        let size = body.size();
        recorder.add_bytes(endpoint, outcome, read, size.unwrap_or(0));
        let end = if body.ends_request(worker.policy().measure) {
            let captured = worker.capture_head(endpoint, outcome, elapsed, message, consumer, None);
            End::Record { start, consumer, captured }
        } else {
            recorder.record_outcome(endpoint, outcome, elapsed);
            recorder.discard(start);
            let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            let is_slow = worker.captures(endpoint, nanos);
            if message.is_some() || is_slow {
                worker.capture(Ended { endpoint, outcome, nanos, is_slow }, message, consumer, None);
            }
            worker.count_consumer(consumer, outcome, nanos);
            let Some(end) = End::of_recorded(body, recorder) else { return Watch::NONE };
            end
        };
        Watch::new(worker, endpoint, outcome, end, size)
    }
}

/// One response's body, from when it is made until it is read.
struct Ticket {
    rendering: Rc<Rendering>,
    position: usize,
}

impl Ticket {
    /// The body is read, so its response is the one that counts, unless another one was read before.
    fn redeem(&self) -> Watch {
        let response = self.rendering.responses.borrow()[self.position];
        self.rendering.count(Some(response));
        self.rendering.watch.take()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.rendering.responses.borrow_mut()[self.position].dropped = true;
    }
}

/// The body of a response that was made of the error.
struct RenderedBody {
    body: MeasuredBody<BoxBody>,
    /// `None` once it is read.
    ticket: Option<Ticket>,
}

impl MessageBody for RenderedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(ticket) = self.ticket.take() {
            self.body.watch(ticket.redeem());
        }
        Pin::new(&mut self.body).poll_next(cx)
    }
}
