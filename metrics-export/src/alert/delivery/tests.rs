//! Deliveries to destinations that fail, block, panic or come back.

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
    (Delivery::start(Scripted { answers, given, repeat_every }, &Service::new("test")).unwrap(), answer, seen)
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
