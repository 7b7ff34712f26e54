//! The response's body: passed on untouched, watched until it ends.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use metrics_core::{Consumer, EndpointId, Outcome, Start};
use pin_project_lite::pin_project;

use crate::notable::Noted;
use crate::worker::AppWorker;

pin_project! {
    /// The body of a measured response. Not boxed; has the size of the body inside, and gives out its bytes as they are.
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
                // Ends with its last byte: nobody has to ask whether there is more.
                if let Some(watch) = this.watch.as_mut()
                    && watch.gave(bytes.len())
                {
                    complete(this.watch);
                }
            }
            Some(Err(_)) => *this.watch = None,
            // One that promised more than it gave is no whole one: the server breaks the connection off.
            None if this.watch.as_ref().is_some_and(|watch| watch.sized) => *this.watch = None,
            None => complete(this.watch),
        }
        Poll::Ready(next)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, mut watch } = self;
        match body.try_into_bytes() {
            Ok(bytes) => {
                if let Some(watch) = &mut watch {
                    watch.gave(bytes.len());
                }
                complete(&mut watch);
                Ok(bytes)
            }
            Err(body) => Err(Self { body, watch }),
        }
    }
}

/// Ends the watch of a body that gave out all it had.
#[inline]
fn complete(watch: &mut Option<Watch>) {
    if let Some(mut watch) = watch.take() {
        watch.broken = false;
    }
}

/// A response whose body is not through yet. Counts what there is to count when dropped, which happens exactly once.
#[derive(Debug)]
pub(crate) struct Watch {
    worker: Rc<AppWorker>,
    endpoint: EndpointId,
    outcome: Outcome,
    end: End,
    /// Whether the head of the response announced how long the body is.
    sized: bool,
    /// Of a body of known size, the bytes that it has not given out yet; of another one, those that it has.
    bytes: u64,
    broken: bool,
}

/// What happens when the body ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The request was recorded with its head.
    Recorded,
    /// The request is recorded now.
    ///
    /// It has a trace only if it failed, was slow before its body began, or was drawn by lot, so that no other request pays for
    /// one; in a box, since the watch is moved around with the response.
    Record { start: Option<Start>, consumer: Option<Consumer>, noted: Option<Box<Noted>> },
    /// It was open for as long as both sides liked: however it ends, that is its end.
    Stream,
}

impl Watch {
    /// `size` is what the head announced, if it did.
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

    /// Records the request. Out of line, since by default the head has done so.
    #[inline(never)]
    fn record(&mut self) {
        let (recorder, endpoint, outcome) = (self.worker.recorder(), self.endpoint, self.outcome);
        if let End::Record { start, consumer, noted } = &mut self.end
            && let Some(start) = start.take()
        {
            let nanos = recorder.finish(start, endpoint, outcome);
            if noted.is_some() || nanos >= self.worker.shared().notable_nanos {
                self.worker.note_body(endpoint, outcome, nanos, noted.as_deref().copied());
            }
            self.worker.count_consumer(*consumer, outcome, nanos);
        }
    }

    /// Counts bytes that were given out, and says whether they were the last ones.
    #[inline]
    fn gave(&mut self, bytes: usize) -> bool {
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
        if matches!(self.end, End::Record { .. }) {
            self.record();
        }
        let (recorder, endpoint, outcome) = (self.worker.recorder(), self.endpoint, self.outcome);
        if matches!(self.end, End::Stream) {
            recorder.close_stream();
        }
        if !self.sized {
            recorder.add_bytes(endpoint, outcome, 0, self.bytes);
        }
        // It failed, it panicked, or nobody wants the rest of it.
        if self.broken && !matches!(self.end, End::Stream) {
            recorder.count_truncated(endpoint, outcome);
        }
    }
}
