//! The thread that makes the windows of all destinations.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics_core::{ErrorCursor, Registry, RequestCursor};

use super::destination::Destination;
use super::exporter::Process;
use super::settings::PushSettings;

/// How often the logs are read, if anybody wants errors or requests: they hold those of about a second.
const LOGS_EVERY: Duration = Duration::from_secs(1);

/// Tells the thread that makes the windows to end.
#[derive(Debug, Default)]
pub(super) struct Stop {
    /// Until when destinations may go on.
    at: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Stop {
    /// Has the open windows ended now, and lets destinations go on until then.
    pub(super) fn at(&self, deadline: Instant) {
        let mut at = self.lock();
        *at = Some(at.map_or(deadline, |earlier| earlier.min(deadline)));
        self.changed.notify_all();
    }

    /// Waits until then, or for the stop: until when destinations may go on.
    fn wait(&self, until: Option<Instant>) -> Option<Instant> {
        let mut at = self.lock();
        loop {
            if at.is_some() {
                return *at;
            }
            let left = until?.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            (at, _) = self.changed.wait_timeout(at, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // Nothing can panic while it is locked.
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread needs.
pub(super) struct Collector {
    pub(super) registry: Registry,
    pub(super) process: Box<dyn Fn() -> Process + Send>,
    pub(super) schedules: Vec<Schedule>,
    /// Up to where the error log was read.
    pub(super) cursor: ErrorCursor,
    /// Up to where the request log was read.
    pub(super) request_cursor: RequestCursor,
}

impl Collector {
    /// Makes windows until the stop. The body of the thread.
    pub(super) fn run(mut self, stop: &Stop) {
        let wants = |settings: &PushSettings| settings.max_errors > 0 || settings.want_requests();
        let wants_logs = self.schedules.iter().any(|schedule| wants(&schedule.settings));
        let mut logs_due = wants_logs.then(|| Instant::now() + LOGS_EVERY);
        let until = loop {
            let next = self.schedules.iter().map(|schedule| schedule.due).chain(logs_due).min();
            if let Some(until) = stop.wait(next) {
                break until;
            }
            let now = Instant::now();
            let is_due = |schedule: &Schedule| schedule.due <= now;
            // Before the windows end, so that what was logged by now is in them.
            if wants_logs {
                self.read_logs();
                logs_due = Some(now + LOGS_EVERY);
            }
            self.end_windows(is_due);
            let wall = SystemTime::now();
            let due = self.schedules.iter_mut().filter(|schedule| schedule.due <= now);
            due.for_each(|schedule| schedule.advance(now, wall));
        };
        self.read_logs();
        self.end_windows(|_| true);
        self.schedules.iter().for_each(|schedule| schedule.destination.stop(until));
    }

    /// Hands out what was logged, to those who want it.
    fn read_logs(&mut self) {
        let missed = self.cursor.missed();
        let errors = self.registry.errors_after(&mut self.cursor);
        let missed = self.cursor.missed() - missed;
        self.schedules.iter().for_each(|schedule| schedule.destination.add_errors(&errors, missed));
        if self.schedules.iter().any(|schedule| schedule.settings.want_requests()) {
            let missed = self.request_cursor.missed();
            let requests = self.registry.requests_after(&mut self.request_cursor);
            let missed = self.request_cursor.missed() - missed;
            self.schedules.iter().for_each(|schedule| schedule.destination.add_requests(&requests, missed));
        }
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

/// When a destination's next window ends.
#[derive(Debug)]
pub(super) struct Schedule {
    destination: Arc<Destination>,
    settings: PushSettings,
    due: Instant,
}

impl Schedule {
    pub(super) fn new(destination: Arc<Destination>, settings: PushSettings) -> Self {
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
