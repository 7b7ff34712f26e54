//! Whether a notice may still be sent, where several instances could send it.

use std::fmt;

use metrics_core::alert::EventId;

/// Says whether notices of a fleet may be sent, and hears what became of them. One for each destination.
///
/// A delivery calls it on its own thread, and holds no lock meanwhile: it may block.
pub trait Permit: Send + Sync + fmt::Debug {
    /// Whether these notices may be sent now. Asked before each attempt. If not, the delivery drops them, since another
    /// instance sends them.
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
    /// It was not sent: it might not be, the queue was full, or the delivery ended.
    Withheld,
}
