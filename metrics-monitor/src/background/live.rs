//! What the connections to `GET events` share: a limit, and the last event of each window.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics_core::Window;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that may be open at one time.
pub(crate) const MAX_LISTENERS: usize = 16;

/// An event that is younger is sent again instead of a new one.
const FRESH: Duration = Duration::from_millis(500);

/// What the connections share.
#[derive(Debug)]
pub(crate) struct Live {
    listeners: Arc<Semaphore>,
    last: Mutex<HashMap<Window, (Instant, Bytes)>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { listeners: Arc::new(Semaphore::new(MAX_LISTENERS)), last: Mutex::default() }
    }
}

impl Live {
    /// A seat for one more connection, until it is dropped; `None` if all are taken.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.listeners).try_acquire_owned().ok()
    }

    /// The event of now. `read` reads the figures, unless that was done less than half a second ago, so that they are
    /// read about once a second, however many listen.
    pub(crate) fn event(&self, window: Window, read: impl FnOnce() -> Bytes) -> Bytes {
        // A panic while it is locked changes nothing.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, event)) = last.get(&window)
            && made.elapsed() < FRESH
        {
            return event.clone();
        }
        let event = read();
        last.insert(window, (Instant::now(), event.clone()));
        event
    }
}
