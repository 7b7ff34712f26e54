//! State that the threads of a member share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::identity::Identity;
use super::keys::Keys;
use super::settings::FleetSettings;
use super::status::WriterStatus;

/// State that the threads of a member share.
pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) settings: FleetSettings,
    pub(super) keys: Keys,
    pub(super) started: SystemTime,
    state: Mutex<WriterState>,
    /// Signals `write_now` and `stopped`.
    changed: Condvar,
    stopped: AtomicBool,
    /// The latest epoch that this instance saw.
    epoch: AtomicU64,
}

#[derive(Default)]
struct WriterState {
    status: WriterStatus,
    write_now: bool,
}

impl Shared {
    pub(super) fn new(identity: Identity, settings: FleetSettings) -> Self {
        Self {
            keys: Keys::new(&settings.prefix, &identity.service),
            identity,
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
        // ORDERING: Relaxed; `stop` takes the lock after its store, which orders the two for a thread in `pause`.
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn with_status(&self, change: impl FnOnce(&mut WriterStatus)) {
        change(&mut self.lock().status);
    }

    /// The latest epoch that this instance saw.
    pub(super) fn known_epoch(&self) -> u64 {
        // ORDERING: Relaxed, here and below; one number that only grows, and nothing else depends on it.
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn learn_epoch(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }

    /// Makes the writer write at once.
    pub(super) fn write_now(&self) {
        self.lock().write_now = true;
        self.changed.notify_all();
    }

    /// Waits, but ends at once for `write_now` and `stop`.
    pub(super) fn pause(&self, pause: Duration) {
        let is_idle = |state: &mut WriterState| !state.write_now && !self.is_stopped();
        let waited = self.changed.wait_timeout_while(self.lock(), pause, is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.write_now = false;
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Takes the lock, so that a thread about to wait sees the store first.
        drop(self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, WriterState> {
        // No code under the lock leaves the state half changed, so a poisoned one is fine.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
