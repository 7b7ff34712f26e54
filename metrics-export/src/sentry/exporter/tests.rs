use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use metrics_core::{ErrorCursor, Outcome, RecentRequest, Registry};
use sentry_types::Uuid;
use sentry_types::protocol::v7::Envelope;

use super::super::origin::AGENT;
use super::*;
use crate::push::Process;

const OK: &str = "200 OK\r\n";
/// An answer that takes longer than a second.
const LATE: &str = "200 late\r\n";

/// Answers the requests in turn with these statuses and headers. Returns the DSN and, at the end, the envelopes that
/// arrived and the number of connections.
fn sentry<const N: usize>(answers: [&'static str; N]) -> (String, JoinHandle<(Vec<Envelope>, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("http://hunter2@{}/42", listener.local_addr().unwrap());
    let serve = move || {
        let (mut envelopes, mut connections) = (Vec::new(), 0);
        while envelopes.len() < N {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            connections += 1;
            while let Some(envelope) = read(&mut stream) {
                let head = answers[envelopes.len()];
                envelopes.push(envelope);
                if head == LATE {
                    thread::sleep(Duration::from_millis(1_200));
                }
                write!(stream.get_mut(), "HTTP/1.1 {head}content-length: 0\r\n\r\n").unwrap();
                if envelopes.len() == N {
                    break;
                }
            }
        }
        (envelopes, connections)
    };
    (dsn, thread::spawn(serve))
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Envelope> {
    let head = stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let head: Vec<String> = head.collect();
    assert_eq!(head.first()?, "POST /api/42/envelope/ HTTP/1.1");
    let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let auth = header("x-sentry-auth: ");
    let expected = format!("Sentry sentry_version=7, sentry_client={AGENT}, sentry_key=hunter2");
    assert_eq!(auth, expected);
    let mut body = vec![0; header("content-length: ").parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    if head.iter().any(|line| line == "content-encoding: gzip") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert!(body.len() < unpacked.len() && unpacked.len() >= MIN_COMPRESSED);
        body = unpacked;
    } else {
        assert!(body.len() < MIN_COMPRESSED);
    }
    Some(Envelope::from_slice(&body).unwrap())
}

/// A window with these errors.
fn window(errors: &[(Outcome, &str)]) -> Window {
    let registry = Registry::new();
    let root = registry.endpoint("GET", "/");
    registry.record(root, 200, Duration::from_millis(1));
    for (outcome, message) in errors {
        registry.record_error(root, *outcome, Duration::from_millis(1), message);
    }
    let figures = registry.snapshot();
    let errors = registry.errors_after(&mut ErrorCursor::default());
    let total = Arc::new(figures.clone());
    let process = Process::default();
    Window { total, figures, errors, errors_missed: 0, requests: Vec::new(), requests_missed: 0, process }
}

const NO_STOCK: (Outcome, &str) = (Outcome::Status(503), "no stock");
const LOCKED: (Outcome, &str) = (Outcome::Status(500), "locked");

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The kinds of items: `e` an event, `s` sessions, `t` a transaction, `r` a report.
fn kinds(envelopes: &[Envelope]) -> String {
    let kind = |item: &EnvelopeItem| match item {
        EnvelopeItem::Event(_) => 'e',
        EnvelopeItem::SessionAggregates(_) => 's',
        EnvelopeItem::Transaction(_) => 't',
        EnvelopeItem::ClientReport(_) => 'r',
        other => panic!("{other:?}"),
    };
    envelopes.iter().flat_map(Envelope::items).map(kind).collect()
}

fn ids(envelopes: &[Envelope]) -> Vec<Uuid> {
    let ids = envelopes.iter().filter_map(Envelope::event).map(|event| event.event_id);
    ids.collect()
}

#[test]
fn each_event_has_an_envelope_and_they_share_a_connection() {
    let (dsn, server) = sentry([OK; 3]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let errors = [(Outcome::Panicked, ""), (Outcome::Status(404), "no page"), NO_STOCK];
    assert_eq!(sentry.export(&window(&errors), deadline()), Ok(Accepted::default()));
    let (envelopes, connections) = server.join().unwrap();
    assert_eq!((kinds(&envelopes).as_str(), connections), ("ees", 1));
    let ids = ids(&envelopes);
    assert_eq!([envelopes[0].uuid(), envelopes[1].uuid()], [ids.first(), ids.last()]);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_5xx_has_a_place_among_the_events_before_earlier_4xx() {
    let (dsn, server) = sentry([OK; 3]);
    let builder = Sentry::builder().dsn(dsn).release("1").client_errors(true).max_events(1);
    let errors = [(Outcome::Status(404), "no page"), (Outcome::Status(403), "no entry"), NO_STOCK];
    let sent = builder.build().unwrap().export(&window(&errors), deadline());
    assert_eq!(sent.unwrap().rejected, 2);
    let (envelopes, _) = server.join().unwrap();
    assert_eq!(kinds(&envelopes), "esr");
    let event = serde_json::to_string(envelopes[0].event().unwrap()).unwrap();
    assert!(event.contains("HTTP 503") && !event.contains("HTTP 404"), "{event}");
}

/// [`read`] checks that exactly those are compressed which have to be.
#[test]
fn an_envelope_of_a_kilobyte_is_compressed_and_a_small_one_is_not() {
    let (dsn, server) = sentry([OK; 3]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let long = "x".repeat(256);
    let sent = sentry.export(&window(&[(Outcome::Status(503), &long), NO_STOCK]), deadline());
    assert_eq!(sent, Ok(Accepted::default()));
    let (envelopes, _) = server.join().unwrap();
    let sizes = envelopes.iter().map(|envelope| {
        let mut bytes = Vec::new();
        envelope.to_writer(&mut bytes).unwrap();
        bytes.len() >= MIN_COMPRESSED
    });
    assert_eq!((sizes.collect::<Vec<_>>(), &*kinds(&envelopes)), (vec![true, false, false], "ees"));
}

#[test]
fn a_failed_event_is_sent_again_under_its_id_and_an_accepted_one_is_not() {
    let (dsn, server) = sentry([OK, "503 no\r\n", OK, OK]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let window = window(&[NO_STOCK, LOCKED]);
    let failed = sentry.export(&window, deadline()).unwrap_err();
    assert!(failed.reason.ends_with(" answered 503 Service Unavailable"), "{failed:?}");
    assert_eq!(sentry.export(&window, deadline()), Ok(Accepted::default()));
    let (envelopes, _) = server.join().unwrap();
    assert_eq!(kinds(&envelopes), "eees");
    let ids = ids(&envelopes);
    assert_eq!((ids[1] == ids[2], ids[0] == ids[1]), (true, false));
}

#[test]
fn sessions_are_not_sent_if_little_time_is_left_for_the_answer() {
    let (dsn, server) = sentry([LATE, OK]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let window = window(&[NO_STOCK]);
    let failed = sentry.export(&window, Instant::now() + Duration::from_secs(2)).unwrap_err();
    assert_eq!((failed.permanent, &*failed.reason), (false, "not enough time was left to send sessions"));
    assert_eq!(sentry.export(&window, deadline()), Ok(Accepted::default()));
    assert_eq!(kinds(&server.join().unwrap().0), "es");
}

#[test]
fn events_over_the_limit_are_counted_and_reported() {
    let (dsn, server) = sentry([OK; 4]);
    let sentry = Sentry::builder().dsn(dsn).events_per_minute(2).max_events(3).sessions(false);
    let mut sentry = sentry.build().unwrap();
    let sent = sentry.export(&window(&[[NO_STOCK; 5].as_slice(), &[LOCKED; 2]].concat()), deadline());
    let reason = "4 events exceeded 2 per minute and group, or 3 per window".to_owned();
    assert_eq!(sent, Ok(Accepted { rejected: 4, reason: Some(reason) }));
    let (envelopes, _) = server.join().unwrap();
    assert_eq!(kinds(&envelopes), "eeer");
    let Some(EnvelopeItem::ClientReport(report)) = envelopes[3].items().next() else { panic!("it is one") };
    let report = serde_json::to_value(report).unwrap();
    let expected = serde_json::json!([{"category": "error", "reason": "sample_rate", "quantity": 4}]);
    assert_eq!(report["discarded_events"], expected);
}

#[test]
fn a_rate_limit_applies_to_its_category_alone() {
    let limited = "429 no\r\nretry-after: 70\r\nx-sentry-rate-limits: 70:error:key\r\n";
    let (dsn, server) = sentry([limited, OK, OK]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let sent = sentry.export(&window(&[NO_STOCK, LOCKED, LOCKED]), deadline()).unwrap();
    assert_eq!(sent.rejected, 3);
    let reason = sent.reason.unwrap();
    assert!(reason.starts_with("it asked to receive no events for "), "{reason}");
    let (envelopes, _) = server.join().unwrap();
    // Sentry counted the first event, and the others were not sent.
    assert_eq!(kinds(&envelopes), "esr");
    let Some(EnvelopeItem::ClientReport(report)) = envelopes[2].items().next() else { panic!("it is one") };
    let report = serde_json::to_value(report).unwrap();
    let expected = serde_json::json!([{"category": "error", "reason": "ratelimit_backoff", "quantity": 2}]);
    assert_eq!(report["discarded_events"], expected);
}

#[test]
fn a_rate_limit_may_come_with_a_success() {
    let (dsn, server) = sentry(["200 OK\r\nx-sentry-rate-limits: 70:session:key\r\n", OK]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let sent = sentry.export(&window(&[NO_STOCK]), deadline()).unwrap();
    // Both requests.
    assert_eq!(sent.rejected, 2);
    assert_eq!(kinds(&server.join().unwrap().0), "er");
}

#[test]
fn a_refused_item_is_left_out_and_a_forbidden_window_is_dropped() {
    let (dsn, server) = sentry(["413 no\r\n", OK, OK, "403 no\r\n"]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let sent = sentry.export(&window(&[NO_STOCK]), deadline());
    let Ok(Accepted { rejected: 1, reason: Some(reason) }) = sent else { panic!("{sent:?}") };
    assert!(reason.starts_with("events: 127.0.0.1:") && reason.contains(" answered 413 "), "{reason}");
    let failed = sentry.export(&window(&[NO_STOCK]), deadline()).unwrap_err();
    assert!(failed.permanent && failed.reason.contains(" answered 403 Forbidden; "), "{failed:?}");
    assert_eq!(kinds(&server.join().unwrap().0), "esre");
}

#[test]
fn after_a_forbidden_item_the_rest_is_left_out_and_accepted_items_count_as_sent() {
    let (dsn, server) = sentry([OK, "403 no\r\n", OK]);
    let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
    let sent = sentry.export(&window(&[NO_STOCK, LOCKED]), deadline());
    // One event, and three requests as sessions.
    let Ok(Accepted { rejected: 4, reason: Some(reason) }) = sent else { panic!("{sent:?}") };
    assert!(reason.starts_with("sessions: 127.0.0.1:") && reason.contains(" answered 403 "), "{reason}");
    assert_eq!(kinds(&server.join().unwrap().0), "eer");
}

#[test]
fn while_sentry_accepts_nothing_no_report_is_sent_either() {
    let (dsn, server) = sentry(["429 no\r\nretry-after: 1\r\n", OK, OK]);
    let mut sentry = Sentry::builder().dsn(dsn).sessions(false).build().unwrap();
    let limited = sentry.export(&window(&[NO_STOCK, LOCKED, LOCKED]), deadline()).unwrap();
    assert_eq!(limited.rejected, 3);
    thread::sleep(Duration::from_millis(1_100));
    // The two that Sentry does not know are reported later, and counted once.
    assert_eq!(sentry.export(&window(&[NO_STOCK]), deadline()), Ok(Accepted::default()));
    let (envelopes, _) = server.join().unwrap();
    assert_eq!(kinds(&envelopes), "eer");
    let Some(EnvelopeItem::ClientReport(report)) = envelopes[2].items().next() else { panic!("it is one") };
    let report = serde_json::to_value(report).unwrap();
    let expected = serde_json::json!([{"category": "error", "reason": "ratelimit_backoff", "quantity": 2}]);
    assert_eq!(report["discarded_events"], expected);
}

#[test]
fn events_and_transactions_before_1970_are_sent() {
    let (dsn, server) = sentry([OK; 2]);
    let mut sentry = Sentry::builder().dsn(dsn).traces_sample_rate(1.0).sessions(false).build().unwrap();
    let mut window = window(&[NO_STOCK]);
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    window.errors[0].time = before;
    window.requests = vec![RecentRequest {
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
        endpoint: Arc::clone(&window.errors[0].endpoint),
        outcome: Outcome::Status(200),
        response_time: Duration::MAX,
        trace: None,
        randomness: 0.2,
    }];
    assert_eq!(sentry.export(&window, deadline()), Ok(Accepted::default()));
    assert_eq!(kinds(&server.join().unwrap().0), "et");
}

#[test]
fn a_429_without_a_pause_is_retried() {
    let (dsn, server) = sentry(["429 no\r\nretry-after: 0\r\n", OK]);
    let mut sentry = Sentry::builder().dsn(dsn).build().unwrap();
    let window = window(&[NO_STOCK]);
    assert!(!sentry.export(&window, deadline()).unwrap_err().permanent);
    assert_eq!(sentry.export(&window, deadline()), Ok(Accepted::default()));
    assert_eq!(kinds(&server.join().unwrap().0), "ee");
}

#[test]
fn a_window_without_items_is_idle() {
    let (dsn, server) = sentry([OK]);
    let mut sentry = Sentry::builder().dsn(dsn).sessions(false).events_per_minute(1).build().unwrap();
    assert!(sentry.is_idle(&window(&[(Outcome::Status(404), "no page")])));
    let failed = window(&[NO_STOCK]);
    // However often it is asked.
    assert!(!sentry.is_idle(&failed) && !sentry.is_idle(&failed));
    assert_eq!(sentry.export(&failed, deadline()), Ok(Accepted::default()));
    assert_eq!(kinds(&server.join().unwrap().0), "e");
}

#[test]
fn a_window_that_is_a_report_alone_fails_until_the_report_is_sent() {
    let (dsn, server) = sentry([OK, "503 no\r\n", OK]);
    let sentry = Sentry::builder().dsn(dsn).events_per_minute(1).sessions(false);
    let mut sentry = sentry.build().unwrap();
    let windows = [0, 1].map(|_| window(&[NO_STOCK; 1]));
    sentry.export(&windows[0], deadline()).unwrap();
    // If a minute ended meanwhile, it is an event.
    assert!(!sentry.is_idle(&windows[1]));
    let failed = sentry.export(&windows[1], deadline()).unwrap_err();
    assert!(failed.reason.ends_with(" answered 503 Service Unavailable"), "{failed:?}");
    assert!(sentry.export(&windows[1], deadline()).is_ok());
    let kinds = kinds(&server.join().unwrap().0);
    assert!(["err", "eee"].contains(&&*kinds), "{kinds}");
}

#[test]
fn sampled_requests_are_transactions_up_to_the_limit_of_a_window() {
    let (dsn, server) = sentry([OK; 3]);
    let sentry = Sentry::builder().dsn(dsn).traces_sample_rate(0.25).max_transactions(2);
    let mut window = window(&[]);
    let request = RecentRequest {
        time: SystemTime::now(),
        endpoint: Arc::new(window.figures.endpoints().next().unwrap().name().clone()),
        outcome: Outcome::Status(200),
        response_time: Duration::from_millis(1),
        trace: None,
        randomness: 0.2,
    };
    window.requests = vec![request; 5];
    let sent = sentry.build().unwrap().export(&window, deadline());
    let reason = Some("3 transactions exceeded 2 per window".to_owned());
    assert_eq!(sent, Ok(Accepted { rejected: 3, reason }));
    let (envelopes, _) = server.join().unwrap();
    assert_eq!(kinds(&envelopes), "ttr");
    let headers = serde_json::to_value(envelopes[0].headers()).unwrap();
    assert_eq!(headers["trace"]["sample_rate"], "0.25");
    assert!(headers["event_id"].is_string());
}

#[test]
fn only_enabled_items_are_sent() {
    let (dsn, server) = sentry([OK; 2]);
    let builder = Sentry::builder().dsn(dsn).release("1");
    let errors = [NO_STOCK, (Outcome::Status(404), "no page"), (Outcome::Aborted, "gone")];
    let nothing = builder.clone().max_events(0).sessions(false);
    let clients = builder.sessions(false).client_errors(true);
    for builder in [nothing, clients] {
        let sent = builder.build().unwrap().export(&window(&errors), deadline());
        assert_eq!(sent, Ok(Accepted::default()));
    }
    assert_eq!(kinds(&server.join().unwrap().0), "ee");
}
