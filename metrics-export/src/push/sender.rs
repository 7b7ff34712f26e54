//! One exporter's queue, and the thread that empties it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics_core::{RecentError, RecentRequest, Snapshot};

use super::counts::ExporterCounts;
use super::exporter::{Accepted, Exporter, Failed, Process};
use super::losses::Losses;
use super::part::Job;
use super::queue::WindowQueue;
use super::settings::PushSettings;
use crate::backoff::Backoff;
use crate::state_log::{Line, StateLog};

/// The longest pause that a destination can ask for, unless [`PushSettings::max_pause`] is longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What the thread that ends windows and the thread that sends them share.
#[derive(Debug)]
pub(super) struct Sender {
    state: Mutex<SenderState>,
    /// Notified when there is something to send, at the beginning and the end of a flush, and at the end.
    changed: Condvar,
}

#[derive(Debug)]
struct SenderState {
    queue: WindowQueue,
    /// Consecutive failed attempts.
    attempts: u32,
    /// Nothing is sent before this time.
    pause_until: Option<Instant>,
    /// During a flush: until when attempts may continue.
    flush: Option<Instant>,
    /// Windows that had been dropped when the last flush began.
    dropped_before_flush: u64,
    /// Nothing is sent any more.
    has_ended: bool,
    log: StateLog,
    /// What the log says was lost.
    told: Losses,
}

impl Sender {
    pub(super) fn new(queue: WindowQueue) -> Self {
        let log = StateLog::new("metrics_export::push", queue.exporter());
        let state = SenderState {
            queue,
            attempts: 0,
            pause_until: None,
            flush: None,
            dropped_before_flush: 0,
            has_ended: false,
            log,
            told: Losses::default(),
        };
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

    /// Ends a window, and wakes the thread that sends. With a flush, what waits is sent until the given time, without a
    /// pause before the first attempt, and the rest is dropped.
    pub(super) fn end_window(&self, until: Arc<Snapshot>, process: Process, flush: Option<Instant>) {
        let mut state = self.lock();
        if flush.is_some() {
            // Before the thread that sends can drop anything of this flush.
            if state.flush.is_none() {
                state.dropped_before_flush = state.queue.windows_dropped();
            }
            state.flush = flush;
            state.pause_until = None;
        }
        state.queue.end_window(until, process);
        state.drop_what_is_late();
        self.changed.notify_all();
    }

    /// Waits for the end of the flush until the deadline, and then drops what is left. Returns whether nothing was
    /// dropped.
    pub(super) fn wait_until_flushed(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |state| state.flush.is_some());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.flush.is_some() {
            state.end_flush();
        }
        let is_whole = state.queue.windows_dropped() == state.dropped_before_flush;
        let lost = state.log_losses(true);
        drop(state);
        lost.into_iter().for_each(Line::log);
        is_whole
    }

    /// Drops what waits, and ends the thread.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.queue.abandon();
        state.has_ended = true;
        self.changed.notify_all();
    }

    pub(super) fn counts(&self) -> ExporterCounts {
        self.lock().queue.counts()
    }

    /// Sends windows until the end. The body of the exporter's thread.
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

    /// Waits for the next window and returns it with its deadline; `None` at the end.
    fn next(&self) -> Option<(Job, Instant)> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let paused = state.pause_until.filter(|until| *until > now);
            if state.flush.is_some_and(|until| state.queue.is_empty() || paused.unwrap_or(now) >= until) {
                state.end_flush();
                self.changed.notify_all();
            }
            if state.has_ended {
                return None;
            }
            if paused.is_none()
                && let Some(job) = state.queue.take()
            {
                let deadline = now + state.queue.settings().timeout;
                return Some((job, state.flush.map_or(deadline, |until| until.min(deadline))));
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
        let now = Instant::now();
        state.pause_until = pause.map(|pause| now + pause);
        let changed = match &result {
            Ok(_) => state.log.worked(),
            Err(failed) => state.log.failed(&failed.reason, now),
        };
        state.queue.settle(result, calls);
        let lost = state.log_losses(false);
        drop(state);
        changed.into_iter().chain(lost).for_each(Line::log);
    }

    fn lock(&self) -> MutexGuard<'_, SenderState> {
        // No update of the state can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SenderState {
    /// Returns a line about what was lost since the last one, if one is due, or if there is no later one.
    fn log_losses(&mut self, is_last: bool) -> Option<Line> {
        let counts = self.queue.counts();
        let losses = Losses::of(&counts);
        let mut what = losses.since(self.told)?;
        if let Some(reason) = &counts.last_error {
            what.push_str(&format!("; the last reason: {reason}"));
        }
        let line = self.log.lost(&what, is_last, Instant::now())?;
        self.told = losses;
        Some(line)
    }

    /// Drops what still waits.
    fn end_flush(&mut self) {
        self.flush = None;
        if !self.queue.is_empty() {
            self.queue.abandon();
        }
    }

    /// After the end, drops and counts what still arrives.
    fn drop_what_is_late(&mut self) {
        if self.has_ended {
            self.flush = None;
            self.queue.abandon();
        }
    }
}

/// The pause after this number of consecutive failures, at least as long as the destination asks for.
fn pause(settings: &PushSettings, attempts: u32, retry_after: Option<Duration>) -> Duration {
    let backoff = Backoff { first: settings.first_pause, longest: settings.max_pause };
    let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER.max(settings.max_pause));
    backoff.pause_after(attempts).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_as_long_as_asked_for_up_to_a_limit() {
        let settings = PushSettings::default();
        assert!(pause(&settings, 1, None) <= settings.first_pause);
        assert_eq!(pause(&settings, 1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(pause(&settings, 1, Some(Duration::from_secs(86_400))), MAX_RETRY_AFTER);
        assert!(pause(&settings, 90, Some(Duration::ZERO)) >= settings.max_pause / 2);
    }
}
