//! State that the threads of a member share.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::keys::Keys;
use super::settings::Settings;
use super::status::WriterStatus;

/// State that the threads of a member share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) keys: Keys,
    pub(super) started: SystemTime,
    state: Mutex<State>,
    /// It is to be written, or to be stopped.
    changed: Condvar,
    stopped: AtomicBool,
    /// The latest epoch that was seen.
    epoch: AtomicU64,
}

#[derive(Default)]
struct State {
    status: WriterStatus,
    write_now: bool,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            keys: Keys::new(&settings.prefix, &settings.service),
            settings,
            started: SystemTime::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
        }
    }

    pub(super) fn status(&self) -> WriterStatus {
        self.lock().status.clone()
    }

    pub(super) fn is_stopped(&self) -> bool {
        // ORDERING: Relaxed; the lock that `stop` takes after it orders what matters.
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn with_status(&self, change: impl FnOnce(&mut WriterStatus)) {
        change(&mut self.lock().status);
    }

    /// The latest epoch that is known here.
    pub(super) fn known_epoch(&self) -> u64 {
        // ORDERING: Relaxed, here and below; a number by itself that only grows.
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn learn_epoch(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }

    /// Has the writer write without waiting for its time.
    pub(super) fn write_now(&self) {
        self.lock().write_now = true;
        self.changed.notify_all();
    }

    /// Waits, unless there is something to write or to stop for.
    pub(super) fn pause(&self, pause: Duration) {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.write_now) || self.is_stopped() {
                return;
            }
            let Some(left) = pause.checked_sub(begun.elapsed()) else { return };
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A number from 0 to 1.
    pub(super) fn random(&self, seed: u64) -> f64 {
        // A hasher with a random key of its own is the standard library's way to a random number.
        RandomState::new().hash_one(seed) as f64 / u64::MAX as f64
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Under the lock, so that who is about to wait sees it first.
        drop(self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
