//! How late the event loops of the workers are: what a handler that blocks does to everybody else on its worker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

/// How often a worker looks. The runtime's timers are right to within a millisecond, so no lag is shorter.
const EVERY: Duration = Duration::from_millis(100);

/// The lags of all workers of a monitor.
#[derive(Debug, Default)]
pub(crate) struct Lags {
    /// In nanoseconds, the longest since it was last taken. One for each worker.
    workers: Mutex<Vec<Arc<AtomicU64>>>,
}

impl Lags {
    /// Begins to watch the event loop of the calling thread, if it has one, for as long as `worker` lives.
    pub(crate) fn watch(&self, worker: Weak<()>) {
        let Ok(event_loop) = Handle::try_current() else { return };
        let longest = Arc::new(AtomicU64::new(0));
        self.lock().push(Arc::clone(&longest));
        event_loop.spawn(async move {
            while worker.strong_count() > 0 {
                let due = Instant::now() + EVERY;
                sleep_until(due).await;
                let lag = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                // ORDERING: Relaxed, here and below; a figure by itself.
                longest.fetch_max(lag, Ordering::Relaxed);
            }
        });
    }

    /// The longest lag of each worker since the last call.
    pub(crate) fn take(&self) -> Vec<Duration> {
        let mut workers = self.lock();
        // The task of a worker that is gone has let go of its own.
        workers.retain(|longest| Arc::strong_count(longest) > 1);
        workers.iter().map(|longest| Duration::from_nanos(longest.swap(0, Ordering::Relaxed))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<AtomicU64>>> {
        // Nothing can panic while it is locked.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::rt::time::sleep;

    use super::*;

    #[actix_web::test]
    async fn a_handler_that_blocks_shows_and_a_worker_that_is_gone_does_not() {
        let (lags, worker) = (Lags::default(), Arc::new(()));
        lags.watch(Arc::downgrade(&worker));
        sleep(EVERY / 2).await;
        // Past the moment at which the task wants to look.
        std::thread::sleep(EVERY * 5);
        sleep(EVERY).await;
        let longest = lags.take();
        assert_eq!(longest.len(), 1);
        assert!(longest[0] >= EVERY * 3, "{longest:?}");
        drop(worker);
        sleep(EVERY * 3).await;
        assert!(lags.take().is_empty());
    }
}
