//! The response's body: passed on untouched, watched until it ends.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use metrics_core::{Consumer, EndpointId, Outcome, Start};
use pin_project_lite::pin_project;

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
            None if this.watch.as_ref().is_some_and(|watch| watch.size.is_some()) => *this.watch = None,
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
fn complete(watch: &mut Option<Watch>) {
    if let Some(mut watch) = watch.take() {
        watch.whole = true;
    }
}

/// A response whose body is not through yet. Adds up and counts when dropped, which happens exactly once.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) worker: Rc<AppWorker>,
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) end: End,
    /// What the head of the response announced; `None` for a stream.
    pub(crate) size: Option<u64>,
    pub(crate) given: u64,
    pub(crate) whole: bool,
}

/// What happens when the body ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The request was recorded with its head; a body that breaks off is counted as truncated.
    Recorded,
    /// The request is recorded now.
    Record { start: Option<Start>, consumer: Option<Consumer> },
    /// It was open for as long as both sides liked: however it ends, that is its end.
    Stream,
}

impl Watch {
    /// Adds bytes that were given out, and says whether they were the last ones.
    fn gave(&mut self, bytes: usize) -> bool {
        self.given = self.given.saturating_add(bytes as u64);
        self.size.is_some_and(|size| self.given >= size)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (recorder, endpoint, outcome) = (self.worker.recorder(), self.endpoint, self.outcome);
        match &mut self.end {
            End::Stream => recorder.close_stream(),
            End::Recorded => {}
            End::Record { start, consumer } => {
                if let Some(start) = start.take() {
                    let nanos = recorder.finish(start, endpoint, outcome);
                    self.worker.count_consumer(*consumer, outcome, nanos);
                }
            }
        }
        if self.given > 0 {
            recorder.add_bytes(endpoint, outcome, 0, self.given);
        }
        // It failed, it panicked, or nobody wants the rest of it.
        if !self.whole && !matches!(self.end, End::Stream) {
            recorder.count_truncated(endpoint, outcome);
        }
    }
}
