//! The event loops of the workers: how late they are, which is what a handler that blocks does to everybody else on its
//! worker, and how busy.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::{Instant, sleep_until};

/// How often a worker looks. The runtime's timers are right to within a millisecond, so no lag is shorter.
const EVERY: Duration = Duration::from_millis(100);

/// The event loops of all workers of a monitor.
#[derive(Debug, Default)]
pub(crate) struct EventLoops {
    /// One for each worker.
    watched: Mutex<Vec<Watched>>,
}

/// What an event loop did since it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// The longest time that it was late; where it is stuck, for how long it is so far.
    pub(crate) lag: Duration,
    /// The share of the time in which it ran tasks, in per cent.
    pub(crate) busy_percent: f64,
}

#[derive(Debug)]
struct Watched {
    lag: Arc<Lag>,
    runtime: RuntimeMetrics,
    looked: Instant,
    /// What the runtime had counted as busy then.
    counted: Duration,
    /// What was told as busy before the runtime counted it.
    ahead: Duration,
}

/// How late an event loop is. Its own task writes, whoever takes it reads: of a loop that is stuck the task says nothing.
#[derive(Debug)]
struct Lag {
    /// In nanoseconds, the longest since it was last taken.
    longest: AtomicU64,
    begun: Instant,
    /// When the task is to run next, in nanoseconds since it began.
    due: AtomicU64,
}

impl EventLoops {
    /// Begins to watch the event loop of the calling thread, if it has one, for as long as `worker` lives.
    pub(crate) fn watch(&self, worker: Weak<()>) {
        let Ok(event_loop) = Handle::try_current() else { return };
        let lag = Arc::new(Lag::new());
        self.lock().push(Watched::new(Arc::clone(&lag), event_loop.metrics()));
        event_loop.spawn(async move {
            while worker.strong_count() > 0 {
                let due = Instant::now() + EVERY;
                lag.wait_until(due);
                sleep_until(due).await;
                lag.note(due.elapsed());
            }
        });
    }

    /// What each worker's did since the last call.
    pub(crate) fn take(&self) -> Vec<Load> {
        let mut watched = self.lock();
        // The task of a worker that is gone has let go of its own.
        watched.retain(|event_loop| Arc::strong_count(&event_loop.lag) > 1);
        watched.iter_mut().map(Watched::take).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        // Nothing can panic while it is locked.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lag {
    fn new() -> Self {
        let begun = Instant::now();
        Self { longest: AtomicU64::new(0), begun, due: AtomicU64::new(nanos(EVERY)) }
    }

    fn wait_until(&self, due: Instant) {
        // ORDERING: Relaxed, here and below; figures by themselves.
        self.due.store(nanos(due - self.begun), Ordering::Relaxed);
    }

    fn note(&self, lag: Duration) {
        self.longest.fetch_max(nanos(lag), Ordering::Relaxed);
    }

    /// The longest since the last call, or that of now.
    fn take(&self, now: Instant) -> Duration {
        let due = self.begun + Duration::from_nanos(self.due.load(Ordering::Relaxed));
        let longest = Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed));
        longest.max(now.saturating_duration_since(due))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Watched {
    fn new(lag: Arc<Lag>, runtime: RuntimeMetrics) -> Self {
        let counted = busy(&runtime);
        Self { lag, runtime, looked: Instant::now(), counted, ahead: Duration::ZERO }
    }

    fn take(&mut self) -> Load {
        let (now, counted) = (Instant::now(), busy(&self.runtime));
        let elapsed = now - std::mem::replace(&mut self.looked, now);
        let more = counted.saturating_sub(std::mem::replace(&mut self.counted, counted));
        let busy;
        (busy, self.ahead) = spent(elapsed, more, self.ahead);
        Load {
            lag: self.lag.take(now),
            // In this order, so that all of the time is 100 to the bit.
            busy_percent: 100.0 * (busy.as_secs_f64() / elapsed.as_secs_f64().max(1e-9)),
        }
    }
}

/// For how long a runtime ran tasks so far, by the mean of its threads. An actix worker's has one.
fn busy(runtime: &RuntimeMetrics) -> Duration {
    let threads = runtime.num_workers();
    let all: Duration = (0..threads).map(|thread| runtime.worker_total_busy_duration(thread)).sum();
    all / u32::try_from(threads).unwrap_or(u32::MAX).max(1)
}

/// For how much of `elapsed` an event loop was busy of which the runtime counted `more`, and what is told ahead of it.
///
/// The runtime counts when tasks have run. Our own runs ten times a second, so where nothing was counted for longer, one is
/// running all the time; it is counted at its end, for all the time that it took.
fn spent(elapsed: Duration, more: Duration, ahead: Duration) -> (Duration, Duration) {
    if more.is_zero() && elapsed > 2 * EVERY {
        return (elapsed, ahead + elapsed);
    }
    (more.saturating_sub(ahead).min(elapsed), Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use actix_web::rt::time::sleep;

    use super::*;

    #[actix_web::test]
    async fn a_handler_that_blocks_shows_and_a_worker_that_is_gone_does_not() {
        let (event_loops, worker) = (EventLoops::default(), Arc::new(()));
        event_loops.watch(Arc::downgrade(&worker));
        sleep(EVERY / 2).await;
        // Past the moment at which the task wants to look.
        std::thread::sleep(EVERY * 5);
        sleep(EVERY).await;
        let loads = event_loops.take();
        assert_eq!(loads.len(), 1);
        assert!(loads[0].lag >= EVERY * 3, "{loads:?}");
        // It blocked for 500 of 650 ms; on a machine that is held up, less than that of more.
        assert!((20.0..=100.0).contains(&loads[0].busy_percent), "{loads:?}");
        drop(worker);
        sleep(EVERY * 3).await;
        assert!(event_loops.take().is_empty());
    }

    #[actix_web::test]
    async fn an_event_loop_without_work_is_not_busy_and_one_that_is_blocked_is_all_the_time() {
        let (event_loops, worker) = (Arc::new(EventLoops::default()), Arc::new(()));
        event_loops.watch(Arc::downgrade(&worker));
        sleep(EVERY).await;
        event_loops.take();
        sleep(EVERY * 10).await;
        let [idle] = event_loops.take()[..] else { panic!() };
        assert!(idle.busy_percent < 100.0, "{idle:?}");
        // Somebody else looks while it is blocked, by waiting for that.
        let looks = std::thread::spawn({
            let event_loops = Arc::clone(&event_loops);
            move || {
                std::thread::sleep(EVERY);
                event_loops.take();
                std::thread::sleep(EVERY * 4);
                event_loops.take()
            }
        });
        let [blocked] = looks.join().unwrap()[..] else { panic!() };
        assert_eq!(blocked.busy_percent, 100.0);
        // It was still blocked then, so its own task had said nothing yet.
        assert!(blocked.lag >= EVERY * 2, "{blocked:?}");
    }

    #[test]
    fn what_was_told_ahead_is_not_told_again() {
        let ms = Duration::from_millis;
        assert_eq!(spent(ms(1_000), ms(300), ms(0)), (ms(300), ms(0)));
        // A task of 2.5 s, over three looks.
        let (first, ahead) = spent(ms(1_000), ms(0), ms(0));
        let (second, ahead) = spent(ms(1_000), ms(0), ahead);
        let (third, ahead) = spent(ms(1_000), ms(2_500), ahead);
        assert_eq!((first, second, third, ahead), (ms(1_000), ms(1_000), ms(500), ms(0)));
        // Never more than there was time.
        assert_eq!(spent(ms(1_000), ms(1_001), ms(0)).0, ms(1_000));
        assert_eq!(spent(ms(1_000), ms(10), ms(5_000)), (ms(0), ms(0)));
    }
}
