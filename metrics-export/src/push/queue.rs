//! The windows that wait for one destination. Plain data, so that it is tested without threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use metrics_core::{ErrorPriority, RecentError, RecentRequest, Snapshot};

use super::counts::ExporterCounts;
use super::entries::bound;
use super::exporter::{Accepted, Failed, Process, calls};
use super::part::{Job, Logged, Part};
use super::settings::PushSettings;

/// The windows that wait or are being sent, and counts of all windows since the start.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct WindowQueue {
    settings: PushSettings,
    /// The state up to which everything was sent or dropped: the beginning of the first window.
    base: Arc<Snapshot>,
    sending: Option<Part>,
    /// The oldest first. Each begins where the one before it ends.
    parts: VecDeque<Part>,
    /// What was logged since the end of the last window.
    fresh: Logged,
    counts: ExporterCounts,
}

impl WindowQueue {
    /// An empty queue, whose first window begins with this state.
    pub(super) fn new(exporter: &str, settings: PushSettings, base: Arc<Snapshot>) -> Self {
        Self {
            settings,
            base,
            sending: None,
            parts: VecDeque::new(),
            fresh: Logged::default(),
            counts: ExporterCounts { exporter: exporter.to_owned(), ..ExporterCounts::default() },
        }
    }

    /// The name of the exporter.
    pub(super) fn exporter(&self) -> &str {
        &self.counts.exporter
    }

    pub(super) fn settings(&self) -> &PushSettings {
        &self.settings
    }

    /// Whether nothing waits or is being sent.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.sending.is_none()
    }

    /// Windows that were given up.
    pub(super) fn windows_dropped(&self) -> u64 {
        self.counts.windows_dropped
    }

    /// Adds errors to the open window, and the number of errors that the log missed.
    pub(super) fn add_errors(&mut self, errors: &[RecentError], missed: u64) {
        if self.settings.max_errors == 0 {
            return;
        }
        self.fresh.errors.add(errors.iter().cloned(), missed);
        self.counts.errors_missed += missed;
        let kept = self.kept().map(|logged| logged.errors.list.len()).sum();
        let parts = self.parts.iter_mut().filter(|part| !part.is_kept).map(|part| &mut part.logged.errors);
        let waiting = parts.chain([&mut self.fresh.errors]);
        self.counts.errors_dropped +=
            bound(waiting, kept, self.settings.max_errors, ErrorPriority::ALL.len(), |error| {
                error.priority() as usize
            });
    }

    /// Adds those requests to the open window that the exporter wants, and the number of requests that the log missed.
    pub(super) fn add_requests(&mut self, requests: &[RecentRequest], missed: u64) {
        if !self.settings.want_requests() {
            return;
        }
        let wanted = requests.iter().filter(|request| self.settings.wants(request));
        self.fresh.requests.add(wanted.cloned(), missed);
        self.counts.requests_missed += missed;
        let kept = self.kept().map(|logged| logged.requests.list.len()).sum();
        let parts = self.parts.iter_mut().filter(|part| !part.is_kept).map(|part| &mut part.logged.requests);
        let waiting = parts.chain([&mut self.fresh.requests]);
        self.counts.requests_dropped += bound(waiting, kept, self.settings.max_requests, 1, |_| 0);
    }

    /// Ends the open window with this state.
    pub(super) fn end_window(&mut self, until: Arc<Snapshot>, process: Process) {
        self.counts.windows += 1;
        let thinned = |state: &Snapshot| state.health().errors_thinned;
        let thinned = thinned(&until).saturating_sub(thinned(self.end()));
        if self.settings.max_errors > 0 {
            self.fresh.errors.missed += thinned;
            self.counts.errors_missed += thinned;
        }
        self.drop_old(&until);
        let part = Part { until, logged: std::mem::take(&mut self.fresh), process, is_kept: false };
        let waiting = self.parts.len() + usize::from(self.sending.is_some());
        match self.parts.back_mut() {
            Some(last) if waiting >= self.settings.max_windows => {
                last.absorb(part);
                self.counts.windows_merged += 1;
            }
            _ => self.parts.push_back(part),
        }
    }

    /// Takes the next window. [`WindowQueue::settle`] or [`WindowQueue::skip`] must follow.
    pub(super) fn take(&mut self) -> Option<Job> {
        let part = self.parts.pop_front()?;
        self.sending = Some(part.clone());
        Some(Job::new(Arc::clone(&self.base), part))
    }

    /// Counts the result of the window that was taken, which has this number of requests.
    pub(super) fn settle(&mut self, result: Result<Accepted, Failed>, calls: u64) {
        // `None` if it was abandoned meanwhile.
        let Some(part) = self.sending.take() else { return };
        match result {
            Ok(Accepted { rejected, reason }) => {
                self.counts.windows_sent += 1;
                self.counts.errors_sent += part.logged.errors.len();
                self.counts.requests_sent += part.logged.requests.len();
                self.counts.rejected = self.counts.rejected.saturating_add(rejected);
                self.counts.failing = 0;
                self.counts.last_error = reason;
                self.counts.last_sent = Some(SystemTime::now());
                self.base = part.until;
            }
            Err(Failed { reason, permanent, .. }) => {
                self.counts.attempts_failed += 1;
                self.counts.failing += 1;
                self.counts.last_error = Some(reason);
                if permanent || self.is_old() {
                    self.drop_part(part, calls);
                } else {
                    self.put_back(part);
                }
            }
        }
    }

    /// Counts the window that was taken as idle. The destination was not contacted, so an earlier failure stands.
    pub(super) fn skip(&mut self) {
        // `None` if it was abandoned meanwhile.
        let Some(part) = self.sending.take() else { return };
        self.counts.windows_idle += 1;
        self.base = part.until;
    }

    /// Drops everything that waits or is being sent.
    pub(super) fn abandon(&mut self) {
        for part in self.sending.take().into_iter().chain(std::mem::take(&mut self.parts)) {
            let calls = self.calls_of(&part);
            self.drop_part(part, calls);
        }
        let fresh = std::mem::take(&mut self.fresh);
        self.drop_logged(&fresh);
    }

    /// Counts everything so far.
    pub(super) fn counts(&self) -> ExporterCounts {
        ExporterCounts {
            windows_waiting: (self.parts.len() + usize::from(self.sending.is_some())) as u64,
            errors_waiting: self.logged().map(|logged| logged.errors.len()).sum(),
            requests_waiting: self.logged().map(|logged| logged.requests.len()).sum(),
            ..self.counts.clone()
        }
    }

    /// Requests until the beginning of the first window, until the end of the one that is being sent, and until the
    /// ends of those that wait.
    #[cfg(test)]
    pub(super) fn calls(&self) -> (u64, Option<u64>, Vec<u64>) {
        let until = |part: &Part| calls(&part.until);
        (calls(&self.base), self.sending.as_ref().map(until), self.parts.iter().map(until).collect())
    }

    /// The end of the last window.
    fn end(&self) -> &Snapshot {
        let last = self.parts.back().or(self.sending.as_ref());
        last.map_or(&self.base, |part| &part.until)
    }

    /// What waits, or is being sent.
    fn logged(&self) -> impl Iterator<Item = &Logged> {
        self.parts.iter().chain(&self.sending).map(|part| &part.logged).chain([&self.fresh])
    }

    /// Entries that must not change: those that are being sent, and those that are sent again.
    fn kept(&self) -> impl Iterator<Item = &Logged> {
        let kept = self.parts.iter().filter(|part| part.is_kept);
        kept.chain(&self.sending).map(|part| &part.logged)
    }

    /// Whether the window that was being sent is too old by now, judged by the newest window.
    fn is_old(&self) -> bool {
        let newest = self.parts.back().map(|part| part.until.span());
        newest.is_some_and(|newest| newest.saturating_sub(self.base.span()) > self.settings.max_age)
    }

    /// Drops windows that are too old. A window that is being sent stays, and so do those after it.
    fn drop_old(&mut self, now: &Snapshot) {
        while self.sending.is_none()
            && now.span().saturating_sub(self.base.span()) > self.settings.max_age
            && let Some(part) = self.parts.pop_front()
        {
            let calls = self.calls_of(&part);
            self.drop_part(part, calls);
        }
    }

    /// The requests in the oldest part, without computing its figures.
    fn calls_of(&self, part: &Part) -> u64 {
        calls(&part.until).saturating_sub(calls(&self.base))
    }

    fn drop_part(&mut self, part: Part, calls: u64) {
        self.counts.windows_dropped += 1;
        self.counts.calls_dropped = self.counts.calls_dropped.saturating_add(calls);
        self.drop_logged(&part.logged);
        self.base = part.until;
    }

    fn drop_logged(&mut self, logged: &Logged) {
        self.counts.errors_dropped += logged.errors.len();
        self.counts.requests_dropped += logged.requests.len();
    }

    fn put_back(&mut self, mut part: Part) {
        part.is_kept = self.settings.max_windows > 1;
        match self.parts.pop_front() {
            Some(next) if self.settings.max_windows == 1 => {
                part.absorb(next);
                self.counts.windows_merged += 1;
            }
            Some(next) => self.parts.push_front(next),
            None => {}
        }
        self.parts.push_front(part);
    }
}

#[cfg(test)]
mod tests;
