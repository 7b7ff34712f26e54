//! What the log says about a destination of alerts.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use log::{Log, Metadata, Record};
use metrics_core::alert::{Alerts, Moment, Notice, Rule};
use metrics_core::{History, Registry};
use metrics_export::Service;
use metrics_export::alert::{Delivery, DeliveryCounts, Destination, SendError};

/// The lines of all tests in this process.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Kept;

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() == "metrics_export::alert" {
            LINES.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// Lines about this destination so far.
fn lines(destination: &str) -> Vec<String> {
    let about = format!(" alerts: {destination} ");
    LINES.lock().unwrap().iter().filter(|line| line.contains(&about)).cloned().collect()
}

/// Answers as the test says.
struct Scripted {
    name: &'static str,
    answers: Receiver<Result<(), SendError>>,
}

impl Destination for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn send(&mut self, _: &[Notice]) -> Result<(), SendError> {
        self.answers.recv().expect("the test answers each attempt")
    }
}

fn start(name: &'static str) -> (Delivery, mpsc::Sender<Result<(), SendError>>) {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&Kept).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
    let (answer, answers) = mpsc::channel();
    (Delivery::start(Scripted { name, answers }, &Service::new("test")).unwrap(), answer)
}

fn notice() -> Notice {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let endpoint = registry.endpoint("GET", "/");
    (0..10).for_each(|_| registry.record_nanos(endpoint, 500, 1));
    history.tick();
    let rule = Rule::defaults().into_iter().find(|rule| rule.name == "errors").unwrap();
    Alerts::new([rule]).unwrap().evaluate(Moment::now(), &history).pop().unwrap()
}

/// Queues a notice, and waits until the counts are as expected.
fn send(delivery: &Delivery, until: fn(&DeliveryCounts) -> bool) {
    delivery.queue(Moment::now(), &[notice()], Vec::new);
    wait(|| until(&delivery.counts()));
}

fn wait(mut until: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !until() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn refused(reason: &str) -> Result<(), SendError> {
    Err(SendError { reason: reason.to_owned(), is_temporary: false, retry_after: None })
}

#[test]
fn a_destination_of_alerts_that_fails_works_again_and_loses_notices_has_a_line_for_each() {
    let (delivery, answer) = start("scripted");
    answer.send(Ok(())).unwrap();
    send(&delivery, |counts| counts.sent == 1);
    assert_eq!(lines("scripted"), [""; 0]);
    answer.send(refused("403 of chat.example.com")).unwrap();
    send(&delivery, |counts| counts.failed == 1);
    answer.send(Ok(())).unwrap();
    send(&delivery, |counts| counts.sent == 2);
    // Within the same minute, further failures and losses wait for their line; the last losses have theirs at the end.
    (0..3).for_each(|_| answer.send(refused("500 of chat.example.com")).unwrap());
    send(&delivery, |counts| counts.failed == 2);
    send(&delivery, |counts| counts.failed == 3);
    send(&delivery, |counts| counts.failed == 4);
    delivery.stop();
    wait(|| delivery.is_finished());
    assert_eq!(
        lines("scripted"),
        [
            "WARN alerts: scripted fails: 403 of chat.example.com",
            "WARN alerts: scripted lost 1 notice; the last reason: 403 of chat.example.com",
            "INFO alerts: scripted works again, after 1 failed attempt",
            "WARN alerts: scripted lost 3 notices; the last reason: 500 of chat.example.com",
        ]
    );
}

#[test]
fn a_destination_of_alerts_that_panics_is_named_in_the_log() {
    let (delivery, answer) = start("panicking");
    drop(answer);
    delivery.queue(Moment::now(), &[notice()], Vec::new);
    wait(|| delivery.is_finished());
    let reason = "it panicked and gets no more notices";
    assert_eq!(
        lines("panicking"),
        [
            format!("WARN alerts: panicking fails: {reason}"),
            format!("WARN alerts: panicking lost 1 notice; the last reason: {reason}"),
        ]
    );
}

#[test]
fn a_destination_that_hangs_loses_its_own_notices_and_others_get_all() {
    let ((hangs, _never), (works, answer)) = (start("hanging"), start("working"));
    let notices = vec![notice(); 100];
    for turn in 1..=20 {
        (0..100).for_each(|_| answer.send(Ok(())).unwrap());
        for delivery in [&hangs, &works] {
            delivery.queue(Moment::now(), &notices, Vec::new);
        }
        wait(|| works.counts().sent == 100 * turn);
    }
    let counts = hangs.counts();
    assert_eq!((counts.sent, counts.queued + counts.dropped), (0, 2_000));
    // Those that wait, and those that it was given.
    assert!((1_024..=1_024 + 32).contains(&counts.queued), "{counts:?}");
}
