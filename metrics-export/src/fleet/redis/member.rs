//! A member of a fleet: two threads, one that writes its own figures and one that reads all.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use metrics_core::Registry;

use super::keys::Keys;
use super::settings::{Settings, SettingsError};
use super::view::{self, Answer, Question, Stale, View};
use super::write::{Writer, WriterStatus};

/// One instance among those of its service. Dropping it stops it.
///
/// Nobody who records ever waits for it: it reads the registry as everybody does, in threads of its own.
pub struct Member {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
}

/// A member that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The system gives no thread.
    #[error("there is no thread for the fleet: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the threads of a member share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) keys: Keys,
    pub(super) started: SystemTime,
    view: View,
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

impl Member {
    /// Starts to write the figures of a registry. Whether the Redis is there does not matter for that: it is tried again
    /// and again. A registry is one instance: a second member for it would write all that it counted once more.
    ///
    /// # Errors
    ///
    /// When a setting is out of range, the registry has room for more endpoints than a report, or the system gives no thread.
    pub fn start(registry: Registry, settings: Settings) -> Result<Self, StartError> {
        settings.check(&registry)?;
        // Unless the application chose its cryptography already. Where several are built in, rustls would not choose.
        #[cfg(feature = "redis-tls")]
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::new(Shared {
            keys: Keys::new(&settings.prefix, &settings.service),
            settings,
            started: SystemTime::now(),
            view: View::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
        });
        let writer = Writer::new(Arc::clone(&shared), registry);
        let writer = thread::Builder::new().name("metrics-fleet".to_owned()).spawn(move || writer.run())?;
        let reading = Arc::clone(&shared);
        let reader = thread::Builder::new().name("metrics-fleet-read".to_owned());
        // It holds a clone of what is shared, and ends when it is stopped.
        reader
            .spawn(move || reading.view.run(view::reader(Arc::clone(&reading))))
            .inspect_err(|_| shared.stop())?;
        Ok(Self { shared, writer })
    }

    /// The figures of the whole fleet, not older than a second, or than it takes to read them. Waits up to three seconds, and where
    /// Redis did not answer before, a tenth of one; to be called where waiting is allowed. Where it takes longer to read them, those
    /// that were read before are the answer, up to four times as long.
    ///
    /// # Errors
    ///
    /// When there is no answer from Redis, since when, and why.
    pub fn ask(&self, question: Question) -> Result<Arc<Answer>, Stale> {
        self.shared.view.ask(question)
    }

    /// How its own writes go.
    pub fn status(&self) -> WriterStatus {
        self.shared.lock().status.clone()
    }

    /// What it is called.
    pub fn instance(&self) -> &str {
        &self.shared.settings.instance
    }

    /// Answers nobody any more: who waits is told so.
    pub fn stop_answering(&self) {
        self.shared.view.stop();
    }

    /// Writes once more, and ends. Does not wait for that.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Whether the last write is over.
    pub fn is_finished(&self) -> bool {
        self.writer.is_finished()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Shared {
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

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Under the lock, so that who is about to wait sees it first.
        drop(self.lock());
        self.changed.notify_all();
        self.view.stop();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
