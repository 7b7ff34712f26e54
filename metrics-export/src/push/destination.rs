//! One destination: its queue, and the thread that empties it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics_core::{RecentError, RecentRequest, Snapshot};

use super::counts::Counts;
use super::exporter::{Accepted, Exporter, Failed, Process};
use super::queue::{Job, Queue};
use super::settings::PushSettings;
use crate::backoff::Backoff;

/// The longest time that a destination can ask to be left alone, unless its pauses may be longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What the thread that makes windows and the one that sends them share.
#[derive(Debug)]
pub(super) struct Destination {
    state: Mutex<State>,
    /// There is something to send, to stop for, or nothing more to come.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// Attempts in a row that failed.
    attempts: u32,
    /// Nothing is sent before.
    pause_until: Option<Instant>,
    /// Once it is to end: until when it may go on.
    stop: Option<Instant>,
    /// Nothing is sent any more.
    has_ended: bool,
}

impl Destination {
    pub(super) fn new(queue: Queue) -> Self {
        let state = State { queue, attempts: 0, pause_until: None, stop: None, has_ended: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn add_errors(&self, errors: &[RecentError], missed: u64) {
        let mut state = self.lock();
        state.queue.add_errors(errors, missed);
        state.drop_what_is_late();
    }

    pub(super) fn add_requests(&self, requests: &[RecentRequest], missed: u64) {
        let mut state = self.lock();
        state.queue.add_requests(requests, missed);
        state.drop_what_is_late();
    }

    /// Ends a window, and has it sent.
    pub(super) fn end_window(&self, until: Arc<Snapshot>, process: Process) {
        let mut state = self.lock();
        state.queue.end_window(until, process);
        state.drop_what_is_late();
        self.changed.notify_all();
    }

    /// Lets what waits be sent until then, without a pause before the first attempt, and nothing after that.
    pub(super) fn stop(&self, until: Instant) {
        let mut state = self.lock();
        state.stop = Some(state.stop.map_or(until, |earlier| earlier.min(until)));
        state.pause_until = None;
        self.changed.notify_all();
    }

    /// Waits until nothing is sent any more, but not longer than that. What is left then is dropped. Whether it ended by
    /// itself.
    pub(super) fn wait_until_ended(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.end();
                return false;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Whether nothing is sent any more.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().queue.counts()
    }

    /// Sends what there is, until it is to end. The body of the destination's thread.
    pub(super) fn run(&self, mut exporter: impl Exporter) {
        while let Some((job, deadline)) = self.next() {
            let window = job.window();
            let export = || (!exporter.is_idle(&window)).then(|| exporter.export(&window, deadline));
            let exported = catch_unwind(AssertUnwindSafe(export));
            match exported.unwrap_or_else(|_| Some(Err(Failed::permanent("the exporter panicked")))) {
                Some(result) => self.settle(result, window.calls()),
                None => self.lock().queue.skip(),
            }
        }
    }

    /// Waits for the next window, and until when it may be sent; `None` once there is none and will be none.
    fn next(&self) -> Option<(Job, Instant)> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let paused = state.pause_until.filter(|until| *until > now);
            if state.stop.is_some_and(|stop| state.queue.is_empty() || paused.unwrap_or(now) >= stop) {
                state.end();
                self.changed.notify_all();
            }
            if state.has_ended {
                return None;
            }
            if paused.is_none()
                && let Some(job) = state.queue.take()
            {
                let deadline = now + state.queue.settings().timeout;
                return Some((job, state.stop.map_or(deadline, |stop| stop.min(deadline))));
            }
            state = match paused {
                Some(until) if !state.queue.is_empty() => {
                    let waited = self.changed.wait_timeout(state, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn settle(&self, result: Result<Accepted, Failed>, calls: u64) {
        let mut state = self.lock();
        let pause = match &result {
            Err(failed) if !failed.permanent => {
                state.attempts = state.attempts.saturating_add(1);
                Some(pause(state.queue.settings(), state.attempts, failed.retry_after))
            }
            _ => {
                state.attempts = 0;
                None
            }
        };
        state.pause_until = pause.map(|pause| Instant::now() + pause);
        state.queue.settle(result, calls);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self) {
        self.queue.abandon();
        self.has_ended = true;
    }

    /// What comes after the end is counted, and sent by nobody.
    fn drop_what_is_late(&mut self) {
        if self.has_ended {
            self.queue.abandon();
        }
    }
}

/// The pause after so many attempts in a row, no shorter than the destination asks for.
fn pause(settings: &PushSettings, attempts: u32, retry_after: Option<Duration>) -> Duration {
    let backoff = Backoff { first: settings.first_pause, longest: settings.max_pause };
    let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER.max(settings.max_pause));
    backoff.pause_after(attempts).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_no_shorter_than_asked_for_but_not_for_ever() {
        let settings = PushSettings::default();
        assert!(pause(&settings, 1, None) <= settings.first_pause);
        assert_eq!(pause(&settings, 1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(pause(&settings, 1, Some(Duration::from_secs(86_400))), MAX_RETRY_AFTER);
        assert!(pause(&settings, 90, Some(Duration::ZERO)) >= settings.max_pause / 2);
    }
}
