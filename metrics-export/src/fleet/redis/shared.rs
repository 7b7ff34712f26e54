//! State that the threads of a member share.

use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Signals changes of `state`.
    changed: Condvar,
    /// The latest epoch that this instance saw.
    epoch: AtomicU64,
}

#[derive(Default)]
struct WriterState {
    status: WriterStatus,
    write_now: bool,
    /// Last reports that were asked for, and those that were tried.
    last_asked: u64,
    last_tried: u64,
    /// The member was dropped.
    has_ended: bool,
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
            epoch: AtomicU64::new(0),
        }
    }

    pub(super) fn status(&self) -> WriterStatus {
        self.lock().status.clone()
    }

    /// The number of the last report that was asked for; `None` while the instance is in service.
    pub(super) fn last_report(&self) -> Option<u64> {
        Some(self.lock().last_asked).filter(|asked| *asked > 0)
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

    /// Waits, but ends at once for `write_now`, a last report, and the end. Returns false at the end.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let is_idle = |state: &mut WriterState| {
            !state.write_now && state.last_asked == state.last_tried && !state.has_ended
        };
        let waited = self.changed.wait_timeout_while(self.lock(), pause, is_idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.write_now = false;
        !state.has_ended || state.last_asked > state.last_tried
    }

    /// Asks for a last report, and returns its number.
    pub(super) fn write_last(&self) -> u64 {
        let mut state = self.lock();
        state.last_asked += 1;
        self.changed.notify_all();
        state.last_asked
    }

    /// The writer tried to write this last report, and those before it.
    pub(super) fn tried_last(&self, report: u64) {
        self.lock().last_tried = report;
    }

    /// Whether the writer tried to write this last report.
    pub(super) fn has_tried_last(&self, report: u64) -> bool {
        self.lock().last_tried >= report
    }

    /// Ends the writer, after the last report that was asked for.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, WriterState> {
        // No code under the lock leaves the state half changed, so a poisoned one is fine.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
