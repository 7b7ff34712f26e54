//! What a framework reports of its workers' event loops.

use std::fmt;
use std::time::Duration;

/// What one event loop did since the last reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventLoopLoad {
    /// The longest time that it was late. While it is stuck: for how long so far.
    pub lag: Duration,
    /// The share of the time in which it ran tasks, in per cent.
    pub busy_percent: f64,
}

/// Reads the event loops of all workers. The monitor calls it once a second, on its own thread.
pub struct EventLoops(Box<dyn Fn() -> Vec<EventLoopLoad> + Send>);

impl EventLoops {
    /// Event loops that `read` reports, one entry a worker.
    pub fn new(read: impl Fn() -> Vec<EventLoopLoad> + Send + 'static) -> Self {
        Self(Box::new(read))
    }

    pub(crate) fn read(&self) -> Vec<EventLoopLoad> {
        (self.0)()
    }
}

impl Default for EventLoops {
    /// No event loops.
    fn default() -> Self {
        Self::new(Vec::new)
    }
}

impl fmt::Debug for EventLoops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoops").finish_non_exhaustive()
    }
}
