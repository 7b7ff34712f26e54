//! The body of a request: passed on unchanged, its bytes counted when the service reads them.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_core::Stream;

use crate::request::method::MethodLabel;
use crate::request::read_bytes::ReadBytes;
use crate::worker::AppWorker;

/// Counts what the service will read of the request's body, if it may have one. Allocates for the stream alone.
#[inline]
pub(super) fn count(
    worker: &Rc<AppWorker>,
    method: MethodLabel,
    request: &mut ServiceRequest,
) -> Option<Rc<ReadBytes>> {
    if matches!(request.parts().1, Payload::None) { None } else { wrap(worker, method, request) }
}

#[cold]
#[inline(never)]
fn wrap(worker: &Rc<AppWorker>, method: MethodLabel, request: &mut ServiceRequest) -> Option<Rc<ReadBytes>> {
    // Over HTTP/1 only requests with a body have a payload. Over HTTP/2 all have one, and it does not tell.
    let has_body = matches!(request.parts().1, Payload::H1 { .. })
        || method.may_have_body()
        || request.headers().contains_key(header::CONTENT_LENGTH);
    if !has_body {
        return None;
    }
    let count = worker.unused_counts().take();
    let payload = CountedPayload {
        payload: request.take_payload(),
        count: Some(Rc::clone(&count)),
        worker: Rc::clone(worker),
    };
    request.set_payload(Payload::Stream { payload: Box::pin(payload) });
    Some(count)
}

/// A request's body as the service reads it.
struct CountedPayload {
    payload: Payload,
    /// `None` while it is dropped.
    count: Option<Rc<ReadBytes>>,
    worker: Rc<AppWorker>,
}

impl Stream for CountedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.payload).poll_next(cx));
        if let (Some(Ok(bytes)), Some(count)) = (&next, &self.count)
            && let Some((endpoint, outcome)) = count.add(bytes.len() as u64)
        {
            self.worker.recorder().add_bytes(endpoint, outcome, bytes.len() as u64, 0);
        }
        Poll::Ready(next)
    }
}

impl Drop for CountedPayload {
    fn drop(&mut self) {
        if let Some(count) = self.count.take() {
            self.worker.unused_counts().give_back(count);
        }
    }
}
