//! How the thread that ends the windows is told to flush, and to end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the thread that ends the windows does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The time it waited for has come.
    Due,
    /// End the open windows now, which destinations may send until this time. [`Control::flushed`] must follow with
    /// this number.
    Flush(u64, Instant),
    /// End.
    End,
}

/// Tells the thread that ends the windows what to do.
#[derive(Debug, Default)]
pub(super) struct Control {
    state: Mutex<ControlState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ControlState {
    /// Flushes that were asked for, and until when destinations may send in the last of them.
    asked: u64,
    until: Option<Instant>,
    /// Flushes whose windows ended.
    flushed: u64,
    ends: bool,
}

impl Control {
    /// Asks for a flush, and returns its number.
    pub(super) fn flush(&self, until: Instant) -> u64 {
        let mut state = self.lock();
        state.asked += 1;
        state.until = Some(until);
        self.changed.notify_all();
        state.asked
    }

    /// Asks the thread to end.
    pub(super) fn end(&self) {
        self.lock().ends = true;
        self.changed.notify_all();
    }

    /// Waits until the given time, or until there is something else to do.
    pub(super) fn wait(&self, until: Option<Instant>) -> Turn {
        let idle = |state: &mut ControlState| !state.ends && state.flushed == state.asked;
        let state = match until {
            None => self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.changed.wait_timeout_while(self.lock(), left, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        match state.until {
            _ if state.ends => Turn::End,
            Some(until) if state.flushed < state.asked => Turn::Flush(state.asked, until),
            _ => Turn::Due,
        }
    }

    /// The windows of this flush, and of those before it, have ended.
    pub(super) fn flushed(&self, number: u64) {
        self.lock().flushed = number;
        self.changed.notify_all();
    }

    /// Waits until the windows of this flush have ended, at most until the deadline. Returns whether they have.
    pub(super) fn wait_until_flushed(&self, number: u64, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = |state: &mut ControlState| state.flushed < number;
        let waited = self.changed.wait_timeout_while(self.lock(), left, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, ControlState> {
        // No code that holds the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
