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
mod tests {
    use std::time::Duration;

    use metrics_core::{ErrorCursor, Outcome, Registry, RequestCursor};
    use proptest::prelude::*;

    use super::*;

    /// A registry, and the queue of an exporter that has sent nothing yet.
    struct Fixture {
        registry: Registry,
        cursor: ErrorCursor,
        request_cursor: RequestCursor,
        queue: WindowQueue,
    }

    impl Fixture {
        fn new(settings: PushSettings) -> Self {
            let registry = Registry::new();
            let base = Arc::new(registry.snapshot());
            let queue = WindowQueue::new("test", settings, base);
            Self { registry, cursor: ErrorCursor::default(), request_cursor: RequestCursor::default(), queue }
        }

        fn fail(&mut self, times: u64) {
            let endpoint = self.registry.endpoint("GET", "/");
            for _ in 0..times {
                self.registry.record_error(endpoint, Outcome::Status(500), Duration::from_millis(1), "no");
            }
            let errors = self.registry.errors_after(&mut self.cursor);
            self.queue.add_errors(&errors, 0);
        }

        /// Logs requests with these durations in milliseconds and random numbers.
        fn log(&mut self, requests: &[(u64, f64)]) {
            let endpoint = self.registry.endpoint("GET", "/");
            for &(millis, random) in requests {
                let elapsed = Duration::from_millis(millis);
                let log = |recorder: &metrics_core::Recorder| {
                    recorder.log_request(endpoint, Outcome::Status(200), elapsed, None, random);
                };
                self.registry.with_recorder(log);
            }
            let requests = self.registry.requests_after(&mut self.request_cursor);
            self.queue.add_requests(&requests, 0);
        }

        fn end_window(&mut self) {
            self.queue.end_window(Arc::new(self.registry.snapshot()), Process::default());
        }

        fn skip(&mut self) {
            self.queue.take().unwrap();
            self.queue.skip();
        }

        fn send(&mut self, result: Result<Accepted, Failed>) -> Option<(u64, usize)> {
            let window = self.queue.take()?.window();
            self.queue.settle(result, window.calls());
            Some((window.calls(), window.errors.len()))
        }
    }

    fn ok() -> Result<Accepted, Failed> {
        Ok(Accepted::default())
    }

    fn settings(max_windows: usize, max_errors: usize) -> PushSettings {
        PushSettings { max_windows, max_errors, ..PushSettings::default() }
    }

    #[test]
    fn a_window_that_failed_is_merged_into_the_next() {
        let mut fixture = Fixture::new(settings(1, 10));
        fixture.fail(2);
        fixture.end_window();
        assert_eq!(fixture.send(Err(Failed::temporary("down"))), Some((2, 2)));
        fixture.fail(3);
        fixture.end_window();
        assert_eq!(fixture.send(ok()), Some((5, 5)));
        assert_eq!(fixture.send(ok()), None);
        let counts = fixture.queue.counts();
        assert_eq!((counts.windows, counts.windows_sent, counts.windows_merged), (2, 1, 1));
        assert_eq!((counts.errors_sent, counts.attempts_failed, counts.failing), (5, 1, 0));
    }

    #[test]
    fn the_least_important_errors_are_dropped_first_and_of_those_the_oldest() {
        let mut fixture = Fixture::new(settings(1, 6));
        let registry = fixture.registry.clone();
        let mut fail = |route: &str, status, messages: &[&str]| {
            let endpoint = registry.endpoint("GET", route);
            for message in messages {
                registry.record_error(endpoint, Outcome::Status(status), Duration::ZERO, message);
            }
            let errors = registry.errors_after(&mut fixture.cursor);
            fixture.queue.add_errors(&errors, 0);
        };
        fail("_unmatched", 404, &["u1", "u2", "u3"]);
        fail("/", 500, &["s1", "s2"]);
        fail("/", 409, &["c1"]);
        fail("_unmatched", 404, &["u4", "u5"]);
        fail("/", 500, &["s3"]);
        fixture.end_window();
        let window = fixture.queue.take().unwrap().window();
        let kept: Vec<_> = window.errors.iter().map(|error| &*error.message).collect();
        assert_eq!(kept, ["s1", "s2", "c1", "u4", "u5", "s3"]);
        assert_eq!((window.errors_missed, fixture.queue.counts().errors_dropped), (3, 3));
    }

    #[test]
    fn an_idle_window_is_not_sent_and_clears_no_failure() {
        let mut fixture = Fixture::new(settings(3, 10));
        fixture.end_window();
        fixture.skip();
        assert_eq!(fixture.queue.counts().last_sent, None);
        fixture.fail(2);
        fixture.end_window();
        fixture.send(Err(Failed::permanent("it answered 403")));
        fixture.end_window();
        fixture.skip();
        let counts = fixture.queue.counts();
        assert_eq!((counts.windows, counts.windows_idle, counts.windows_sent), (3, 2, 0));
        assert_eq!((counts.failing, counts.last_error.as_deref()), (1, Some("it answered 403")));
        fixture.fail(3);
        fixture.end_window();
        assert_eq!(fixture.send(ok()), Some((3, 3)));
        assert_eq!(fixture.queue.counts().failing, 0);
    }

    #[test]
    fn a_window_that_ends_while_another_is_sent_begins_where_that_one_ends() {
        let mut fixture = Fixture::new(settings(1, 10));
        fixture.fail(2);
        fixture.end_window();
        let first = fixture.queue.take().unwrap().window();
        fixture.fail(3);
        fixture.end_window();
        fixture.queue.settle(ok(), first.calls());
        assert_eq!(first.calls(), 2);
        assert_eq!(fixture.send(ok()), Some((3, 3)));
    }

    #[test]
    fn with_room_for_two_windows_one_that_was_tried_is_sent_again_unchanged() {
        let mut fixture = Fixture::new(settings(3, 10));
        for _ in 0..5 {
            fixture.fail(1);
            fixture.end_window();
            assert_eq!(fixture.send(Err(Failed::temporary("down"))), Some((1, 1)));
        }
        assert_eq!(fixture.queue.counts().windows_waiting, 3);
        assert_eq!([fixture.send(ok()), fixture.send(ok())], [Some((1, 1)); 2]);
        assert_eq!(fixture.send(ok()), Some((3, 3)));
    }

    #[test]
    fn entries_that_are_sent_again_are_not_dropped_for_newer_ones() {
        let mut fixture = Fixture::new(PushSettings { sample_rate: 1.0, max_requests: 3, ..settings(2, 2) });
        fixture.fail(2);
        fixture.log(&[(1, 0.5); 3]);
        fixture.end_window();
        fixture.send(Err(Failed::temporary("down")));
        fixture.fail(9);
        fixture.log(&[(1, 0.5); 7]);
        let again = fixture.queue.take().unwrap().window();
        assert_eq!((again.errors.len(), again.errors_missed), (2, 0));
        assert_eq!((again.requests.len(), again.requests_missed), (3, 0));
        fixture.queue.settle(ok(), again.calls());
        let counts = fixture.queue.counts();
        assert_eq!((counts.errors_sent, counts.errors_dropped), (2, 9));
        assert_eq!((counts.requests_sent, counts.requests_dropped), (3, 7));
    }

    #[test]
    fn refused_and_old_windows_are_dropped_and_counted() {
        let mut fixture = Fixture::new(settings(1, 10));
        fixture.fail(2);
        fixture.end_window();
        fixture.send(Err(Failed::permanent("it answered 400")));
        let counts = fixture.queue.counts();
        assert_eq!((counts.windows_dropped, counts.calls_dropped, counts.errors_dropped), (1, 2, 2));

        let mut fixture = Fixture::new(PushSettings { max_age: Duration::ZERO, ..settings(1, 10) });
        fixture.fail(2);
        fixture.end_window();
        fixture.send(Err(Failed::temporary("down")));
        fixture.fail(1);
        fixture.end_window();
        assert_eq!(fixture.send(ok()), Some((1, 1)));
        let counts = fixture.queue.counts();
        assert_eq!((counts.windows_dropped, counts.calls_dropped, counts.errors_dropped), (1, 2, 2));
    }

    #[test]
    fn a_window_that_gets_too_old_while_it_is_sent_is_dropped_if_it_fails() {
        let mut fixture = Fixture::new(PushSettings { max_age: Duration::ZERO, ..settings(1, 10) });
        fixture.fail(2);
        fixture.end_window();
        let first = fixture.queue.take().unwrap().window();
        fixture.fail(3);
        std::thread::sleep(Duration::from_millis(1));
        fixture.end_window();
        fixture.queue.settle(Err(Failed::temporary("down")), first.calls());
        let counts = fixture.queue.counts();
        assert_eq!((counts.windows_dropped, counts.calls_dropped, counts.windows_merged), (1, 2, 0));
        assert_eq!(fixture.send(ok()), Some((3, 3)));
    }

    #[test]
    fn the_oldest_errors_are_dropped_and_their_window_counts_them_as_missed() {
        let mut fixture = Fixture::new(settings(1, 3));
        fixture.fail(2);
        fixture.end_window();
        fixture.fail(2);
        let window = fixture.queue.take().unwrap().window();
        assert_eq!((window.errors.len(), window.errors_missed, window.calls()), (1, 1, 2));
        // Errors that are being sent stay.
        fixture.fail(9);
        assert_eq!(fixture.queue.counts().errors_waiting, 3);
        fixture.queue.abandon();
        let counts = fixture.queue.counts();
        assert_eq!((counts.errors_dropped, counts.errors_waiting), (13, 0));
    }

    #[test]
    fn only_selected_requests_wait() {
        let slow = Some(Duration::from_millis(100));
        let wanted = PushSettings { slow, sample_rate: 0.5, max_requests: 3, ..settings(1, 0) };
        let mut fixture = Fixture::new(wanted.clone());
        fixture.log(&[(1, 0.5), (1, 0.4), (99, 1.0), (100, 1.0)]);
        fixture.end_window();
        fixture.log(&[(200, 0.4), (1, 0.0)]);
        let window = fixture.queue.take().unwrap().window();
        // The oldest was dropped.
        let took: Vec<_> = window.requests.iter().map(|request| request.response_time.as_millis()).collect();
        assert_eq!((took, window.requests_missed), (vec![100], 1));
        fixture.queue.settle(ok(), 0);
        let counts = fixture.queue.counts();
        assert_eq!((counts.requests_sent, counts.requests_dropped, counts.requests_waiting), (1, 1, 2));

        let mut fixture = Fixture::new(PushSettings { max_requests: 0, ..wanted });
        fixture.log(&[(100, 0.0)]);
        assert_eq!(
            fixture.queue.counts(),
            ExporterCounts { exporter: "test".to_owned(), ..ExporterCounts::default() }
        );
    }

    proptest! {
        /// In any sequence of failures, each window, request and error is sent, dropped or waiting, exactly once.
        #[test]
        fn everything_is_accounted_for(
            steps in prop::collection::vec((0_u8..9, 0_u64..4), 0..80),
            max_windows in 1_usize..5,
            max_errors in 1_usize..8,
        ) {
            let max_requests = max_errors * 2;
            let settings = PushSettings { sample_rate: 1.0, max_requests, ..settings(max_windows, max_errors) };
            let mut fixture = Fixture::new(settings);
            let (mut failed, mut in_windows, mut calls_sent) = (0, 0, 0);
            let (mut calls_skipped, mut errors_skipped, mut requests_skipped) = (0, 0, 0);
            let mut sending = None;
            for (step, amount) in steps {
                match (step, &sending) {
                    (0 | 1, _) => {
                        fixture.fail(amount);
                        fixture.log(&vec![(1, 0.5); amount as usize]);
                        failed += amount;
                    }
                    (2 | 3, _) => {
                        fixture.end_window();
                        in_windows = failed;
                    }
                    (4, None) => sending = fixture.queue.take().map(Job::window),
                    (5, Some(window)) => {
                        fixture.queue.settle(ok(), window.calls());
                        calls_sent += window.calls();
                        sending = None;
                    }
                    (6, Some(window)) => {
                        fixture.queue.settle(Err(Failed::temporary("down")), window.calls());
                        sending = None;
                    }
                    (7, Some(window)) => {
                        fixture.queue.settle(Err(Failed::permanent("no")), window.calls());
                        sending = None;
                    }
                    (8, Some(window)) => {
                        fixture.queue.skip();
                        calls_skipped += window.calls();
                        errors_skipped += window.errors.len() as u64;
                        requests_skipped += window.requests.len() as u64;
                        sending = None;
                    }
                    _ => {}
                }
                let counts = fixture.queue.counts();
                prop_assert!(counts.windows_waiting <= max_windows as u64 + 1);
                prop_assert!(counts.errors_waiting <= max_errors as u64);
                prop_assert!(counts.requests_waiting <= max_requests as u64);
            }
            fixture.queue.abandon();
            let counts = fixture.queue.counts();
            let settled = counts.windows_sent + counts.windows_idle;
            let windows = settled + counts.windows_dropped + counts.windows_merged;
            prop_assert_eq!((counts.windows, counts.windows_waiting), (windows, 0));
            prop_assert_eq!(calls_sent + calls_skipped + counts.calls_dropped, in_windows);
            prop_assert_eq!(counts.errors_sent + errors_skipped + counts.errors_dropped, failed);
            prop_assert_eq!(counts.requests_sent + requests_skipped + counts.requests_dropped, failed);
        }
    }
}
