//! How the thread that ends the windows is stopped.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Tells the thread that ends the windows to stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    /// Until when destinations may continue to send; `None` before the stop.
    deadline: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Stop {
    /// Ends the open windows now, and lets destinations send until the deadline.
    pub(super) fn at(&self, deadline: Instant) {
        let mut known = self.lock();
        *known = Some(known.map_or(deadline, |earlier| earlier.min(deadline)));
        self.changed.notify_all();
    }

    /// Waits until the given time, or for the stop, whose deadline it returns.
    pub(super) fn wait(&self, until: Option<Instant>) -> Option<Instant> {
        let running = |deadline: &mut Option<Instant>| deadline.is_none();
        let Some(until) = until else {
            return *self.changed.wait_while(self.lock(), running).unwrap_or_else(PoisonError::into_inner);
        };
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), left, running);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // No code that holds the lock can panic.
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
