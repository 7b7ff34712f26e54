//! A state that threads share, and whose changes some of them wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A state behind a lock.
///
/// Each thread does one step at a time under the lock, and each change wakes all that wait. So what threads can do to
/// each other is the order of their steps, and `model.rs` explores all orders.
#[derive(Debug, Default)]
pub(super) struct Watched<S> {
    state: Mutex<S>,
    changed: Condvar,
}

/// What a thread that waits for a state finds.
#[derive(Debug)]
pub(super) enum Wait<T> {
    /// What it waited for.
    Ready(T),
    /// Nothing yet, and the state is unchanged. To be looked at again after a change, or at this time.
    Until(Option<Instant>),
}

impl<T> Wait<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Wait<U> {
        match self {
            Self::Ready(result) => Wait::Ready(change(result)),
            Self::Until(time) => Wait::Until(time),
        }
    }
}

impl<S> Watched<S> {
    pub(super) fn new(state: S) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Changes the state, and wakes all that wait for it.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// The state, for what nobody waits for.
    pub(super) fn lock(&self) -> MutexGuard<'_, S> {
        // No step panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Repeats a step until it is ready, and then wakes all others that wait.
    pub(super) fn wait<T>(&self, mut step: impl FnMut(&mut S, Instant) -> Wait<T>) -> T {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state = match step(&mut state, now) {
                Wait::Ready(result) => {
                    self.changed.notify_all();
                    return result;
                }
                Wait::Until(None) => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Wait::Until(Some(time)) => {
                    let waited = self.changed.wait_timeout(state, time.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
