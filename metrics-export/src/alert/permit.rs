//! Whether a notice may still be sent, where several instances could send it.

use std::fmt;

use metrics_core::alert::EventId;

/// Decides whether notices of a fleet may be sent, and is told what became of them. There is one for each destination.
///
/// A delivery calls it on its own thread, and holds no lock meanwhile: it may block.
pub trait Permit: Send + Sync + fmt::Debug {
    /// Returns whether these notices may be sent now. Called before each attempt. If not, the delivery drops them,
    /// since another instance sends them.
    fn may_send(&self, events: &[EventId]) -> bool;

    /// Called once with each notice that has an id.
    fn settled(&self, events: &[EventId], outcome: Settled);
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The destination accepted it.
    Sent,
    /// The destination refused it, or did not accept it in time.
    GivenUp,
    /// It was not sent: the permit did not allow it, the queue was full, or the delivery ended.
    Withheld,
}
