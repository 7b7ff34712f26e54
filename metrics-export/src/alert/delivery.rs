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
    /// Starts the thread, which sends in the name of this service.
    ///
    /// # Errors
    ///
    /// When the destination does not accept the service's identity, or the system cannot start a thread.
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

    /// Queues notices that are sent only while a permit allows it, and which it hears of. Returns the ids of those that
    /// a stopped delivery does not take, of which the permit does not hear.
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

    /// How often the destination asks for all firing alerts.
    pub fn repeat_every(&self) -> Option<Duration> {
        self.repeat_every
    }

    /// Tries waiting notices once more, and then ends the thread. Does not wait for either.
    pub fn stop(&self) {
        self.shared.lock().stop();
        self.shared.changed.notify_all();
    }

    /// Whether the thread has ended: after a stop, or a panic of the destination.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Counts the notices so far.
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
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use metrics_core::alert::{Alerts, Rule};
    use metrics_core::{EndpointName, History, Registry};

    use super::super::queue::{MAX_BATCH, MAX_QUEUED};
    use super::*;

    /// Returns the answers that the test sends, and reports the number of notices in each batch.
    struct Scripted {
        answers: Receiver<Result<(), SendError>>,
        given: Sender<usize>,
        repeat_every: Option<Duration>,
    }

    impl Destination for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn send(&mut self, notices: &[Notice]) -> Result<(), SendError> {
            let _ = self.given.send(notices.len());
            self.answers.recv().unwrap_or_else(|_| Err(error(false)))
        }

        fn repeat_every(&self) -> Option<Duration> {
            self.repeat_every
        }
    }

    fn error(is_temporary: bool) -> SendError {
        SendError { reason: "no".to_owned(), is_temporary, retry_after: None }
    }

    type Answers = Sender<Result<(), SendError>>;

    fn scripted(repeat_every: Option<Duration>) -> (Delivery, Answers, Receiver<usize>) {
        let ((answer, answers), (given, seen)) = (channel(), channel());
        (
            Delivery::start(Scripted { answers, given, repeat_every }, &Service::new("test")).unwrap(),
            answer,
            seen,
        )
    }

    /// The notice of an alert that starts to fire.
    fn notice() -> Notice {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        let endpoint = registry.endpoint("GET", "/");
        (0..10).for_each(|_| registry.record_nanos(endpoint, 500, 1));
        history.tick();
        let mut alerts = Alerts::new([Rule::defaults().swap_remove(3)]).unwrap();
        alerts.evaluate(Moment::now(), &history).pop().unwrap()
    }

    fn tell(delivery: &Delivery, notices: &[Notice]) {
        delivery.queue(Moment::now(), notices, Vec::new);
    }

    /// Waits until the counts satisfy a condition, and returns them.
    fn counts(delivery: &Delivery, until: fn(&DeliveryCounts) -> bool) -> DeliveryCounts {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let counts = delivery.counts();
            if until(&counts) {
                return counts;
            }
            assert!(Instant::now() < deadline, "{counts:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_temporary_failure_is_retried() {
        let (delivery, answer, seen) = scripted(None);
        tell(&delivery, &[notice(), notice()]);
        answer.send(Err(error(true))).unwrap();
        answer.send(Ok(())).unwrap();
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.retried, counts.failed, counts.last_error), (2, 1, 0, None));
        drop(answer);
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn a_destination_that_asks_for_a_pause_gets_it_and_an_hour_at_most() {
        let seconds = Duration::from_secs;
        assert_eq!(pause(1, Some(seconds(120))), seconds(120));
        assert_eq!(pause(1, Some(seconds(1_000_000))), seconds(3_600));
        assert!((BACKOFF.first / 2..=BACKOFF.first).contains(&pause(1, Some(Duration::ZERO))));
        assert!((BACKOFF.first / 2..=BACKOFF.first).contains(&pause(1, None)));
        // Nothing is sent before the pause is over; a stop does not wait for it.
        let (delivery, answer, seen) = scripted(None);
        tell(&delivery, &[notice()]);
        answer.send(Err(SendError { retry_after: Some(seconds(600)), ..error(true) })).unwrap();
        assert_eq!(counts(&delivery, |counts| counts.retried == 1).queued, 1);
        thread::sleep(BACKOFF.first * 4);
        assert_eq!(seen.try_iter().count(), 1);
        answer.send(Ok(())).unwrap();
        delivery.stop();
        assert_eq!(counts(&delivery, |counts| counts.queued == 0).sent, 1);
    }

    #[test]
    fn a_refused_notice_is_not_retried() {
        let (delivery, answer, seen) = scripted(None);
        tell(&delivery, &[notice()]);
        answer.send(Err(error(false))).unwrap();
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.retried, counts.failed), (0, 0, 1));
        assert_eq!((counts.last_error.as_deref(), seen.recv()), (Some("no"), Ok(1)));
    }

    #[test]
    fn a_notice_that_keeps_failing_is_given_up() {
        let (delivery, answer, _seen) = scripted(None);
        tell(&delivery, &[notice()]);
        // Far more than needed, so that each attempt finds an answer.
        (0..10_000).for_each(|_| answer.send(Err(error(true))).unwrap());
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.failed), (0, 1));
        assert!(counts.retried > 1, "{counts:?}");
    }

    #[test]
    fn a_refused_notice_does_not_fail_the_rest_of_its_batch() {
        let (delivery, answer, seen) = scripted(None);
        tell(&delivery, &[notice(), notice(), notice()]);
        for refused in [true, false, true, false] {
            answer.send(if refused { Err(error(false)) } else { Ok(()) }).unwrap();
        }
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.failed, counts.dropped), (2, 1, 0));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [3, 1, 1, 1]);
    }

    #[test]
    fn a_batch_that_is_sent_one_by_one_has_no_more_time_than_others() {
        let (delivery, answer, _seen) = scripted(None);
        let begun = Instant::now();
        tell(&delivery, &vec![notice(); MAX_BATCH]);
        answer.send(Err(error(false))).unwrap();
        (0..10_000).for_each(|_| answer.send(Err(error(true))).unwrap());
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.failed), (0, MAX_BATCH as u64));
        // Separately, each notice would have had as long as the batch.
        assert!(begun.elapsed() < GIVE_UP_AFTER * (MAX_BATCH / 2) as u32);
    }

    #[test]
    fn a_reminder_replaces_older_reminders_and_no_other_notice() {
        let (delivery, answer, seen) = scripted(None);
        let firing = notice();
        let reminder = Notice { change: Change::Reminder, ..firing.clone() };
        tell(&delivery, std::slice::from_ref(&firing));
        assert_eq!(seen.recv(), Ok(1));
        // The destination hangs.
        (0..MAX_QUEUED).for_each(|_| tell(&delivery, std::slice::from_ref(&reminder)));
        assert_eq!((delivery.counts().queued, delivery.counts().dropped), (2, 0));
        tell(&delivery, &vec![firing; MAX_QUEUED]);
        assert_eq!((delivery.counts().queued, delivery.counts().dropped), (MAX_QUEUED as u64 + 1, 1));
        drop(answer);
    }

    #[test]
    fn alerts_of_hundreds_of_endpoints_are_all_sent_and_take_turns_if_they_exceed_the_queue() {
        let begun = Moment::now();
        let alert = notice().alert;
        let alerts = |count: usize| -> Vec<Alert> {
            let endpoint = |i| EndpointName { method: "GET".into(), route: format!("/{i}").into() };
            let of = |i| Alert { endpoint: Some(Arc::new(endpoint(i))), ..alert.clone() };
            (0..count).map(of).collect()
        };
        let (delivery, answer, seen) = scripted(Some(Duration::from_secs(60)));
        // The destination hangs with one notice.
        tell(&delivery, &[notice()]);
        assert_eq!(seen.recv(), Ok(1));
        let began = |alert| Notice { change: Change::Firing, alert, event_id: None };
        tell(&delivery, &alerts(800).into_iter().map(began).collect::<Vec<_>>());
        assert_eq!((delivery.counts().queued, delivery.counts().dropped), (801, 0));
        drop((answer, delivery));

        let (delivery, answer, seen) = scripted(Some(Duration::from_secs(60)));
        tell(&delivery, &[notice()]);
        assert_eq!(seen.recv(), Ok(1));
        let firing = alerts(2 * MAX_QUEUED + 100);
        let mut repeated = BTreeSet::new();
        for minute in 1..=3 {
            let monotonic = begun.monotonic + Duration::from_secs(61 * minute);
            delivery.queue(Moment { monotonic, ..begun }, &[], || firing.clone());
            // As if they had been sent.
            let mut queue = delivery.shared.lock();
            while !queue.is_empty() {
                let batch = queue.take();
                queue.settle_sent(batch.notices.len());
                repeated.extend(batch.notices.into_iter().filter_map(|notice| notice.alert.endpoint));
            }
        }
        assert_eq!((repeated.len(), delivery.counts().dropped), (firing.len(), 0));
        drop(answer);
    }

    #[test]
    fn if_a_destination_panics_all_notices_are_counted() {
        struct Panics;
        impl Destination for Panics {
            fn name(&self) -> &'static str {
                "panics"
            }

            fn send(&mut self, _: &[Notice]) -> Result<(), SendError> {
                panic!("a test panics")
            }
        }
        let delivery = Delivery::start(Panics, &Service::new("test")).unwrap();
        tell(&delivery, &vec![notice(); MAX_BATCH + 5]);
        let ended = counts(&delivery, |counts| counts.queued == 0);
        tell(&delivery, &[notice()]);
        assert_eq!((ended.failed + ended.dropped, delivery.counts().dropped), (37, ended.dropped + 1));
    }

    /// Allows so many attempts, and keeps what it hears.
    #[derive(Debug, Default)]
    struct Counted {
        left: Mutex<u32>,
        heard: Mutex<Vec<(Vec<EventId>, Settled)>>,
    }

    impl Permit for Counted {
        fn may_send(&self, _: &[EventId]) -> bool {
            let mut left = self.left.lock().unwrap();
            *left = left.saturating_sub(1);
            *left > 0
        }

        fn settled(&self, events: &[EventId], outcome: Settled) {
            self.heard.lock().unwrap().push((events.to_vec(), outcome));
        }
    }

    #[test]
    fn notices_of_a_fleet_are_sent_only_while_they_may_be_and_what_became_of_them_is_told() {
        let (delivery, answer, seen) = scripted(None);
        let permit = Arc::new(Counted { left: Mutex::new(4), ..Counted::default() });
        let shared: Arc<dyn Permit> = Arc::clone(&permit) as _;
        let of_fleet = |id| Notice { event_id: Some(EventId::new(id)), ..notice() };
        let settled = |count: usize| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while permit.heard.lock().unwrap().len() < count {
                assert!(Instant::now() < deadline);
                thread::sleep(Duration::from_millis(1));
            }
            permit.heard.lock().unwrap()[count - 1].clone()
        };
        let ids = |ids: &[u128]| ids.iter().map(|&id| EventId::new(id)).collect::<Vec<_>>();
        // The destination hangs with a notice of this instance, so that the others are one batch.
        tell(&delivery, &[notice()]);
        assert_eq!(seen.recv(), Ok(1));
        assert_eq!(delivery.queue_with(&shared, [of_fleet(1), of_fleet(2)]), []);
        tell(&delivery, &[notice()]);
        for result in [Ok(()), Err(error(true)), Ok(()), Ok(())] {
            answer.send(result).unwrap();
        }
        assert_eq!(settled(1), (ids(&[1, 2]), Settled::Sent));
        assert_eq!(counts(&delivery, |counts| counts.queued == 0).sent, 4);
        assert_eq!(delivery.queue_with(&shared, [of_fleet(3)]), []);
        answer.send(Err(error(false))).unwrap();
        assert_eq!(settled(2), (ids(&[3]), Settled::GivenUp));
        // No attempt is left.
        assert_eq!(delivery.queue_with(&shared, [of_fleet(4)]), []);
        assert_eq!(settled(3), (ids(&[4]), Settled::Withheld));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [2, 2, 1, 1]);
        // Nothing is kept back without a word at the end.
        delivery.stop();
        assert_eq!(delivery.queue_with(&shared, [of_fleet(5)]), ids(&[5]));
        let after = delivery.counts();
        assert_eq!((after.sent, after.failed, after.dropped, after.queued), (4, 1, 1, 0));
    }

    #[test]
    fn the_queue_is_bounded_and_dropped_notices_are_counted() {
        let (delivery, answer, seen) = scripted(None);
        tell(&delivery, &[notice()]);
        assert_eq!(seen.recv(), Ok(1));
        // The destination hangs.
        let many = vec![notice(); 100];
        (0..20).for_each(|_| tell(&delivery, &many));
        let queued = MAX_QUEUED as u64 + 1;
        let before = delivery.counts();
        assert_eq!((before.queued, before.dropped), (queued, 2_001 - queued));
        (0..100).for_each(|_| answer.send(Ok(())).unwrap());
        let after = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((after.sent, after.dropped), (queued, before.dropped));
        assert!(seen.try_iter().all(|batch| batch <= MAX_BATCH));
    }

    #[test]
    fn firing_alerts_are_repeated_as_often_as_the_destination_asks_for() {
        let every = Duration::from_secs(60);
        let (delivery, answer, _seen) = scripted(Some(every));
        let (mut now, notice) = (Moment::now(), notice());
        let firing = || vec![notice.alert.clone()];
        (0..3).for_each(|_| answer.send(Ok(())).unwrap());
        // A new alert that fires is one notice.
        delivery.queue(now, std::slice::from_ref(&notice), firing);
        for _ in 0..120 {
            counts(&delivery, |counts| counts.queued == 0);
            now.monotonic += Duration::from_secs(1);
            delivery.queue(now, &[], firing);
        }
        assert_eq!(counts(&delivery, |counts| counts.queued == 0).sent, 3);
    }

    #[test]
    fn a_stop_tries_waiting_notices_once_more_and_ends_the_thread() {
        let (delivery, answer, seen) = scripted(None);
        tell(&delivery, &vec![notice(); MAX_BATCH + 5]);
        seen.recv().unwrap();
        delivery.stop();
        tell(&delivery, &[notice()]);
        answer.send(Err(error(true))).unwrap();
        let ended = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!(ended.failed + ended.dropped, MAX_BATCH as u64 + 6);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !delivery.is_finished() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn whoever_queues_may_hold_a_lock_that_a_permit_takes() {
        let (delivery, answer, seen) = scripted(None);
        let permit = Arc::new(Counted { left: Mutex::new(u32::MAX), ..Counted::default() });
        let shared: Arc<dyn Permit> = Arc::clone(&permit) as _;
        let of_fleet = |id| Notice { event_id: Some(EventId::new(id)), ..notice() };
        tell(&delivery, &[notice()]);
        assert_eq!(seen.recv(), Ok(1));
        let held = permit.heard.lock().unwrap();
        // One more than fits.
        assert_eq!(delivery.queue_with(&shared, (0..=MAX_QUEUED as u128).map(of_fleet)), []);
        drop(held);
        answer.send(Ok(())).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while permit.heard.lock().unwrap().is_empty() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(permit.heard.lock().unwrap()[0], (vec![EventId::new(0)], Settled::Withheld));
        delivery.stop();
        let held = permit.heard.lock().unwrap();
        assert_eq!(delivery.queue_with(&shared, [of_fleet(5_000)]), [EventId::new(5_000)]);
        drop((held, answer));
    }
}
