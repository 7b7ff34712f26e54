//! Work that goes on outside of requests' own threads, and how it is ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;

/// Pieces of work that may be under way at one time. They wait for each other, and take up threads that the application
/// needs, too.
const MAX_RUNNING: usize = 16;

/// How long the shutdown sleeps between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The background work of a monitor.
#[derive(Debug, Default)]
pub(crate) struct Background {
    running: AtomicUsize,
    closed: AtomicBool,
}

/// Why a piece of work may not begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is as much under way as may be.
    Busy,
    /// The monitor is being shut down.
    Closed,
}

/// A piece of work under way; ends when dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Background>);

impl Background {
    /// Begins a piece of work.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Running, Refused> {
        // ORDERING: SeqCst on all accesses. This stores `running` and then loads `closed`, `shutdown` does it the other
        // way round: at least one of the two sees the other, so no work begins behind the back of a shutdown.
        let others = self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(self));
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refused::Closed);
        }
        if others < MAX_RUNNING { Ok(running) } else { Err(Refused::Busy) }
    }

    /// Whether no work begins any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Lets no work begin any more, and waits for what is under way. Whether all of it ended within the time.
    pub(crate) async fn shutdown(&self, timeout: Duration) -> bool {
        self.closed.store(true, Ordering::SeqCst);
        wait(|| self.running.load(Ordering::SeqCst) == 0, timeout).await
    }
}

/// Waits until something holds. Whether it did within the time.
pub(crate) async fn wait(until: impl Fn() -> bool, timeout: Duration) -> bool {
    let begun = Instant::now();
    while !until() {
        let Some(left) = timeout.checked_sub(begun.elapsed()) else { return false };
        sleep(left.min(LOOK_EVERY)).await;
    }
    true
}

impl Drop for Running {
    fn drop(&mut self) {
        // ORDERING: SeqCst; see `begin`.
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_shutdown_waits_for_what_is_under_way_and_lets_nothing_begin() {
        let background = Arc::new(Background::default());
        let work = background.begin().unwrap();
        let ends = actix_web::rt::spawn(async move {
            sleep(Duration::from_millis(20)).await;
            drop(work);
        });
        assert!(background.shutdown(Duration::from_secs(60)).await);
        assert_eq!(background.begin().err(), Some(Refused::Closed));
        ends.await.unwrap();
        assert!(background.shutdown(Duration::ZERO).await);
    }

    #[test]
    fn no_more_than_so_many_run_at_one_time() {
        let background = Arc::new(Background::default());
        let mut running: Vec<_> = (0..MAX_RUNNING).map(|_| background.begin().unwrap()).collect();
        assert_eq!(background.begin().err(), Some(Refused::Busy));
        running.pop();
        assert!(background.begin().is_ok());
    }

    #[actix_web::test]
    async fn a_shutdown_gives_up_when_its_time_is_over() {
        let background = Arc::new(Background::default());
        let work = background.begin();
        assert!(!background.shutdown(Duration::from_millis(20)).await);
        assert!(!background.shutdown(Duration::ZERO).await);
        drop(work);
        assert!(background.shutdown(Duration::ZERO).await);
    }
}
