//! The body of a response: passed on unchanged, watched until it ends.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use metrics_core::{Consumer, EndpointId, Outcome, Recorder, Start};
use metrics_monitor::policy::Until;
use metrics_monitor::policy::capture::Captured;
use pin_project_lite::pin_project;

use crate::request::method::MethodLabel;
use crate::worker::AppWorker;

pin_project! {
    /// The body of a measured response. Not boxed; has the length of the inner body and passes its bytes on unchanged.
    #[derive(Debug)]
    pub struct MeasuredBody<B> {
        #[pin]
        body: B,
        watch: Option<Watch>,
    }
}

impl<B> MeasuredBody<B> {
    pub(crate) fn new(body: B, watch: Option<Watch>) -> Self {
        Self { body, watch }
    }

    /// Watches a body of which nothing was read yet.
    pub(super) fn watch(&mut self, watch: Option<Watch>) {
        self.watch = watch;
    }
}

impl<B: MessageBody> MessageBody for MeasuredBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let next = ready!(this.body.poll_next(cx));
        match &next {
            Some(Ok(bytes)) => {
                if let Some(watch) = this.watch.as_mut()
                    && watch.passed(bytes.len())
                {
                    watch.record();
                }
            }
            Some(Err(_)) => *this.watch = None,
            // Only now, not with its last byte: a server asks for more when it has room for more, so most of what it
            // got was written by then. If the client goes away before that, it drops the body.
            None => complete(this.watch),
        }
        Poll::Ready(next)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, mut watch } = self;
        match body.try_into_bytes() {
            Ok(bytes) => {
                if let Some(watch) = &mut watch {
                    watch.passed(bytes.len());
                }
                complete(&mut watch);
                Ok(bytes)
            }
            Err(body) => Err(Self { body, watch }),
        }
    }
}

/// Ends the watch of a body that has ended by itself. If it is shorter than announced, the server breaks the connection
/// off.
#[inline]
fn complete(watch: &mut Option<Watch>) {
    if let Some(mut watch) = watch.take() {
        watch.broken = watch.sized && watch.bytes > 0;
    }
}

/// Watches a body that is still being sent. It counts when it is dropped, which happens exactly once.
#[derive(Debug)]
pub(crate) struct Watch {
    worker: Rc<AppWorker>,
    endpoint: EndpointId,
    outcome: Outcome,
    end: End,
    /// Whether the head of the response announced how long the body is.
    sized: bool,
    /// Of a body of known length, the bytes that are left; of any other, the bytes so far.
    bytes: u64,
    broken: bool,
}

/// What happens when the body ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The request was recorded with its head.
    Recorded,
    /// The request is recorded with the last byte, or when the body breaks off.
    ///
    /// Captured only if it failed, was slow before its body began, or was sampled, so that no other request pays for
    /// it; in a box, because the watch moves around with the response.
    Record { start: Option<Start>, consumer: Option<Consumer>, captured: Option<Box<Captured>> },
    /// It is open for as long as both sides like: however it ends, that is its end.
    Stream,
}

impl End {
    /// Of a request that was recorded with its head; `None` if there is no body. Counts a response that stays open.
    #[inline]
    pub(super) fn of_recorded(body: Body, recorder: &Recorder) -> Option<Self> {
        match body {
            Body::None => None,
            Body::Watched(_) => Some(Self::Recorded),
            Body::Stream => {
                recorder.open_stream();
                Some(Self::Stream)
            }
        }
    }
}

impl Watch {
    /// `size` is the length that the head announced, if it did.
    pub(crate) fn new(
        worker: Rc<AppWorker>,
        endpoint: EndpointId,
        outcome: Outcome,
        end: End,
        size: Option<u64>,
    ) -> Self {
        let (sized, bytes) = (size.is_some(), size.unwrap_or(0));
        Self { worker, endpoint, outcome, end, sized, bytes, broken: true }
    }

    /// Records the request, unless that was done before.
    #[inline]
    fn record(&mut self) {
        if matches!(self.end, End::Record { .. }) {
            self.record_now();
        }
    }

    /// Out of line, because by default the request was recorded with the head.
    #[inline(never)]
    fn record_now(&mut self) {
        let (recorder, endpoint, outcome) = (self.worker.recorder(), self.endpoint, self.outcome);
        if let End::Record { start, consumer, captured } = &mut self.end
            && let Some(start) = start.take()
        {
            let nanos = recorder.finish(start, endpoint, outcome);
            if captured.is_some() || self.worker.captures(endpoint, nanos) {
                self.worker.capture_body(endpoint, outcome, nanos, *consumer, captured.as_deref().copied());
            }
            self.worker.count_consumer(*consumer, outcome, nanos);
        }
        self.end = End::Recorded;
    }

    /// Counts bytes that were passed on. Returns whether they were the last ones.
    #[inline]
    fn passed(&mut self, bytes: usize) -> bool {
        if self.sized {
            self.bytes = self.bytes.saturating_sub(bytes as u64);
            return self.bytes == 0;
        }
        self.bytes = self.bytes.saturating_add(bytes as u64);
        false
    }
}

impl Drop for Watch {
    #[inline]
    fn drop(&mut self) {
        self.record();
        let (recorder, endpoint, outcome) = (self.worker.recorder(), self.endpoint, self.outcome);
        if !self.sized {
            recorder.add_bytes(endpoint, outcome, 0, self.bytes);
        }
        // After its bytes, so that a reader who sees it closed sees them, too.
        if matches!(self.end, End::Stream) {
            recorder.close_stream();
        }
        // It failed, it panicked, or the client is gone.
        if self.broken && !matches!(self.end, End::Stream) {
            recorder.count_truncated(endpoint, outcome);
        }
    }
}

/// What follows the head of a response.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// A body that the client waits for, and its length, if that is known.
    Watched(Option<u64>),
    /// Stays open for as long as both sides like: an upgraded connection, or server-sent events.
    Stream,
}

impl Body {
    pub(super) fn of<B: MessageBody>(method: MethodLabel, response: &HttpResponse<B>) -> Self {
        let size = match response.body().size() {
            BodySize::None | BodySize::Sized(0) => return Self::None,
            BodySize::Sized(size) => Some(size),
            BodySize::Stream => None,
        };
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Self::Stream,
            // No client reads a body of these, even if there is one.
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Self::None,
            _ if method == MethodLabel::HEAD => Self::None,
            _ if size.is_none() && is_event_stream(response) => Self::Stream,
            _ => Self::Watched(size),
        }
    }

    /// Its length, if the head announces it.
    #[inline]
    pub(super) fn size(self) -> Option<u64> {
        if let Self::Watched(size) = self { size } else { None }
    }

    /// Whether the request is recorded with the body's end, not with its head.
    #[inline]
    pub(super) fn ends_request(self, until: Until) -> bool {
        matches!(self, Self::Watched(_)) && until == Until::BodyEnd
    }
}

fn is_event_stream<B>(response: &HttpResponse<B>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let name = b"text/event-stream";
    content_type
        .and_then(|value| value.get(..name.len()))
        .is_some_and(|value| value.eq_ignore_ascii_case(name))
}
