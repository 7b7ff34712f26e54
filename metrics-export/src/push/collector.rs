//! The thread that ends the windows of all exporters.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::{ErrorCursor, Registry, RequestCursor, Snapshot};

use super::control::{Act, Control, Turn};
use super::exporter::Process;
use super::sending::Sending;
use super::settings::PushSettings;
use super::watched::Watched;

/// How often the logs are read, if an exporter wants errors or requests. They hold about a second's worth.
const LOGS_EVERY: Duration = Duration::from_secs(1);

/// What the thread reads, and when it ends each window.
pub(super) struct Collector {
    pub(super) figures: Figures,
    pub(super) process: Box<dyn Fn() -> Process + Send>,
    pub(super) schedules: Vec<Schedule>,
    /// How far the error log was read.
    pub(super) cursor: ErrorCursor,
    /// How far the request log was read.
    pub(super) request_cursor: RequestCursor,
}

impl Collector {
    /// Ends windows until it is told to end. The body of the thread.
    ///
    /// After a flush, only further flushes end windows: the service is shutting down, and what ends meanwhile waits for
    /// the last of them.
    pub(super) fn run(mut self, control: &Watched<Control>) {
        let wants = |settings: &PushSettings| settings.max_errors > 0 || settings.want_requests();
        let wants_logs = self.schedules.iter().any(|schedule| wants(&schedule.settings));
        let mut logs_due = wants_logs.then(|| Instant::now() + LOGS_EVERY);
        let mut is_shutting_down = false;
        loop {
            let windows = self.schedules.iter().map(|schedule| schedule.due).filter(|_| !is_shutting_down);
            let due = windows.chain(logs_due).min();
            let turn = control.wait(|control, now| control.turn(due, now));
            let now = Instant::now();
            // Before the windows end, so that they contain what was logged by now.
            if wants_logs {
                self.read_logs();
                logs_due = Some(now + LOGS_EVERY);
            }
            for act in turn.acts() {
                match act {
                    Act::EndDue if is_shutting_down => {}
                    Act::EndDue => self.end_due(now),
                    Act::EndAll(flush) => self.end_windows(|_| true, flush),
                    Act::Flushed(number) => control.update(|control| control.flushed(number)),
                    Act::EndSenders => self.sending().for_each(|sending| sending.update(Sending::end)),
                }
            }
            match turn {
                Turn::Due => {}
                Turn::Flush(..) => is_shutting_down = true,
                Turn::End => return,
            }
        }
    }

    /// Passes new entries of the logs to all exporters.
    fn read_logs(&mut self) {
        let missed = self.cursor.missed();
        let errors = self.figures.registry.errors_after(&mut self.cursor);
        let missed = self.cursor.missed() - missed;
        self.sending().for_each(|sending| sending.lock().add_errors(&errors, missed));
        if self.schedules.iter().any(|schedule| schedule.settings.want_requests()) {
            let missed = self.request_cursor.missed();
            let requests = self.figures.registry.requests_after(&mut self.request_cursor);
            let missed = self.request_cursor.missed() - missed;
            self.sending().for_each(|sending| sending.lock().add_requests(&requests, missed));
        }
    }

    /// Ends the windows of some exporters, with one snapshot for all of them. They flush until the given time, if any.
    fn end_windows(&self, is_due: impl Fn(&Schedule) -> bool, flush: Option<Instant>) {
        let mut due = self.schedules.iter().filter(|schedule| is_due(schedule)).peekable();
        if due.peek().is_none() {
            return;
        }
        let (now, process) = (self.figures.now(), (self.process)());
        let end = |sending: &mut Sending| sending.end_window(Arc::clone(&now), process, flush);
        due.for_each(|schedule| schedule.sending.update(end));
    }

    /// Ends the windows whose time has come.
    fn end_due(&mut self, now: Instant) {
        self.end_windows(|schedule| schedule.due <= now, None);
        let wall = SystemTime::now();
        let due = self.schedules.iter_mut().filter(|schedule| schedule.due <= now);
        due.for_each(|schedule| schedule.advance(now, wall));
    }

    fn sending(&self) -> impl Iterator<Item = &Watched<Sending>> {
        self.schedules.iter().map(|schedule| &*schedule.sending)
    }
}

/// What windows are made of.
pub(super) struct Figures {
    pub(super) registry: Registry,
    /// Whether any exporter wants consumers.
    pub(super) consumers: bool,
}

impl Figures {
    /// The state of this moment, which ends windows and begins the next ones.
    pub(super) fn now(&self) -> Arc<Snapshot> {
        let Self { registry, consumers } = self;
        Arc::new(if *consumers { registry.snapshot() } else { registry.snapshot_without_consumers() })
    }
}

/// When an exporter's next window ends.
#[derive(Debug)]
pub(super) struct Schedule {
    sending: Arc<Watched<Sending>>,
    settings: PushSettings,
    due: Instant,
}

impl Schedule {
    pub(super) fn new(sending: Arc<Watched<Sending>>, settings: PushSettings) -> Self {
        let mut schedule = Self { sending, settings, due: Instant::now() };
        schedule.advance(Instant::now(), SystemTime::now());
        schedule
    }

    /// Moves on to the next end. Missed ends are not made up for: the next window covers their time.
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

/// The time to the next multiple of the interval by the wall clock. A multiple less than a tenth of the interval away
/// counts as reached, since the two clocks differ a little.
fn until_multiple(interval: Duration, wall: SystemTime) -> Duration {
    let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Fits, since it is less than the interval, which is at most a day.
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
        // A timer that fired slightly early.
        assert_eq!(left(1_009_999), 10_001);
    }
}
