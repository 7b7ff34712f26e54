//! The event loops of the workers: how busy they are, and how late. A blocking handler makes every other request on its
//! worker late.
//!
//! A task on each event loop, its probe, is due at some time and measures how much later it runs. While requests are
//! under way, it is due ten times a second. Otherwise it rests, without a timer, so that an idle service sleeps: it is
//! then due at the moment when a request begins, and whenever the monitor reads, which is once a second. So the first
//! handler that blocks after a rest shows with the full time, and a task that is no request shows with what is left of
//! it at the next reading.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics_core::Registry;
use metrics_monitor::EventLoopLoad;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How often an event loop is probed while requests are under way. The runtime's timers are accurate to a millisecond,
/// so most lags are no shorter.
const EVERY: Duration = Duration::from_millis(100);

/// The time at which a probe that rests is due.
const RESTING: u64 = u64::MAX;

/// The event loops of all workers of a monitor.
#[derive(Debug, Default)]
pub(crate) struct EventLoops {
    /// One per worker.
    watched: Mutex<Vec<Watched>>,
}

#[derive(Debug)]
struct Watched {
    probe: Arc<Probe>,
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
///
/// # Synchronization
///
/// All fields are single figures that order nothing else, so all accesses are Relaxed. What passes between the threads
/// goes through `wake`, which has its own ordering.
#[derive(Debug)]
struct Probe {
    /// The longest since it was last taken, in nanoseconds. The task adds to it, the monitor's thread takes it.
    longest: AtomicU64,
    begun: Instant,
    /// When the task is due, in nanoseconds since it began, or [`RESTING`]. Whoever exchanges that for a time wakes the
    /// task; the task writes all else.
    due: AtomicU64,
    /// Whether a request began since the task last looked. The worker sets it, the task clears it.
    has_requests: AtomicBool,
    has_ended: AtomicBool,
    wake: Notify,
}

/// Keeps an event loop watched. The worker has one and the probe's task has one, and the first that is dropped ends the
/// watch.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Probe>);

impl Watch {
    /// A request begins on the worker.
    #[inline(always)]
    pub(crate) fn request_begins(&self) {
        if !self.0.has_requests.load(Ordering::Relaxed) {
            self.0.rouse();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
    }
}

impl EventLoops {
    /// Watches the event loop of the calling thread, if it has one, for as long as the result lives. The registry
    /// counts the requests under way.
    pub(crate) fn watch(&self, registry: Registry) -> Watch {
        let probe = Arc::new(Probe::new());
        if let Ok(event_loop) = Handle::try_current() {
            self.lock().push(Watched::new(Arc::clone(&probe), event_loop.metrics()));
            let watch = Watch(Arc::clone(&probe));
            event_loop.spawn(async move { watch.0.run(|| registry.in_flight() > 0).await });
        }
        Watch(probe)
    }

    /// What the event loop of each worker did since the last call.
    pub(crate) fn take(&self) -> Vec<EventLoopLoad> {
        let mut watched = self.lock();
        watched.retain(|event_loop| !event_loop.probe.has_ended());
        watched.iter_mut().map(Watched::take).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        // Nothing panics while it is locked.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe {
    fn new() -> Self {
        Self {
            longest: AtomicU64::new(0),
            begun: Instant::now(),
            due: AtomicU64::new(RESTING),
            has_requests: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// The body of the task.
    async fn run(&self, under_way: impl Fn() -> bool) {
        loop {
            self.wake.notified().await;
            if self.has_ended() {
                return;
            }
            self.observe();
            while self.has_requests.swap(false, Ordering::Relaxed) || under_way() {
                let due = Instant::now() + EVERY;
                self.due.store(self.nanos_at(due), Ordering::Relaxed);
                sleep_until(due).await;
                if self.has_ended() {
                    return;
                }
                self.observe();
            }
            self.due.store(RESTING, Ordering::Relaxed);
        }
    }

    /// Notes that a request begins, and wakes the task if it rests.
    #[cold]
    fn rouse(&self) {
        self.has_requests.store(true, Ordering::Relaxed);
        self.ask(Instant::now());
    }

    /// Makes the task due now, if it rests.
    fn ask(&self, now: Instant) {
        let due = self.nanos_at(now);
        if self.due.compare_exchange(RESTING, due, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.wake.notify_one();
        }
    }

    /// The task runs now.
    fn observe(&self) {
        self.longest.fetch_max(nanos(self.late(Instant::now())), Ordering::Relaxed);
    }

    /// How late the task is by now.
    fn late(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.nanos_at(now).saturating_sub(self.due.load(Ordering::Relaxed)))
    }

    /// The longest lag since the last call.
    fn take(&self) -> Duration {
        Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed))
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    fn nanos_at(&self, time: Instant) -> u64 {
        nanos(time.saturating_duration_since(self.begun))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Watched {
    fn new(probe: Arc<Probe>, runtime: RuntimeMetrics) -> Self {
        let counted = busy(&runtime);
        Self { probe, runtime, read: Instant::now(), counted, ahead: Duration::ZERO }
    }

    fn take(&mut self) -> EventLoopLoad {
        let (now, counted) = (Instant::now(), busy(&self.runtime));
        let elapsed = now - std::mem::replace(&mut self.read, now);
        let more = counted.saturating_sub(std::mem::replace(&mut self.counted, counted));
        let late = self.probe.late(now);
        let busy;
        (busy, self.ahead) = spent(elapsed, more, late, self.ahead);
        let lag = self.probe.take().max(late);
        self.probe.ask(now);
        EventLoopLoad {
            lag,
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
/// The runtime counts a task when it has run. If it counted nothing, although our own task was due at the latest a
/// short time after the last reading, one task has been running all the time; the runtime counts it at its end, with
/// its whole time.
fn spent(elapsed: Duration, more: Duration, late: Duration, ahead: Duration) -> (Duration, Duration) {
    if more.is_zero() && elapsed > 2 * EVERY && late + 2 * EVERY > elapsed {
        return (elapsed, ahead + elapsed);
    }
    (more.saturating_sub(ahead).min(elapsed), Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use actix_web::rt::time::sleep;

    use super::*;

    /// Waits until the task is due at another time, or rests.
    async fn next_due(worker: &Watch) -> u64 {
        let due = || worker.0.due.load(Ordering::Relaxed);
        let before = due();
        // Longer than any machine is busy.
        for _ in 0..6_000 {
            if due() != before {
                return due();
            }
            sleep(EVERY / 20).await;
        }
        panic!("the task neither ran nor rested");
    }

    #[actix_web::test]
    async fn the_task_goes_on_while_a_request_is_under_way_and_rests_after_that() {
        let (event_loops, registry) = (EventLoops::default(), Registry::new());
        let (recorder, endpoint) = (registry.recorder(), registry.endpoint("GET", "/"));
        let worker = event_loops.watch(registry);
        let start = recorder.start();
        // The only request that begins.
        worker.request_begins();
        for _ in 0..4 {
            assert_ne!(next_due(&worker).await, RESTING);
        }
        recorder.finish(start, endpoint, metrics_core::Outcome::Status(200));
        assert_eq!(next_due(&worker).await, RESTING);
    }

    #[actix_web::test]
    async fn a_blocking_handler_shows_as_lag_and_a_worker_that_is_gone_shows_nothing() {
        let (event_loops, registry) = (EventLoops::default(), Registry::new());
        let (recorder, endpoint) = (registry.recorder(), registry.endpoint("GET", "/"));
        let worker = event_loops.watch(registry);
        worker.request_begins();
        let start = recorder.start();
        sleep(EVERY / 2).await;
        // Beyond the time at which the task is due.
        std::thread::sleep(EVERY * 5);
        sleep(EVERY).await;
        let loads = event_loops.take();
        assert_eq!(loads.len(), 1);
        assert!(loads[0].lag >= EVERY * 3, "{loads:?}");
        // It blocked for 500 of 650 ms; on an overloaded machine, a smaller share.
        assert!((20.0..=100.0).contains(&loads[0].busy_percent), "{loads:?}");
        recorder.finish(start, endpoint, metrics_core::Outcome::Status(200));
        drop(worker);
        assert!(event_loops.take().is_empty());
    }

    #[actix_web::test]
    async fn a_handler_that_blocks_long_after_its_request_began_shows_as_lag() {
        let (event_loops, registry) = (EventLoops::default(), Registry::new());
        let recorder = registry.recorder();
        let worker = event_loops.watch(registry.clone());
        worker.request_begins();
        let start = recorder.start();
        sleep(EVERY * 3).await;
        event_loops.take();
        sleep(EVERY * 2).await;
        std::thread::sleep(EVERY * 3);
        sleep(EVERY / 10).await;
        let [load] = event_loops.take()[..] else { panic!() };
        assert!(load.lag >= EVERY, "{load:?}");
        recorder.finish(start, registry.endpoint("GET", "/"), metrics_core::Outcome::Status(200));
    }

    #[actix_web::test]
    async fn the_first_handler_after_a_rest_shows_with_all_of_its_time() {
        let (event_loops, registry) = (EventLoops::default(), Registry::new());
        let worker = event_loops.watch(registry);
        sleep(EVERY).await;
        worker.request_begins();
        std::thread::sleep(EVERY);
        sleep(EVERY / 10).await;
        let [load] = event_loops.take()[..] else { panic!() };
        assert!(load.lag >= EVERY, "{load:?}");
    }

    #[actix_web::test]
    async fn a_task_that_is_no_request_shows_from_the_last_reading_on() {
        let (event_loops, registry) = (EventLoops::default(), Registry::new());
        let _worker = event_loops.watch(registry);
        sleep(EVERY / 10).await;
        event_loops.take();
        std::thread::sleep(EVERY);
        sleep(EVERY / 10).await;
        let [load] = event_loops.take()[..] else { panic!() };
        assert!(load.lag >= EVERY, "{load:?}");
    }

    /// Counts how often the runtime of this thread slept, over ten turns of a probe.
    async fn parked() -> u64 {
        let runtime = Handle::current().metrics();
        let before = runtime.worker_park_count(0);
        sleep(EVERY * 10).await;
        runtime.worker_park_count(0) - before
    }

    #[actix_web::test]
    async fn an_event_loop_is_probed_only_while_requests_are_under_way() {
        let (event_loops, registry) = (EventLoops::default(), Registry::new());
        let recorder = registry.recorder();
        let worker = event_loops.watch(registry.clone());
        sleep(EVERY).await;
        // The test's own timer takes one or two.
        let resting = parked().await;
        assert!(resting <= 4, "{resting}");
        let start = recorder.start();
        worker.request_begins();
        let under_way = parked().await;
        recorder.finish(start, registry.endpoint("GET", "/"), metrics_core::Outcome::Status(200));
        sleep(EVERY * 2).await;
        let resting = parked().await;
        assert!(resting <= 4 && under_way > resting, "{under_way} {resting}");
    }

    #[actix_web::test]
    async fn an_idle_event_loop_is_not_busy_and_a_blocked_one_is_fully_busy() {
        let (event_loops, registry) = (Arc::new(EventLoops::default()), Registry::new());
        let _worker = event_loops.watch(registry);
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
        assert_eq!(spent(ms(1_000), ms(300), ms(0), ms(0)), (ms(300), ms(0)));
        // A task of 2.5 s, over three readings.
        let (first, ahead) = spent(ms(1_000), ms(0), ms(900), ms(0));
        let (second, ahead) = spent(ms(1_000), ms(0), ms(1_900), ahead);
        let (third, ahead) = spent(ms(1_000), ms(2_500), ms(0), ahead);
        assert_eq!((first, second, third, ahead), (ms(1_000), ms(1_000), ms(500), ms(0)));
        // Never more than the elapsed time.
        assert_eq!(spent(ms(1_000), ms(1_001), ms(0), ms(0)).0, ms(1_000));
        assert_eq!(spent(ms(1_000), ms(10), ms(0), ms(5_000)), (ms(0), ms(0)));
        // Asleep all the time.
        assert_eq!(spent(ms(1_000), ms(0), ms(0), ms(0)), (ms(0), ms(0)));
    }
}
