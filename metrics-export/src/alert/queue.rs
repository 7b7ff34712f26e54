//! The notices that wait for one destination. Plain data, so that it is tested without threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_core::alert::{Alert, Change, EventId, Notice};

use super::permit::{Permit, Settled};

/// The most notices that wait; beyond it the oldest are dropped. If a database that all endpoints need fails, hundreds
/// of alerts fire at once.
pub(super) const MAX_QUEUED: usize = 1_024;

/// The most notices in one batch.
pub(super) const MAX_BATCH: usize = 32;

/// A destination's notices since the start, by what happened to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// The name of the destination.
    pub destination: &'static str,
    /// Notices that the destination accepted.
    pub sent: u64,
    /// Notices that were dropped because the queue was full, or the delivery was stopped.
    pub dropped: u64,
    /// Notices that were given up because the destination refused them, or did not accept them in time.
    pub failed: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Notices that are waiting or being sent.
    pub queued: u64,
    /// Why the last attempt failed; `None` after a success.
    pub last_error: Option<String>,
}

/// A notice that waits.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) notice: Notice,
    /// Of a fleet only.
    pub(super) permit: Option<Arc<dyn Permit>>,
}

/// Notices that are sent together, under one permit.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) notices: Vec<Notice>,
    pub(super) permit: Option<Arc<dyn Permit>>,
}

impl Waiting {
    /// Tells the permit, if there is one.
    pub(super) fn settle(&self, outcome: Settled) {
        settle(std::slice::from_ref(&self.notice), self.permit.as_ref(), outcome);
    }
}

/// Tells the permit of notices what became of them.
pub(super) fn settle(notices: &[Notice], permit: Option<&Arc<dyn Permit>>, outcome: Settled) {
    let ids = ids(notices);
    if let Some(permit) = permit.filter(|_| !ids.is_empty()) {
        permit.settled(&ids, outcome);
    }
}

/// The ids of those notices that have one.
pub(super) fn ids(notices: &[Notice]) -> Vec<EventId> {
    notices.iter().filter_map(|notice| notice.event_id).collect()
}

/// The notices that wait, and what happened to the others.
#[derive(Debug, Default)]
pub(super) struct NoticeQueue {
    waiting: VecDeque<Waiting>,
    /// Dropped ones whose permits are to be told.
    withheld: Vec<Waiting>,
    /// How many notices are being sent.
    sending: usize,
    counts: DeliveryCounts,
    /// When the firing alerts were last repeated.
    repeated: Option<Instant>,
    /// Which firing alert is repeated first, if there are more than fit at once.
    next_repeated: usize,
    stopped: bool,
}

impl NoticeQueue {
    pub(super) fn new(destination: &'static str) -> Self {
        let counts = DeliveryCounts { destination, ..DeliveryCounts::default() };
        Self { counts, ..Self::default() }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Accepts no further notices.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Keeps dropped notices until their permits are told.
    pub(super) fn withhold(&mut self, dropped: Vec<Waiting>) {
        self.withheld.extend(dropped.into_iter().filter(|waiting| waiting.permit.is_some()));
    }

    pub(super) fn has_withheld(&self) -> bool {
        !self.withheld.is_empty()
    }

    pub(super) fn take_withheld(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.withheld)
    }

    /// Whether it is time to repeat the firing alerts. If so, the next repetition is due one interval later.
    pub(super) fn is_repetition_due(&mut self, every: Duration, now: Instant) -> bool {
        let is_due = self.repeated.is_none_or(|last| now.saturating_duration_since(last) >= every);
        if is_due {
            self.repeated = Some(now);
        }
        is_due
    }

    /// Returns as many firing alerts as fit into the queue, starting after those returned last time.
    pub(super) fn turn(&mut self, mut firing: Vec<Alert>) -> impl Iterator<Item = Alert> + use<> {
        let first = self.next_repeated.checked_rem(firing.len()).unwrap_or(0);
        let count = firing.len().min(MAX_QUEUED);
        self.next_repeated = first + count;
        firing.rotate_left(first);
        firing.into_iter().take(count)
    }

    /// Adds a notice. A reminder replaces the waiting reminder of the same alert, unless it has an id: somebody counts
    /// on it. If the queue is full, the oldest reminder is dropped, or else the oldest notice. Returns what was
    /// dropped.
    pub(super) fn push(&mut self, waiting: Waiting) -> Option<Waiting> {
        if self.stopped {
            self.counts.dropped += 1;
            return Some(waiting);
        }
        let Notice { change, alert, .. } = &waiting.notice;
        if *change == Change::Reminder {
            let is_same =
                |other: &Alert| Arc::ptr_eq(&other.rule, &alert.rule) && other.endpoint == alert.endpoint;
            self.waiting.retain(|Waiting { notice: other, .. }| {
                other.change != Change::Reminder || other.event_id.is_some() || !is_same(&other.alert)
            });
        }
        let mut dropped = None;
        if self.waiting.len() == MAX_QUEUED {
            let reminder = self.waiting.iter().position(|other| other.notice.change == Change::Reminder);
            dropped = self.waiting.remove(reminder.unwrap_or(0));
            self.counts.dropped += 1;
        }
        self.waiting.push_back(waiting);
        dropped
    }

    /// Takes the oldest notices that have one permit, or none, up to [`MAX_BATCH`]; they count as being sent.
    pub(super) fn take(&mut self) -> Batch {
        let permit = self.waiting.front().and_then(|first| first.permit.clone());
        let is_together = |waiting: &&Waiting| match (&waiting.permit, &permit) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.sending = self.waiting.iter().take(MAX_BATCH).take_while(is_together).count();
        let notices = self.waiting.drain(..self.sending).map(|waiting| waiting.notice).collect();
        Batch { notices, permit }
    }

    /// Counts notices that another instance sends.
    pub(super) fn settle_withheld(&mut self, count: usize) {
        self.sending -= count;
    }

    /// Counts notices that were sent.
    pub(super) fn settle_sent(&mut self, count: usize) {
        self.counts.sent += count as u64;
        self.counts.last_error = None;
        self.sending -= count;
    }

    /// Keeps why an attempt failed.
    pub(super) fn set_error(&mut self, reason: String) {
        self.counts.last_error = Some(reason);
    }

    /// Counts notices that were given up.
    pub(super) fn settle_failed(&mut self, count: usize) {
        self.counts.failed += count as u64;
        self.sending -= count;
    }

    pub(super) fn count_retry(&mut self) {
        self.counts.retried += 1;
    }

    /// Stops, and counts and returns all notices that are left.
    pub(super) fn end(&mut self) -> Vec<Waiting> {
        self.stopped = true;
        self.counts.failed += std::mem::take(&mut self.sending) as u64;
        self.counts.dropped += self.waiting.len() as u64;
        self.waiting.drain(..).collect()
    }

    pub(super) fn counts(&self) -> DeliveryCounts {
        DeliveryCounts { queued: (self.waiting.len() + self.sending) as u64, ..self.counts.clone() }
    }
}
