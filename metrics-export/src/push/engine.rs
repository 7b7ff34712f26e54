//! The thread that makes the windows, and what starts and ends it.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::{ErrorCursor, Registry};

use super::counts::Counts;
use super::destination::Destination;
use super::exporter::{Exporter, Process};
use super::queue::Queue;
use super::settings::Settings;

/// How often the error log is read, if anybody wants errors: it holds those of about a second.
const ERRORS_EVERY: Duration = Duration::from_secs(1);

/// Sends what a registry counts to destinations, until it is shut down or dropped.
#[derive(Debug)]
pub struct Engine {
    stop: Arc<Stop>,
    destinations: Vec<Arc<Destination>>,
}

/// Tells the thread that makes the windows to end.
#[derive(Debug, Default)]
struct Stop {
    /// Until when destinations may go on.
    at: Mutex<Option<Instant>>,
    changed: Condvar,
}

/// Makes an [`Engine`].
#[must_use = "nothing is sent before `start`"]
pub struct Builder {
    registry: Registry,
    process: Box<dyn Fn() -> Process + Send>,
    exporters: Vec<Box<dyn Exporter>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.exporters.iter().map(|exporter| exporter.name()).collect();
        f.debug_struct("Builder").field("exporters", &names).finish_non_exhaustive()
    }
}

impl Builder {
    /// Who says what the process uses; default: nobody.
    pub fn process(mut self, process: impl Fn() -> Process + Send + 'static) -> Self {
        self.process = Box::new(process);
        self
    }

    /// Adds a destination.
    pub fn exporter(mut self, exporter: impl Exporter) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// Starts the threads. The first windows begin now.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(self) -> io::Result<Engine> {
        let mut engine = Engine { stop: Arc::default(), destinations: Vec::new() };
        if self.exporters.is_empty() {
            return Ok(engine);
        }
        let base = Arc::new(self.registry.snapshot());
        let mut cursor = ErrorCursor::default();
        // Those before the start are of no window.
        self.registry.errors_after(&mut cursor);
        let mut schedules = Vec::new();
        for exporter in self.exporters {
            // A thread's name can hold no zero.
            let name = exporter.name().replace('\0', "");
            let settings = exporter.settings().in_range();
            let queue = Queue::new(&name, settings.clone(), Arc::clone(&base));
            let destination = Arc::new(Destination::new(queue));
            schedules.push(Schedule::new(Arc::clone(&destination), settings));
            // First, so that it is stopped if the thread, or one after it, cannot be had.
            engine.destinations.push(Arc::clone(&destination));
            let run = move || destination.run(exporter);
            thread::Builder::new().name(format!("metrics-{name}")).spawn(run)?;
        }
        let collector = Collector { registry: self.registry, process: self.process, schedules, cursor };
        let stop = Arc::clone(&engine.stop);
        thread::Builder::new().name("metrics-export".to_owned()).spawn(move || collector.run(&stop))?;
        Ok(engine)
    }
}

impl Engine {
    /// Begins an engine that sends what this registry counts.
    pub fn builder(registry: Registry) -> Builder {
        Builder { registry, process: Box::new(Process::default), exporters: Vec::new() }
    }

    /// What became of what was to be sent, destination by destination.
    pub fn counts(&self) -> Vec<Counts> {
        self.destinations.iter().map(|destination| destination.counts()).collect()
    }

    /// Ends the open windows now, has all that waits sent, and ends the threads; does not wait for that. Attempts that fail
    /// are repeated as long as there is time.
    pub fn stop(&self, timeout: Duration) {
        let deadline = after(timeout);
        // Nothing can panic while it is locked.
        let mut at = self.stop.at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = Some(at.map_or(deadline, |earlier| earlier.min(deadline)));
        self.stop.changed.notify_all();
    }

    /// Whether nothing is sent any more, as after a [stop](Engine::stop).
    pub fn has_ended(&self) -> bool {
        self.destinations.iter().all(|destination| destination.has_ended())
    }

    /// [Stops](Engine::stop), and waits until nothing is sent any more, but never longer than `timeout`. Whether all had
    /// ended by then.
    ///
    /// What is left is dropped and counted. A thread that waits for a destination just then ends with its attempt's timeout.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let deadline = after(timeout);
        self.stop(timeout);
        self.give_up(deadline)
    }

    /// Waits until then for a [stop](Engine::stop) to be over, and drops what is left. Whether nothing was.
    pub fn give_up(&self, deadline: Instant) -> bool {
        // All of them, so that none is left to go on.
        let late = self.destinations.iter().filter(|destination| !destination.wait_until_ended(deadline));
        late.count() == 0
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
        // Also where there is no thread yet that would tell them.
        self.destinations.iter().for_each(|destination| destination.stop(Instant::now()));
    }
}

/// When a destination's next window ends.
#[derive(Debug)]
struct Schedule {
    destination: Arc<Destination>,
    settings: Settings,
    due: Instant,
}

impl Schedule {
    fn new(destination: Arc<Destination>, settings: Settings) -> Self {
        let mut schedule = Self { destination, settings, due: Instant::now() };
        schedule.advance(Instant::now(), SystemTime::now());
        schedule
    }

    /// To the next end of a window. Ends that were missed are not made up for: the next window covers their time.
    fn advance(&mut self, now: Instant, wall: SystemTime) {
        let interval = self.settings.interval;
        if self.settings.aligned {
            self.due = now + until_multiple(interval, wall);
            return;
        }
        while self.due <= now {
            self.due += interval;
        }
    }
}

/// How long it is to the next multiple of the interval, by the wall clock. One that is just ahead is taken for the one just
/// reached: the two clocks differ a little.
fn until_multiple(interval: Duration, wall: SystemTime) -> Duration {
    let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Less than the interval, which is a day at most.
    let past = (since_epoch.as_nanos() % interval.as_nanos()) as u64;
    let left = interval - Duration::from_nanos(past);
    if left < interval / 10 { left + interval } else { left }
}

/// That much later than now; where the clock does not go so far, a year.
fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(365 * 86_400))
}

struct Collector {
    registry: Registry,
    process: Box<dyn Fn() -> Process + Send>,
    schedules: Vec<Schedule>,
    cursor: ErrorCursor,
}

impl Collector {
    fn run(mut self, stop: &Stop) {
        let wants_errors = self.schedules.iter().any(|schedule| schedule.settings.max_errors > 0);
        let mut errors_due = wants_errors.then(|| Instant::now() + ERRORS_EVERY);
        let until = loop {
            let next = self.schedules.iter().map(|schedule| schedule.due).chain(errors_due).min();
            if let Some(until) = wait(stop, next) {
                break until;
            }
            let now = Instant::now();
            let is_due = |schedule: &Schedule| schedule.due <= now;
            // Before the windows end, so that what was logged by now is in them.
            if wants_errors {
                self.read_errors();
                errors_due = Some(now + ERRORS_EVERY);
            }
            self.end_windows(is_due);
            let wall = SystemTime::now();
            let due = self.schedules.iter_mut().filter(|schedule| schedule.due <= now);
            due.for_each(|schedule| schedule.advance(now, wall));
        };
        self.read_errors();
        self.end_windows(|_| true);
        self.schedules.iter().for_each(|schedule| schedule.destination.stop(until));
    }

    fn read_errors(&mut self) {
        let missed = self.cursor.missed();
        let errors = self.registry.errors_after(&mut self.cursor);
        let missed = self.cursor.missed() - missed;
        self.schedules.iter().for_each(|schedule| schedule.destination.add_errors(&errors, missed));
    }

    /// Ends the windows of some destinations, with one snapshot for all of them.
    fn end_windows(&self, is_due: impl Fn(&Schedule) -> bool) {
        let mut due = self.schedules.iter().filter(|schedule| is_due(schedule)).peekable();
        if due.peek().is_none() {
            return;
        }
        let (now, process) = (Arc::new(self.registry.snapshot()), (self.process)());
        due.for_each(|schedule| schedule.destination.end_window(Arc::clone(&now), process));
    }
}

/// Waits until then, or for the stop.
fn wait(stop: &Stop, until: Option<Instant>) -> Option<Instant> {
    let mut at = stop.at.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if at.is_some() {
            return *at;
        }
        let left = until?.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        (at, _) = stop.changed.wait_timeout(at, left).unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end_at_multiples_of_the_interval() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let left = |millis| until_multiple(Duration::from_secs(10), at(millis)).as_millis();
        assert_eq!([left(1_000_000), left(1_003_500), left(1_008_999)], [10_000, 6_500, 1_001]);
        // A timer that fired a moment too early.
        assert_eq!(left(1_009_999), 10_001);
    }
}
