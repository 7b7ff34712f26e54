//! The thread that hands notices to one destination, and the queue in front of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use metrics_core::InvalidSetting;
use metrics_core::alert::{Alert, Change, Moment, Notice};

use crate::backoff::Backoff;
use crate::service::Service;
use crate::start_error::StartError;

/// Notices that wait at most; the oldest make room. When a database that all endpoints need fails, hundreds come at one time.
const MAX_QUEUED: usize = 1_024;

/// Notices that are sent at one time at most.
const MAX_BATCH: usize = 32;

/// For how long a batch is tried. What waits behind it is stuck meanwhile, and what is older helps nobody.
const GIVE_UP_AFTER: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 900 });

/// The pauses between the attempts.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(if cfg!(test) { 5 } else { 500 }),
    longest: Duration::from_secs(30),
};

/// Where notices go.
pub trait Destination: Send + 'static {
    /// What it is called among the counts.
    fn name(&self) -> &'static str;

    /// Takes over which service the notices are about. Called once, before the first notice; default: of no interest.
    ///
    /// # Errors
    ///
    /// When the destination cannot take the service's name, version or the like. The delivery does not start then.
    fn start(&mut self, _service: &Service) -> Result<(), InvalidSetting> {
        Ok(())
    }

    /// Sends some notices, the oldest first. May take its time; a delivery's thread does nothing else. A panic ends the
    /// thread, and what waits and what comes then is dropped.
    ///
    /// # Errors
    ///
    /// When none of them, or not all of them, could be sent. Where that is for good, they are sent once more, one by one.
    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError>;

    /// How often it has to be told again of all alerts that fire; default: never.
    fn repeat_every(&self) -> Option<Duration> {
        None
    }
}

impl<D: Destination + ?Sized> Destination for Box<D> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        (**self).start(service)
    }

    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError> {
        (**self).send(notices)
    }

    fn repeat_every(&self) -> Option<Duration> {
        (**self).repeat_every()
    }
}

/// Why notices were not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// What happened. Shown to whoever may read the metrics, so without secrets.
    pub reason: String,
    /// Whether the same notices can be sent later.
    pub is_temporary: bool,
}

/// What became of a destination's notices since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// What the destination is called.
    pub destination: &'static str,
    /// Notices that the destination took.
    pub sent: u64,
    /// Notices that found no room, or that were left when the delivery was stopped.
    pub dropped: u64,
    /// Notices that were given up, because the destination refused them or did not take them in time.
    pub failed: u64,
    /// Attempts beyond the first.
    pub retried: u64,
    /// Notices that wait now, or are being sent.
    pub queued: u64,
    /// Why the last attempt failed; `None` once one succeeds.
    pub last_error: Option<String>,
}

/// A thread that sends what it is told to one destination.
///
/// Telling it never waits. At most 1,024 notices wait; then the oldest are dropped and counted, reminders first. Of the
/// reminders of one alert only the last one waits. What could not be sent is tried again for a quarter of an hour, at
/// intervals that grow to half a minute and vary.
pub struct Delivery {
    inner: Arc<Inner>,
    repeat_every: Option<Duration>,
    thread: JoinHandle<()>,
}

struct Inner {
    state: Mutex<State>,
    /// There is something to send, or to stop for.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Notice>,
    sending: usize,
    counts: DeliveryCounts,
    repeated: Option<Instant>,
    /// Which of the alerts that fire is repeated first, where they are too many for one time.
    next_repeated: usize,
    stopped: bool,
}

impl Delivery {
    /// Starts the thread, which sends in the name of this service.
    ///
    /// # Errors
    ///
    /// When the destination cannot send in the name of the service, or the system starts no thread.
    pub fn start(mut destination: impl Destination, service: &Service) -> Result<Self, StartError> {
        destination.start(service)?;
        let counts = DeliveryCounts { destination: destination.name(), ..DeliveryCounts::default() };
        let state = Mutex::new(State { counts, ..State::default() });
        let inner = Arc::new(Inner { state, changed: Condvar::new() });
        let repeat_every = destination.repeat_every();
        let thread = {
            let inner = Arc::clone(&inner);
            let run = move || run(destination, &inner);
            thread::Builder::new().name("metrics-alerts".to_owned()).spawn(run)?
        };
        Ok(Self { inner, repeat_every, thread })
    }

    /// Has these notices sent, and from time to time all alerts that fire, if the destination wants that. Where more fire than
    /// can wait, they take turns.
    pub fn tell(&self, now: Moment, notices: &[Notice], firing: impl FnOnce() -> Vec<Alert>) {
        let mut state = self.inner.lock();
        let due =
            |every| state.repeated.is_none_or(|last| now.monotonic.saturating_duration_since(last) >= every);
        let repeated = if self.repeat_every.is_some_and(due) {
            state.repeated = Some(now.monotonic);
            let is_new = |alert: &Alert| !notices.iter().any(|notice| notice.alert == *alert);
            let repeat = |alert| Notice { change: Change::Reminder, alert };
            let firing: Vec<_> = firing().into_iter().filter(is_new).collect();
            state.turn(firing).map(repeat).collect()
        } else {
            Vec::new()
        };
        for notice in notices.iter().cloned().chain(repeated) {
            state.queue(notice);
        }
        self.inner.changed.notify_all();
    }

    /// Lets what waits be tried once more, and then ends the thread. Does not wait for that.
    pub fn stop(&self) {
        self.inner.lock().stopped = true;
        self.inner.changed.notify_all();
    }

    /// Whether the thread has ended, which it only does once it is stopped, or its destination has panicked.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// What became of the notices so far.
    pub fn counts(&self) -> DeliveryCounts {
        let state = self.inner.lock();
        DeliveryCounts { queued: (state.queue.len() + state.sending) as u64, ..state.counts.clone() }
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

impl State {
    /// As many of the alerts that fire as can wait, beginning behind those of the last time.
    fn turn(&mut self, firing: Vec<Alert>) -> impl Iterator<Item = Alert> + use<> {
        let first = self.next_repeated.checked_rem(firing.len()).unwrap_or(0);
        let some = firing.len().min(MAX_QUEUED);
        self.next_repeated = first + some;
        let mut firing = firing;
        firing.rotate_left(first);
        firing.into_iter().take(some)
    }

    fn queue(&mut self, notice: Notice) {
        if self.stopped {
            self.counts.dropped += 1;
            return;
        }
        if notice.change == Change::Reminder {
            let ours = &notice.alert;
            let is_ours =
                |other: &Alert| Arc::ptr_eq(&other.rule, &ours.rule) && other.endpoint == ours.endpoint;
            self.queue.retain(|other| other.change != Change::Reminder || !is_ours(&other.alert));
        }
        if self.queue.len() == MAX_QUEUED {
            let reminder = self.queue.iter().position(|other| other.change == Change::Reminder);
            self.queue.remove(reminder.unwrap_or(0));
            self.counts.dropped += 1;
        }
        self.queue.push_back(notice);
    }
}

/// Accounts for what is left when the thread ends, however it does.
struct AtEnd<'a>(&'a Inner);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stopped = true;
        state.counts.failed += std::mem::take(&mut state.sending) as u64;
        state.counts.dropped += state.queue.len() as u64;
        state.queue.clear();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to send; `None` once there is nothing left and there will not be.
    fn next(&self) -> Option<Vec<Notice>> {
        let mut state = self.lock();
        while state.queue.is_empty() && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let some = state.queue.len().min(MAX_BATCH);
        state.sending = some;
        (some > 0).then(|| state.queue.drain(..some).collect())
    }

    /// Waits before the next attempt, but not once it is to be the last.
    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.stopped || left.is_zero() {
                return;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn run(mut destination: impl Destination, inner: &Inner) {
    let _at_end = AtEnd(inner);
    while let Some(batch) = inner.next() {
        if !deliver(&mut destination, inner, &batch, Instant::now()) {
            return;
        }
    }
}

/// Sends a batch that is tried `since` then, however often that takes; `false` if nothing more is to be sent.
///
/// What is refused for good goes one by one. Each notice has one attempt then, and others as long as the batch has time left.
fn deliver(destination: &mut impl Destination, inner: &Inner, batch: &[Notice], since: Instant) -> bool {
    for attempt in 1.. {
        let result = destination.send(batch);
        let mut state = inner.lock();
        let Err(SendError { reason, is_temporary }) = result else {
            state.counts.sent += batch.len() as u64;
            state.counts.last_error = None;
            state.sending -= batch.len();
            break;
        };
        state.counts.last_error = Some(reason);
        if !is_temporary && batch.len() > 1 && !state.stopped {
            state.counts.retried += 1;
            drop(state);
            return batch.chunks(1).all(|notice| deliver(destination, inner, notice, since));
        }
        if !is_temporary || state.stopped || since.elapsed() >= GIVE_UP_AFTER {
            state.counts.failed += batch.len() as u64;
            state.sending -= batch.len();
            // Once stopped: the rest would fail, too, and somebody waits for this to end.
            return !state.stopped;
        }
        state.counts.retried += 1;
        drop(state);
        inner.pause(BACKOFF.pause_after(attempt));
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use metrics_core::alert::{Alerts, Rule};
    use metrics_core::{EndpointName, History, Registry};

    use super::*;

    /// Answers with what it is told to, and says what it was given.
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
        SendError { reason: "no".to_owned(), is_temporary }
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

    /// That of an alert that begins to fire.
    fn notice() -> Notice {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        let endpoint = registry.endpoint("GET", "/");
        (0..10).for_each(|_| registry.record_nanos(endpoint, 500, 1));
        history.tick();
        let mut alerts = Alerts::new([Rule::defaults().pop().unwrap()]).unwrap();
        alerts.evaluate(Moment::now(), &history).pop().unwrap()
    }

    fn tell(delivery: &Delivery, notices: &[Notice]) {
        delivery.tell(Moment::now(), notices, Vec::new);
    }

    /// The counts, once they are as they should be.
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
    fn what_fails_for_a_while_is_tried_again() {
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
    fn what_is_refused_is_not_tried_again() {
        let (delivery, answer, seen) = scripted(None);
        tell(&delivery, &[notice()]);
        answer.send(Err(error(false))).unwrap();
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.retried, counts.failed), (0, 0, 1));
        assert_eq!((counts.last_error.as_deref(), seen.recv()), (Some("no"), Ok(1)));
    }

    #[test]
    fn what_fails_for_long_is_given_up() {
        let (delivery, answer, _seen) = scripted(None);
        tell(&delivery, &[notice()]);
        // Far more than it takes: the answers are not waited for.
        (0..10_000).for_each(|_| answer.send(Err(error(true))).unwrap());
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.failed), (0, 1));
        assert!(counts.retried > 1, "{counts:?}");
    }

    #[test]
    fn one_notice_that_is_refused_takes_no_other_with_it() {
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
    fn a_batch_that_goes_one_by_one_has_no_more_time_than_any_other() {
        let (delivery, answer, _seen) = scripted(None);
        let begun = Instant::now();
        tell(&delivery, &vec![notice(); MAX_BATCH]);
        answer.send(Err(error(false))).unwrap();
        (0..10_000).for_each(|_| answer.send(Err(error(true))).unwrap());
        let counts = counts(&delivery, |counts| counts.queued == 0);
        assert_eq!((counts.sent, counts.failed), (0, MAX_BATCH as u64));
        // Each of them by itself would have had as long.
        assert!(begun.elapsed() < GIVE_UP_AFTER * (MAX_BATCH / 2) as u32);
    }

    #[test]
    fn reminders_take_the_place_of_older_ones_and_of_no_other_notice() {
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
    fn alerts_of_hundreds_of_endpoints_are_all_told_and_where_more_fire_than_can_wait_they_take_turns() {
        let begun = Moment::now();
        let alert = notice().alert;
        let alerts = |count: usize| -> Vec<Alert> {
            let endpoint = |i| EndpointName { method: "GET".into(), route: format!("/{i}").into() };
            let of = |i| Alert { endpoint: Some(Arc::new(endpoint(i))), ..alert.clone() };
            (0..count).map(of).collect()
        };
        let (delivery, answer, seen) = scripted(Some(Duration::from_secs(60)));
        // It hangs with one notice.
        tell(&delivery, &[notice()]);
        assert_eq!(seen.recv(), Ok(1));
        let began = |alert| Notice { change: Change::Firing, alert };
        tell(&delivery, &alerts(800).into_iter().map(began).collect::<Vec<_>>());
        assert_eq!((delivery.counts().queued, delivery.counts().dropped), (801, 0));
        drop((answer, delivery));

        let (delivery, answer, seen) = scripted(Some(Duration::from_secs(60)));
        tell(&delivery, &[notice()]);
        assert_eq!(seen.recv(), Ok(1));
        let firing = alerts(2 * MAX_QUEUED + 100);
        let mut told = BTreeSet::new();
        for minute in 1..=3 {
            let monotonic = begun.monotonic + Duration::from_secs(61 * minute);
            delivery.tell(Moment { monotonic, ..begun }, &[], || firing.clone());
            // As if they had been sent.
            let mut state = delivery.inner.lock();
            told.extend(state.queue.drain(..).filter_map(|notice| notice.alert.endpoint));
        }
        assert_eq!((told.len(), delivery.counts().dropped), (firing.len(), 0));
        drop(answer);
    }

    #[test]
    fn a_destination_that_panics_leaves_nothing_uncounted() {
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

    #[test]
    fn the_queue_is_bounded_and_what_does_not_fit_is_counted() {
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
    fn alerts_that_fire_are_repeated_as_often_as_the_destination_wants() {
        let every = Duration::from_secs(60);
        let (delivery, answer, _seen) = scripted(Some(every));
        let (mut now, notice) = (Moment::now(), notice());
        let firing = || vec![notice.alert.clone()];
        (0..3).for_each(|_| answer.send(Ok(())).unwrap());
        // New and firing is one notice.
        delivery.tell(now, std::slice::from_ref(&notice), firing);
        for _ in 0..120 {
            counts(&delivery, |counts| counts.queued == 0);
            now.monotonic += Duration::from_secs(1);
            delivery.tell(now, &[], firing);
        }
        assert_eq!(counts(&delivery, |counts| counts.queued == 0).sent, 3);
    }

    #[test]
    fn a_stop_tries_once_more_and_ends_the_thread() {
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
}
