//! The thread that hands notices to one destination.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use metrics_core::alert::{Alert, Change, EventId, Moment, Notice};

use super::destination::{Destination, SendError};
use super::permit::{Permit, Settled};
use super::queue::{Batch, DeliveryCounts, NoticeQueue, Waiting, ids, settle};
use crate::backoff::Backoff;
use crate::service::Service;
use crate::start_error::StartError;
use crate::state_log::{Line, StateLog};

/// How long one batch is retried. Later notices wait meanwhile, and older news is of little use.
const GIVE_UP_AFTER: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 900 });

/// The longest pause that a destination can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3_600);

/// The pauses between attempts.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(if cfg!(test) { 5 } else { 500 }),
    longest: Duration::from_secs(30),
};

/// A thread that sends notices to one destination.
///
/// [`Delivery::queue`] never waits. At most 1,024 notices wait; beyond that the oldest are dropped and counted,
/// reminders first. Only the latest reminder of each alert waits. A batch that fails is retried for 15 minutes, at
/// intervals that grow to 30 s and vary, or that the destination [asks for](SendError::retry_after). Each change
/// between failing and working is logged, and how many notices were lost, under the target `metrics_export::alert`.
pub struct Delivery {
    shared: Arc<DeliveryShared>,
    repeat_every: Option<Duration>,
    thread: JoinHandle<()>,
}

struct DeliveryShared {
    queue: Mutex<NoticeQueue>,
    /// Notified when there is something to send, or the delivery is stopped.
    changed: Condvar,
}

impl Delivery {
    /// Starts the thread, which sends on behalf of this service.
    ///
    /// # Errors
    ///
    /// Returns an error if the destination does not accept the service's identity, or the system cannot start a thread.
    pub fn start(mut destination: impl Destination, service: &Service) -> Result<Self, StartError> {
        destination.start(service)?;
        let queue = Mutex::new(NoticeQueue::new(destination.name()));
        let shared = Arc::new(DeliveryShared { queue, changed: Condvar::new() });
        let repeat_every = destination.repeat_every();
        let thread = {
            let worker = Worker::new(destination, Arc::clone(&shared));
            thread::Builder::new().name("metrics-alerts".to_owned()).spawn(|| worker.run())?
        };
        Ok(Self { shared, repeat_every, thread })
    }

    /// Queues notices and, at the intervals that the destination asks for, all firing alerts. If more alerts fire than
    /// fit into the queue, they take turns.
    pub fn queue(&self, now: Moment, notices: &[Notice], firing: impl FnOnce() -> Vec<Alert>) {
        let mut queue = self.shared.lock();
        let is_due = |every| queue.is_repetition_due(every, now.monotonic);
        let repeated = if self.repeat_every.is_some_and(is_due) {
            let is_new = |alert: &Alert| !notices.iter().any(|notice| notice.alert == *alert);
            let repeat = |alert| Notice { change: Change::Reminder, alert, event_id: None };
            let firing: Vec<_> = firing().into_iter().filter(is_new).collect();
            queue.turn(firing).map(repeat).collect()
        } else {
            Vec::new()
        };
        let all = notices.iter().cloned().chain(repeated);
        let dropped = all.filter_map(|notice| queue.push(Waiting { notice, permit: None })).collect();
        self.shared.queued(queue, dropped);
    }

    /// Queues notices that are only sent while a permit allows it; the permit is told what became of them. Returns the
    /// ids of notices that a stopped delivery does not take, about which the permit is not told.
    #[must_use]
    pub fn queue_with(
        &self,
        permit: &Arc<dyn Permit>,
        notices: impl IntoIterator<Item = Notice>,
    ) -> Vec<EventId> {
        let mut queue = self.shared.lock();
        let waiting = |notice| Waiting { notice, permit: Some(Arc::clone(permit)) };
        let dropped = notices.into_iter().filter_map(|notice| queue.push(waiting(notice))).collect();
        self.shared.queued(queue, dropped)
    }

    /// Returns how often the destination asks for all firing alerts.
    pub fn repeat_every(&self) -> Option<Duration> {
        self.repeat_every
    }

    /// Tries waiting notices once more, and then ends the thread. Does not wait for either.
    pub fn stop(&self) {
        self.shared.lock().stop();
        self.shared.changed.notify_all();
    }

    /// Returns whether the thread has ended: after a stop, or a panic of the destination.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Returns the counts of notices so far.
    pub fn counts(&self) -> DeliveryCounts {
        self.shared.lock().counts()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl DeliveryShared {
    fn lock(&self) -> MutexGuard<'_, NoticeQueue> {
        // No update of the queue can panic half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread after notices were queued. It tells the permits of those that were dropped: whoever queues may
    /// hold a lock that a permit takes.
    ///
    /// Returns the ids of those that a stopped delivery did not take, whose thread may have ended.
    fn queued(&self, mut queue: MutexGuard<'_, NoticeQueue>, dropped: Vec<Waiting>) -> Vec<EventId> {
        if queue.is_stopped() {
            return dropped.into_iter().filter_map(|waiting| waiting.notice.event_id).collect();
        }
        queue.withhold(dropped);
        drop(queue);
        self.changed.notify_all();
        Vec::new()
    }

    /// Waits for the next batch; `None` once the delivery is stopped and nothing is left.
    fn next(&self) -> Option<Batch> {
        loop {
            let waits =
                |queue: &mut NoticeQueue| queue.is_empty() && !queue.has_withheld() && !queue.is_stopped();
            let queue = self.changed.wait_while(self.lock(), waits);
            let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
            let withheld = queue.take_withheld();
            if withheld.is_empty() {
                let batch = queue.take();
                return (!batch.notices.is_empty()).then_some(batch);
            }
            drop(queue);
            withheld.iter().for_each(|waiting| waiting.settle(Settled::Withheld));
        }
    }

    /// Waits before the next attempt; ends early when the delivery is stopped.
    fn pause(&self, pause: Duration) {
        let _ = self.changed.wait_timeout_while(self.lock(), pause, |queue| !queue.is_stopped());
    }
}

/// What the thread that sends has for itself.
struct Worker<D> {
    destination: D,
    shared: Arc<DeliveryShared>,
    log: StateLog,
    /// Lost notices that the log names.
    told: u64,
}

impl<D: Destination> Worker<D> {
    fn new(destination: D, shared: Arc<DeliveryShared>) -> Self {
        let log = StateLog::new("metrics_export::alert", format!("alerts: {}", destination.name()));
        Self { destination, shared, log, told: 0 }
    }

    /// The body of the thread.
    fn run(mut self) {
        while let Some(batch) = self.shared.next() {
            if !self.deliver(&batch.notices, batch.permit.as_ref(), Instant::now()) {
                return;
            }
        }
    }

    /// Sends a batch, with retries, until [`GIVE_UP_AFTER`] from `since`; returns `false` if nothing more should be
    /// sent.
    ///
    /// A batch that is refused for good is sent again, one by one. Each notice has at least one attempt then, and
    /// further ones while the batch has time left.
    fn deliver(&mut self, batch: &[Notice], permit: Option<&Arc<dyn Permit>>, since: Instant) -> bool {
        for attempt in 1.. {
            let next = self.attempt(batch, permit, since);
            self.log_losses(false);
            match next {
                Next::Batch => break,
                Next::End => return false,
                Next::Separately => return self.deliver_each(batch, permit, since),
                Next::Again(retry_after) => self.shared.pause(pause(attempt, retry_after)),
            }
        }
        true
    }

    fn deliver_each(&mut self, batch: &[Notice], permit: Option<&Arc<dyn Permit>>, since: Instant) -> bool {
        for (sent, notice) in batch.iter().enumerate() {
            if !self.deliver(std::slice::from_ref(notice), permit, since) {
                settle(&batch[sent + 1..], permit, Settled::Withheld);
                return false;
            }
        }
        true
    }

    /// Tries once to send a batch. Returns what follows.
    fn attempt(&mut self, batch: &[Notice], permit: Option<&Arc<dyn Permit>>, since: Instant) -> Next {
        if permit.is_some_and(|permit| !permit.may_send(&ids(batch))) {
            self.shared.lock().settle_withheld(batch.len());
            settle(batch, permit, Settled::Withheld);
            return Next::Batch;
        }
        let result = self.destination.send(batch);
        let line = match &result {
            Ok(()) => self.log.worked(),
            Err(error) => self.log.failed(&error.reason, Instant::now()),
        };
        line.into_iter().for_each(Line::log);
        let mut queue = self.shared.lock();
        let Err(SendError { reason, is_temporary, retry_after }) = result else {
            queue.settle_sent(batch.len());
            drop(queue);
            settle(batch, permit, Settled::Sent);
            return Next::Batch;
        };
        queue.set_error(reason);
        if !is_temporary && batch.len() > 1 && !queue.is_stopped() {
            queue.count_retry();
            return Next::Separately;
        }
        if !is_temporary || queue.is_stopped() || since.elapsed() >= GIVE_UP_AFTER {
            queue.settle_failed(batch.len());
            // After a stop the rest would fail as well, and the shutdown waits for this thread. Another instance may
            // have more time.
            let is_stopped = queue.is_stopped();
            drop(queue);
            let outcome = if is_stopped && is_temporary { Settled::Withheld } else { Settled::GivenUp };
            settle(batch, permit, outcome);
            return if is_stopped { Next::End } else { Next::Batch };
        }
        queue.count_retry();
        Next::Again(retry_after)
    }
}

impl<D> Worker<D> {
    /// Logs how many notices were lost since the last such line, if one is due, or if there is no later one.
    fn log_losses(&mut self, is_last: bool) {
        let counts = self.shared.lock().counts();
        let lost = counts.failed + counts.dropped;
        let new = lost - self.told;
        if new == 0 {
            return;
        }
        let mut what = format!("{new} {}", if new == 1 { "notice" } else { "notices" });
        if let Some(reason) = &counts.last_error {
            what.push_str(&format!("; the last reason: {reason}"));
        }
        if let Some(line) = self.log.lost(&what, is_last, Instant::now()) {
            self.told = lost;
            line.log();
        }
    }
}

/// Counts the notices that are left when the thread ends, and logs what was lost.
impl<D> Drop for Worker<D> {
    fn drop(&mut self) {
        if thread::panicking() {
            let reason = "it panicked and gets no more notices";
            self.shared.lock().set_error(reason.to_owned());
            self.log.failed(reason, Instant::now()).into_iter().for_each(Line::log);
        }
        let left = self.shared.lock().end();
        left.iter().for_each(|waiting| waiting.settle(Settled::Withheld));
        self.log_losses(true);
    }
}

/// What follows an attempt.
enum Next {
    /// The next batch.
    Batch,
    /// The same batch, one by one.
    Separately,
    /// The same batch, after a pause that the destination may ask for.
    Again(Option<Duration>),
    /// Nothing more.
    End,
}

/// The pause after an attempt: as long as the destination asks for, but no shorter than the usual one.
fn pause(attempt: u32, retry_after: Option<Duration>) -> Duration {
    let usual = BACKOFF.pause_after(attempt);
    retry_after.map_or(usual, |asked| usual.max(asked.min(LONGEST_ASKED)))
}

#[cfg(test)]
mod tests;
