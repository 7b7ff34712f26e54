//! The body of a response: passed on unchanged, watched until it ends.

use std::cell::RefCell;
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

/// The most watches that a thread keeps for later bodies. More bodies than that at one time allocate.
const MAX_KEPT: usize = 1_024;

type Boxes = Vec<Box<Watched>>;

thread_local! {
    /// The boxes of watches that nobody uses now.
    static UNUSED: RefCell<Boxes> = const { RefCell::new(Vec::new()) };
}

pin_project! {
    /// The body of a measured response. It is not boxed, has the length of the inner body, and passes its bytes on
    /// unchanged.
    #[derive(Debug)]
    pub struct MeasuredBody<B> {
        #[pin]
        body: B,
        watch: Watch,
    }
}

impl<B> MeasuredBody<B> {
    pub(crate) fn new(body: B, watch: Watch) -> Self {
        Self { body, watch }
    }

    /// Watches a body of which nothing was read yet.
    pub(super) fn watch(&mut self, watch: Watch) {
        self.watch = watch;
    }
}

impl<B: MessageBody> MessageBody for MeasuredBody<B> {
    type Error = B::Error;

    #[inline]
    fn size(&self) -> BodySize {
        self.body.size()
    }

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let next = ready!(this.body.poll_next(cx));
        match &next {
            Some(Ok(bytes)) => this.watch.passed(bytes.len()),
            Some(Err(_)) => *this.watch = Watch::NONE,
            // Only now, not with its last byte: a server asks for more when it has room for more, so most of what it
            // got was written by then. If the client goes away before that, it drops the body.
            None => this.watch.complete(),
        }
        Poll::Ready(next)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, mut watch } = self;
        match body.try_into_bytes() {
            Ok(bytes) => {
                watch.passed(bytes.len());
                watch.complete();
                Ok(bytes)
            }
            Err(body) => Err(Self { body, watch }),
        }
    }
}

/// Watches a body that is still being sent, if there is one to watch. The body counts when its watch is dropped, which
/// happens exactly once.
///
/// Eight bytes, since it moves around with the response; what it knows is in a box, which the thread uses again.
#[derive(Debug, Default)]
pub(crate) struct Watch(Option<Box<Watched>>);

/// What is known of a body that is watched.
#[derive(Debug)]
struct Watched {
    /// `None` while the box is not used.
    worker: Option<Rc<AppWorker>>,
    endpoint: EndpointId,
    outcome: Outcome,
    end: End,
    /// Whether the head of the response announced how long the body is.
    sized: bool,
    /// Of a body of known length, the bytes that are left; of any other, the bytes so far.
    bytes: u64,
}

/// What happens when the body ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The request was recorded with its head.
    Recorded,
    /// The request is recorded with the last byte, or when the body breaks off.
    ///
    /// Captured only if it failed, was slow before its body began, or was sampled, so that no other request pays for
    /// it.
    Record { start: Start, consumer: Option<Consumer>, captured: Option<Captured> },
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
    /// Watches nothing.
    pub(super) const NONE: Self = Self(None);

    /// `size` is the length that the head announced, if it did.
    #[inline]
    pub(crate) fn new(
        worker: Rc<AppWorker>,
        endpoint: EndpointId,
        outcome: Outcome,
        end: End,
        size: Option<u64>,
    ) -> Self {
        let (sized, bytes) = (size.is_some(), size.unwrap_or(0));
        // The thread's last body may end when its own data is gone already.
        let unused = UNUSED.try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
        Self(Some(match unused {
            Some(mut watched) => {
                // One by one, since all at once they would be written twice.
                watched.worker = Some(worker);
                watched.endpoint = endpoint;
                watched.outcome = outcome;
                watched.end = end;
                watched.sized = sized;
                watched.bytes = bytes;
                watched
            }
            None => Box::new(Watched { worker: Some(worker), endpoint, outcome, end, sized, bytes }),
        }))
    }

    /// Counts bytes that were passed on.
    #[inline]
    fn passed(&mut self, bytes: usize) {
        let Some(watched) = &mut self.0 else { return };
        if !watched.sized {
            watched.bytes = watched.bytes.saturating_add(bytes as u64);
            return;
        }
        watched.bytes = watched.bytes.saturating_sub(bytes as u64);
        if watched.bytes == 0 {
            watched.record();
        }
    }

    /// The body has ended by itself. If it is shorter than announced, the server breaks the connection off.
    #[inline]
    fn complete(&mut self) {
        if let Some(watched) = self.0.take() {
            let is_broken = watched.sized && watched.bytes > 0;
            end(watched, is_broken);
        }
    }
}

impl Drop for Watch {
    #[inline]
    fn drop(&mut self) {
        // It failed, it panicked, or the client is gone.
        if let Some(watched) = self.0.take() {
            end(watched, true);
        }
    }
}

impl Watched {
    /// Records the request, unless that was done before.
    #[inline]
    fn record(&mut self) {
        if matches!(self.end, End::Record { .. }) {
            self.record_now();
        }
    }

    /// Out of line, because by default the request was recorded with the head.
    #[cold]
    #[inline(never)]
    fn record_now(&mut self) {
        let Some(worker) = &self.worker else { return };
        let (recorder, endpoint, outcome) = (worker.recorder(), self.endpoint, self.outcome);
        if let End::Record { start, consumer, captured } = std::mem::replace(&mut self.end, End::Recorded) {
            let nanos = recorder.finish(start, endpoint, outcome);
            if captured.is_some() || worker.captures(endpoint, nanos) {
                worker.capture_body(endpoint, outcome, nanos, consumer, captured);
            }
            worker.count_consumer(consumer, outcome, nanos);
        }
    }
}

/// Counts a body that has ended.
fn end(mut watched: Box<Watched>, is_broken: bool) {
    watched.record();
    let Some(worker) = watched.worker.take() else { return };
    let (recorder, endpoint, outcome) = (worker.recorder(), watched.endpoint, watched.outcome);
    let is_stream = matches!(watched.end, End::Stream);
    if !watched.sized {
        recorder.add_bytes(endpoint, outcome, 0, watched.bytes);
    }
    // After its bytes, so that a reader who sees it closed sees them, too.
    if is_stream {
        recorder.close_stream();
    } else if is_broken {
        recorder.count_truncated(endpoint, outcome);
    }
    let kept = UNUSED.try_with(|unused| {
        let mut unused = unused.borrow_mut();
        if unused.len() < MAX_KEPT {
            unused.push(watched);
        }
    });
    // A thread that ends keeps nothing.
    kept.ok();
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
    #[inline]
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
