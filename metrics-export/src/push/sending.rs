//! What is being sent to one destination: its queue, pauses between attempts, flushes, and the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_core::{RecentError, RecentRequest, Snapshot};

use super::counts::ExporterCounts;
use super::exporter::{Accepted, Failed, Process};
use super::losses::Losses;
use super::part::Job;
use super::queue::WindowQueue;
use super::settings::PushSettings;
use super::watched::Wait;
use crate::backoff::Backoff;
use crate::state_log::{Line, StateLog};

/// The longest pause that a destination can ask for, unless [`PushSettings::max_pause`] is longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The state that the thread that ends windows, the thread that sends them, and shutdowns share.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Sending {
    queue: WindowQueue,
    /// Consecutive failed attempts.
    attempts: u32,
    /// Nothing is sent before this time.
    pause_until: Option<Instant>,
    /// During a flush: until when attempts may continue.
    flush: Option<Instant>,
    /// Nothing is sent any more.
    has_ended: bool,
    log: StateLog,
    /// What the log says was lost.
    told: Losses,
}

/// What the thread that sends does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this window until this time. [`Sending::settle`] or [`Sending::skip`] must follow.
    Send(Job, Instant),
    /// Ask again: a flush has ended, which others wait for.
    Flushed,
    /// End.
    End,
}

impl Sending {
    pub(super) fn new(queue: WindowQueue) -> Self {
        let log = StateLog::new("metrics_export::push", queue.exporter());
        Self {
            queue,
            attempts: 0,
            pause_until: None,
            flush: None,
            has_ended: false,
            log,
            told: Losses::default(),
        }
    }

    pub(super) fn add_errors(&mut self, errors: &[RecentError], missed: u64) {
        self.queue.add_errors(errors, missed);
        self.drop_what_is_late();
    }

    pub(super) fn add_requests(&mut self, requests: &[RecentRequest], missed: u64) {
        self.queue.add_requests(requests, missed);
        self.drop_what_is_late();
    }

    /// Ends a window. With a flush, what waits is sent until the given time, without a pause before the first attempt,
    /// and the rest is dropped.
    pub(super) fn end_window(&mut self, until: Arc<Snapshot>, process: Process, flush: Option<Instant>) {
        if flush.is_some() {
            self.flush = flush;
            self.pause_until = None;
        }
        self.queue.end_window(until, process);
        self.drop_what_is_late();
    }

    /// Waits until a flush is over; at the deadline, what is left is dropped. Returns how many windows were dropped
    /// since the start.
    pub(super) fn flushed(&mut self, deadline: Instant, now: Instant) -> Wait<u64> {
        if self.flush.is_some() {
            if now < deadline {
                return Wait::Until(Some(deadline));
            }
            self.end_flush();
        }
        Wait::Ready(self.queue.windows_dropped())
    }

    /// Drops what waits, and ends the thread.
    pub(super) fn end(&mut self) {
        self.queue.abandon();
        self.has_ended = true;
    }

    pub(super) fn counts(&self) -> ExporterCounts {
        self.queue.counts()
    }

    /// Windows that were dropped since the start.
    pub(super) fn windows_dropped(&self) -> u64 {
        self.queue.windows_dropped()
    }

    /// What the thread that sends does next.
    pub(super) fn next(&mut self, now: Instant) -> Wait<Next> {
        let paused = self.pause_until.filter(|until| *until > now);
        if self.flush.is_some_and(|until| self.queue.is_empty() || paused.unwrap_or(now) >= until) {
            self.end_flush();
            return Wait::Ready(Next::Flushed);
        }
        if self.has_ended {
            return Wait::Ready(Next::End);
        }
        if paused.is_none()
            && let Some(job) = self.queue.take()
        {
            let deadline = now + self.queue.settings().timeout;
            let deadline = self.flush.map_or(deadline, |until| until.min(deadline));
            return Wait::Ready(Next::Send(job, deadline));
        }
        Wait::Until(paused.filter(|_| !self.queue.is_empty()))
    }

    /// Counts the result of the window that was sent, which has this number of requests. Returns what the log says of
    /// it.
    pub(super) fn settle(&mut self, result: Result<Accepted, Failed>, calls: u64, now: Instant) -> Vec<Line> {
        let pause = match &result {
            Err(failed) if !failed.permanent => {
                self.attempts = self.attempts.saturating_add(1);
                Some(pause(self.queue.settings(), self.attempts, failed.retry_after))
            }
            _ => {
                self.attempts = 0;
                None
            }
        };
        self.pause_until = pause.map(|pause| now + pause);
        let changed = match &result {
            Ok(_) => self.log.worked(),
            Err(failed) => self.log.failed(&failed.reason, now),
        };
        self.queue.settle(result, calls);
        changed.into_iter().chain(self.log_losses(false, now)).collect()
    }

    /// Counts the window that was taken as idle.
    pub(super) fn skip(&mut self) {
        self.queue.skip();
    }

    /// Returns a line about what was lost since the last one, if one is due, or if there is no later one.
    pub(super) fn log_losses(&mut self, is_last: bool, now: Instant) -> Option<Line> {
        let counts = self.queue.counts();
        let losses = Losses::of(&counts);
        let mut what = losses.since(self.told)?;
        if let Some(reason) = &counts.last_error {
            what.push_str(&format!("; the last reason: {reason}"));
        }
        let line = self.log.lost(&what, is_last, now)?;
        self.told = losses;
        Some(line)
    }

    #[cfg(test)]
    pub(super) fn queue(&self) -> &WindowQueue {
        &self.queue
    }

    /// All that what happens next depends on.
    #[cfg(test)]
    pub(super) fn key(&self) -> impl Eq + std::hash::Hash + use<> {
        let Self { pause_until, flush, has_ended, .. } = *self;
        let dropped = (self.queue.windows_dropped(), self.counts().calls_dropped);
        (self.queue.calls(), dropped, pause_until, flush, has_ended)
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
