//! How the answer to a request comes about: at once, or on a lane of the monitor's own threads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::answer::Answer;
use super::request::Request;
use crate::background::lanes::{Lane, Lanes, Refused, Scratch, Ticket};
use crate::state::State;

/// Where the work for an endpoint is done, and the function that does it.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// On the caller's thread, for what only copies.
    Inline(fn(&Request<'_>) -> Answer),
    /// In the lane of scrapes.
    Scrape(fn(&Request<'_>) -> Job),
    /// In the lane of local answers. The error says what is wrong with the query.
    Read(fn(&Request<'_>) -> Result<Job, String>),
    /// Waits for the fleet without a thread, then in the lane of the fleet.
    #[cfg(feature = "redis")]
    Fleet(fn(&Arc<State>, &Request<'_>) -> Answering),
    /// In the lane of events. Takes the names of the endpoints that the dashboard may read.
    Events(fn(&Arc<State>, &Request<'_>, &[&'static str]) -> Answer),
}

/// What a lane does for one request.
pub(crate) type Job = Box<dyn FnOnce(&State, &mut Scratch) -> Answer + Send>;

/// A job that needs no buffers.
pub(crate) fn job(work: impl FnOnce(&State) -> Answer + Send + 'static) -> Job {
    Box::new(|state, _| work(state))
}

/// An answer that is being computed. Dropping it takes the request out of its lane's queue.
#[must_use = "futures do nothing unless polled"]
pub struct Answering(Inner);

enum Inner {
    Ready(Option<Answer>),
    InLane(Ticket<Answer>),
    #[cfg(feature = "redis")]
    Waiting(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Answering {
    pub(crate) fn ready(answer: Answer) -> Self {
        Self(Inner::Ready(Some(answer)))
    }

    /// Waits for something else than a lane.
    #[cfg(feature = "redis")]
    pub(crate) fn waiting(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Inner::Waiting(Box::pin(answer)))
    }

    /// Does a job in a lane. `busy` is the message if its queue is full.
    pub(crate) fn in_lane(state: &Arc<State>, lane: fn(&Lanes) -> &Lane, busy: &str, job: Job) -> Self {
        let shared = Arc::clone(state);
        match lane(&state.lanes).run(move |scratch| job(&shared, scratch)) {
            Ok(ticket) => Self(Inner::InLane(ticket)),
            Err(refused) => Self::ready(refusal(refused, busy)),
        }
    }
}

/// The answer to a request that was not accepted.
pub(crate) fn refusal(refused: Refused, busy: &str) -> Answer {
    let message = match refused {
        Refused::Busy => busy,
        Refused::Closed => "the server is shutting down",
    };
    Answer::unavailable(message).header("retry-after", "1")
}

impl Future for Answering {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            Inner::Ready(answer) => Poll::Ready(answer.take().expect("it is not polled after its end")),
            Inner::InLane(ticket) => Pin::new(ticket).poll(cx).map(|answer| answer.unwrap_or_else(panicked)),
            #[cfg(feature = "redis")]
            Inner::Waiting(answer) => answer.as_mut().poll(cx),
        }
    }
}

/// The answer to a request whose job panicked.
pub(crate) fn panicked() -> Answer {
    let message = "computing this answer panicked, which is a bug; the panic is in the service's stderr";
    Answer::failure(500, "internal", message)
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}
