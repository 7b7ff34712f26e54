//! An answer on its way, as a future that needs no runtime.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::oneshot::{self, Receiver};
use super::question::{Answer, Busy, Question, Stale};
use super::view::{Asked, View, WaiterId};

/// A future of the answer to a [question](Question).
///
/// Any executor can poll it; while it waits, it holds no thread. It is ready within three seconds, a tenth of a second
/// if Redis did not answer before, or 20 seconds for a reset that was already sent to Redis. Dropping it withdraws the
/// question and frees its place, but does not stop a reset that is already being sent.
#[must_use = "dropping a reply withdraws its question"]
pub struct Reply(ReplyState);

enum ReplyState {
    /// The answer was known when the question was asked; `None` once it was returned.
    Known(Option<Result<Arc<Answer>, Stale>>),
    Waiting {
        view: Arc<View>,
        id: WaiterId,
        receiver: Receiver<Result<Arc<Answer>, Stale>>,
    },
}

impl Reply {
    pub(super) fn new(view: &Arc<View>, question: Question) -> Result<Self, Busy> {
        Ok(Self(match view.ask(question)? {
            Asked::Known(result) => ReplyState::Known(Some(result)),
            Asked::Waiting(id, receiver) => ReplyState::Waiting { view: Arc::clone(view), id, receiver },
        }))
    }

    /// Blocks the calling thread until the answer is known.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer, or the member was stopped.
    pub fn wait(self) -> Result<Arc<Answer>, Stale> {
        oneshot::block_on(self)
    }
}

impl Future for Reply {
    type Output = Result<Arc<Answer>, Stale>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            ReplyState::Known(result) => {
                Poll::Ready(result.take().expect("a reply is polled until it is ready"))
            }
            ReplyState::Waiting { receiver, .. } => {
                let result = std::task::ready!(Pin::new(receiver).poll(context));
                self.0 = ReplyState::Known(None);
                Poll::Ready(result)
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let ReplyState::Waiting { view, id, .. } = &self.0 {
            view.withdraw(*id);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_waiting = matches!(self.0, ReplyState::Waiting { .. });
        f.debug_struct("Reply").field("is_waiting", &is_waiting).finish_non_exhaustive()
    }
}
