//! How the answer to a request comes about: at once, or on a lane of the monitor's own threads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::answer::{Answer, Body};
use super::query::Query;
use super::request::Request;
use crate::background::joined::{Key, Share};
use crate::background::lanes::{Lane, Lanes, Refused, Scratch};
use crate::policy::peer::Source;
use crate::state::{State, WholeAnswer};

/// Where the work for an endpoint is done, and the function that does it.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// On the caller's thread, for what only copies.
    Inline(fn(&Request<'_>) -> Answer),
    /// In the lane of scrapes.
    Scrape(fn(&Request<'_>) -> Task),
    /// In the lane of local answers. The error says what is wrong with the query.
    Read(fn(Asked) -> Result<Task, String>),
    /// Waits for the fleet without a thread, then in the lane of the fleet.
    #[cfg(feature = "redis")]
    Fleet(fn(&Arc<State>, &Request<'_>) -> Answering),
    /// In the lane of events. Takes the names of the endpoints that the dashboard may read.
    Events(fn(&Arc<State>, &Request<'_>, &[&'static str]) -> Answer),
}

/// What a request for local figures says.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) query: Query,
    /// Whether its client may see what other clients sent.
    pub(crate) shows_private: bool,
}

/// What a lane does for one request, or for several with the same question.
pub(crate) struct Task {
    /// The question; `None` if each request needs a job of its own.
    variant: Option<String>,
    job: Job,
}

type Job = Box<dyn FnOnce(&State, &mut Scratch) -> Answer + Send>;

impl Task {
    /// A task whose answer requests with the same question share. The question holds all that the job depends on.
    pub(crate) fn shared(
        question: impl fmt::Debug,
        job: impl FnOnce(&State) -> Answer + Send + 'static,
    ) -> Self {
        Self::with_buffers(question, |state, _| job(state))
    }

    /// The same, for a job that needs buffers.
    pub(crate) fn with_buffers(
        question: impl fmt::Debug,
        job: impl FnOnce(&State, &mut Scratch) -> Answer + Send + 'static,
    ) -> Self {
        Self { variant: Some(format!("{question:?}")), job: Box::new(job) }
    }

    /// A task that each request needs done for itself.
    pub(crate) fn single(job: impl FnOnce(&State) -> Answer + Send + 'static) -> Self {
        Self { variant: None, job: Box::new(|state, _| job(state)) }
    }
}

/// An answer that is being computed. Dropping it takes the request out of its lane's queue.
#[must_use = "futures do nothing unless polled"]
pub struct Answering(Inner);

enum Inner {
    Ready(Option<Answer>),
    InLane(Share<WholeAnswer>),
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

    /// Does the task of an endpoint in a lane, for a client at this address. `busy` is the message if too much waits
    /// there.
    pub(crate) fn in_lane(
        state: &Arc<State>,
        lane: fn(&Lanes) -> &Lane,
        busy: &str,
        endpoint: &'static str,
        source: Source,
        Task { variant, job }: Task,
    ) -> Self {
        let shared = Arc::clone(state);
        let job = move |scratch: &mut Scratch| whole(job(&shared, scratch));
        match state.joined.run(lane(&state.lanes), Key { subject: endpoint, variant }, source, job) {
            Ok(share) => Self(Inner::InLane(share)),
            Err(refused) => Self::ready(refusal(refused, busy)),
        }
    }
}

/// The message to an address for which as much waits as may wait for one.
const BUSY_ADDRESS: &str = "too many requests from one address are waiting; try again in 1 s. If a proxy adds the \
                            clients' addresses to X-Forwarded-For, set trust_forwarded(true)";

/// The answer to a request that was not accepted.
pub(crate) fn refusal(refused: Refused, busy: &str) -> Answer {
    let message = match refused {
        Refused::Busy => busy,
        Refused::BusyAddress => BUSY_ADDRESS,
        Refused::Closed => "the server is shutting down",
    };
    Answer::unavailable(message).header("retry-after", "1")
}

impl Future for Answering {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            Inner::Ready(answer) => Poll::Ready(answer.take().expect("it is not polled after its end")),
            Inner::InLane(share) => {
                let answer = |whole: Arc<WholeAnswer>| {
                    let WholeAnswer { status, headers, body } = Arc::unwrap_or_clone(whole);
                    Answer { status, headers, body: Body::Bytes(body) }
                };
                Pin::new(share).poll(cx).map(|whole| whole.map_or_else(panicked, answer))
            }
            #[cfg(feature = "redis")]
            Inner::Waiting(answer) => answer.as_mut().poll(cx),
        }
    }
}

/// An answer of a lane. None of them is a stream.
fn whole(Answer { status, headers, body }: Answer) -> WholeAnswer {
    let body = match body {
        Body::Bytes(bytes) => bytes,
        Body::Events(_) => Default::default(),
    };
    WholeAnswer { status, headers, body }
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
