//! The event loops of the workers: how busy they are, and how late. A blocking handler makes every other request on its
//! worker late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use metrics_monitor::EventLoopLoad;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::{Instant, sleep_until};

/// How often each event loop is checked. The runtime's timers are accurate to a millisecond, so no lag is shorter.
const EVERY: Duration = Duration::from_millis(100);

/// The event loops of all workers of a monitor.
#[derive(Debug, Default)]
pub(crate) struct EventLoops {
    /// One per worker.
    watched: Mutex<Vec<Watched>>,
}

#[derive(Debug)]
struct Watched {
    lag: Arc<Lag>,
    runtime: RuntimeMetrics,
    /// The last reading.
    read: Instant,
    /// The busy time that the runtime had counted then.
    counted: Duration,
    /// The busy time that was reported before the runtime counted it.
    ahead: Duration,
}

/// How late an event loop is. Its own task writes; the monitor's thread reads, because the task of a stuck loop reports
/// nothing.
#[derive(Debug)]
struct Lag {
    /// The longest since it was last taken, in nanoseconds.
    longest: AtomicU64,
    begun: Instant,
    /// When the task is due next, in nanoseconds since it began.
    due: AtomicU64,
}

impl EventLoops {
    /// Watches the event loop of the calling thread, if it has one, for as long as `worker` lives.
    pub(crate) fn watch(&self, worker: Weak<()>) {
        let Ok(event_loop) = Handle::try_current() else { return };
        let lag = Arc::new(Lag::new());
        self.lock().push(Watched::new(Arc::clone(&lag), event_loop.metrics()));
        event_loop.spawn(async move {
            while worker.strong_count() > 0 {
                let due = Instant::now() + EVERY;
                lag.wait_until(due);
                sleep_until(due).await;
                lag.observe(due.elapsed());
            }
        });
    }

    /// What the event loop of each worker did since the last call.
    pub(crate) fn take(&self) -> Vec<EventLoopLoad> {
        let mut watched = self.lock();
        // The task of a worker that is gone has dropped its half.
        watched.retain(|event_loop| Arc::strong_count(&event_loop.lag) > 1);
        watched.iter_mut().map(Watched::take).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        // Nothing panics while it is locked.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lag {
    fn new() -> Self {
        let begun = Instant::now();
        Self { longest: AtomicU64::new(0), begun, due: AtomicU64::new(nanos(EVERY)) }
    }

    fn wait_until(&self, due: Instant) {
        // ORDERING: Relaxed, here and below; single figures that order nothing else.
        self.due.store(nanos(due - self.begun), Ordering::Relaxed);
    }

    fn observe(&self, lag: Duration) {
        self.longest.fetch_max(nanos(lag), Ordering::Relaxed);
    }

    /// The longest since the last call, or the current one.
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
        Self { lag, runtime, read: Instant::now(), counted, ahead: Duration::ZERO }
    }

    fn take(&mut self) -> EventLoopLoad {
        let (now, counted) = (Instant::now(), busy(&self.runtime));
        let elapsed = now - std::mem::replace(&mut self.read, now);
        let more = counted.saturating_sub(std::mem::replace(&mut self.counted, counted));
        let busy;
        (busy, self.ahead) = spent(elapsed, more, self.ahead);
        EventLoopLoad {
            lag: self.lag.take(now),
            // In this order, so that fully busy is exactly 100.
            busy_percent: 100.0 * (busy.as_secs_f64() / elapsed.as_secs_f64().max(1e-9)),
        }
    }
}

/// How long a runtime has run tasks, as the mean of its threads. An actix worker's runtime has one.
fn busy(runtime: &RuntimeMetrics) -> Duration {
    let threads = runtime.num_workers();
    let all: Duration = (0..threads).map(|thread| runtime.worker_total_busy_duration(thread)).sum();
    all / u32::try_from(threads).unwrap_or(u32::MAX).max(1)
}

/// How much of `elapsed` an event loop was busy, of which the runtime counted `more`; and how much of that the runtime
/// will count later.
///
/// The runtime counts a task when it has run. Our own runs ten times a second. If nothing was counted for longer, one
/// task has been running all the time; the runtime counts it at its end, with its whole time.
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
    async fn a_blocking_handler_shows_as_lag_and_a_worker_that_is_gone_shows_nothing() {
        let (event_loops, worker) = (EventLoops::default(), Arc::new(()));
        event_loops.watch(Arc::downgrade(&worker));
        sleep(EVERY / 2).await;
        // Beyond the time at which the task is due.
        std::thread::sleep(EVERY * 5);
        sleep(EVERY).await;
        let loads = event_loops.take();
        assert_eq!(loads.len(), 1);
        assert!(loads[0].lag >= EVERY * 3, "{loads:?}");
        // It blocked for 500 of 650 ms; on an overloaded machine, a smaller share.
        assert!((20.0..=100.0).contains(&loads[0].busy_percent), "{loads:?}");
        drop(worker);
        sleep(EVERY * 3).await;
        assert!(event_loops.take().is_empty());
    }

    #[actix_web::test]
    async fn an_idle_event_loop_is_not_busy_and_a_blocked_one_is_fully_busy() {
        let (event_loops, worker) = (Arc::new(EventLoops::default()), Arc::new(()));
        event_loops.watch(Arc::downgrade(&worker));
        sleep(EVERY).await;
        event_loops.take();
        sleep(EVERY * 10).await;
        let [idle] = event_loops.take()[..] else { panic!() };
        assert!(idle.busy_percent < 100.0, "{idle:?}");
        // Another thread reads while it is blocked.
        let reader = std::thread::spawn({
            let event_loops = Arc::clone(&event_loops);
            move || {
                std::thread::sleep(EVERY);
                event_loops.take();
                std::thread::sleep(EVERY * 4);
                event_loops.take()
            }
        });
        let [blocked] = reader.join().unwrap()[..] else { panic!() };
        assert_eq!(blocked.busy_percent, 100.0);
        // It was still blocked, so its own task had reported nothing yet.
        assert!(blocked.lag >= EVERY * 2, "{blocked:?}");
    }

    #[test]
    fn busy_time_reported_early_is_not_reported_twice() {
        let ms = Duration::from_millis;
        assert_eq!(spent(ms(1_000), ms(300), ms(0)), (ms(300), ms(0)));
        // A task of 2.5 s, over three readings.
        let (first, ahead) = spent(ms(1_000), ms(0), ms(0));
        let (second, ahead) = spent(ms(1_000), ms(0), ahead);
        let (third, ahead) = spent(ms(1_000), ms(2_500), ahead);
        assert_eq!((first, second, third, ahead), (ms(1_000), ms(1_000), ms(500), ms(0)));
        // Never more than the elapsed time.
        assert_eq!(spent(ms(1_000), ms(1_001), ms(0)).0, ms(1_000));
        assert_eq!(spent(ms(1_000), ms(10), ms(5_000)), (ms(0), ms(0)));
    }
}
