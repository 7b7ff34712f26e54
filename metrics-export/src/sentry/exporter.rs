//! The exporter: a window's envelopes one by one, and what Sentry says of them.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use metrics_core::{InvalidSetting, Outcome, RecentError, RecentRequest, Snapshot};
use sentry_types::protocol::v7::client_report::{Category, Reason};
use sentry_types::protocol::v7::{Envelope, EnvelopeHeaders, EnvelopeItem};

use super::discards::{Discards, loss};
use super::event::{Fingerprint, event};
use super::limiter::Limiter;
use super::origin::Origin;
use super::rate_limits::RateLimits;
use super::request::{in_range, sdk};
use super::sessions;
use super::transaction::{sampling, transaction};
use crate::http::{Client, gzipped};
use crate::push::{Accepted, Exporter, Failed, PushSettings, Window, checked};
use crate::secret::Secret;
use crate::service::Service;

const ENVELOPE: &str = "application/x-sentry-envelope";

/// Envelopes of so many bytes are compressed. Smaller ones fit into one packet anyway.
const MIN_PACKED: usize = 1_024;

/// Sends events, sessions and transactions to Sentry.
#[derive(Debug)]
pub struct Sentry {
    pub(super) client: Client,
    pub(super) gzip: bool,
    /// The DSN's, which Sentry wants to see again with a transaction.
    pub(super) key: Secret,
    pub(super) origin: Origin,
    pub(super) settings: PushSettings,
    /// At most so many in a window.
    pub(super) max_events: usize,
    pub(super) client_errors: bool,
    pub(super) sessions: bool,
    /// At most so many in a window.
    pub(super) max_transactions: usize,
    pub(super) limiter: Limiter,
    /// Of fingerprints.
    pub(super) hasher: RandomState,
    pub(super) rate_limits: RateLimits,
    pub(super) attempt: Attempt,
}

/// The window that is being sent. It comes again as it was, since [`PushSettings::max_windows`] is above 1.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The end of the window; `None` when there is none.
    until: Option<Arc<Snapshot>>,
    /// What is still to be sent. Made once, so that an event that is sent again has the id that it had.
    items: VecDeque<EnvelopeItem>,
    discards: Discards,
    /// Whether there was an answer.
    reached: bool,
}

/// What became of an item that was sent.
enum Sent {
    Taken,
    /// It will not be taken later either.
    Refused(u16),
    /// Sentry does not want it for now, and has counted it as left out.
    Limited,
}

impl Sentry {
    /// Begins with a window, or goes on with it.
    fn begin(&mut self, window: &Window) {
        if self.attempt.until.as_ref().is_some_and(|until| Arc::ptr_eq(until, &window.total)) {
            return;
        }
        let discards = self.attempt.discards.untold();
        let mut attempt = Attempt { until: Some(Arc::clone(&window.total)), discards, ..Attempt::default() };
        if self.max_events > 0 {
            self.add_events(&window.errors, &mut attempt);
        }
        if self.sessions {
            attempt.items.extend(sessions::of(&self.origin, &window.figures).map(EnvelopeItem::from));
        }
        self.add_transactions(&window.requests, &mut attempt);
        self.attempt = attempt;
    }

    /// Ends with a window, so as to hold no snapshot for longer than it is of use: what was left out of it.
    fn end(&mut self) -> Discards {
        let mut discards = std::mem::take(&mut self.attempt).discards;
        self.attempt.discards = discards.untold();
        discards
    }

    fn add_events(&mut self, errors: &[RecentError], attempt: &mut Attempt) {
        let mut left_out = 0;
        let client_errors = self.client_errors;
        for error in errors.iter().filter(|error| is_event(error, client_errors)) {
            let fingerprint = Fingerprint::of(error);
            let room = attempt.items.len() < self.max_events;
            match self.limiter.admit(self.hasher.hash_one(&fingerprint), minute(error.time), room) {
                Some(before) => {
                    attempt.items.push_back(event(&self.origin, error, fingerprint, before).into());
                }
                None => left_out += 1,
            }
        }
        let (per_minute, max) = (self.limiter.per_minute(), self.max_events);
        let why =
            format!("{left_out} events were over {per_minute} a minute of their kind, or {max} of a window");
        attempt.discards.add(Category::Error, Reason::SampleRate, left_out, why);
    }

    fn add_transactions(&self, requests: &[RecentRequest], attempt: &mut Attempt) {
        let transactions = requests.iter().take(self.max_transactions);
        attempt.items.extend(transactions.map(|request| transaction(&self.origin, request).into()));
        let left_out = requests.len().saturating_sub(self.max_transactions) as u64;
        let why = format!("{left_out} transactions were over {} of a window", self.max_transactions);
        attempt.discards.add(Category::Transaction, Reason::SampleRate, left_out, why);
    }

    /// Sends what is left of the window.
    fn send_all(&mut self, deadline: Instant) -> Result<(), Failed> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let enough = left() / 2;
        while let Some(item) = self.attempt.items.front() {
            let (category, count) = loss(item);
            // They have no id, and would count twice if their answer came too late.
            if category == Category::Session && left() < enough {
                return Err(Failed::temporary("there was too little time left for sessions"));
            }
            if let Some(left) = self.rate_limits.left(category, Instant::now()) {
                let why = format!("it asked for no {} for {} s", name(category), left.as_secs() + 1);
                self.attempt.discards.add(category, Reason::RatelimitBackoff, count, why);
            } else {
                match self.send(item.clone(), deadline)? {
                    Sent::Taken => {}
                    Sent::Refused(status) => {
                        let why = format!("it answered {status} to {}", name(category));
                        self.attempt.discards.add(category, Reason::SendError, count, why);
                    }
                    Sent::Limited => {
                        let why = format!("it answered 429 to {}", name(category));
                        self.attempt.discards.add_told(count, why);
                    }
                }
            }
            self.attempt.items.pop_front();
        }
        Ok(())
    }

    /// Leaves out what is left of the window.
    fn discard_rest(&mut self, why: &str) {
        for item in std::mem::take(&mut self.attempt.items) {
            let (category, count) = loss(&item);
            let why = format!("{why} to {}", name(category));
            self.attempt.discards.add(category, Reason::SendError, count, why);
        }
    }

    /// Tells Sentry what was left out, unless it wants nothing at all for now; then it is told with a later window. A courtesy, as all
    /// of it is counted here, too; but for a window of which nothing else was sent.
    fn report(&mut self, deadline: Instant) -> Result<(), Failed> {
        let Some(report) = self.attempt.discards.report() else { return Ok(()) };
        if self.rate_limits.forbid_all(Instant::now()) {
            return Ok(());
        }
        match self.send(report, deadline) {
            Ok(Sent::Taken | Sent::Refused(_)) => self.attempt.discards.set_told(),
            Ok(Sent::Limited) => {}
            Err(failed) if !self.attempt.reached => return Err(failed),
            Err(_) => {}
        }
        Ok(())
    }

    /// Sends one item in an envelope of its own: there can be one event in each.
    fn send(&mut self, item: EnvelopeItem, deadline: Instant) -> Result<Sent, Failed> {
        let (category, _) = loss(&item);
        let left = deadline.saturating_duration_since(Instant::now());
        let envelope = self.envelope(item);
        let posted = if envelope.len() < MIN_PACKED || !self.gzip {
            self.client.post(ENVELOPE, None, &envelope, left)
        } else {
            self.client.post(ENVELOPE, Some("gzip"), &gzipped(&envelope), left)
        };
        let answer = posted.map_err(Failed::temporary)?;
        let now = Instant::now();
        self.rate_limits.update(&answer, now);
        let sent = match answer.status {
            // Of this item only: it is no good, or too large.
            status @ (400 | 413) => Sent::Refused(status),
            429 if self.rate_limits.left(category, now).is_some() => Sent::Limited,
            _ => checked(answer).map(|_| Sent::Taken)?,
        };
        self.attempt.reached = true;
        Ok(sent)
    }

    /// One item as the bytes of an envelope.
    fn envelope(&self, item: EnvelopeItem) -> Vec<u8> {
        let mut headers = EnvelopeHeaders::new().with_sdk(sdk()).with_sent_at(in_range(SystemTime::now()));
        match &item {
            EnvelopeItem::Event(event) => headers = headers.with_event_id(event.event_id),
            EnvelopeItem::Transaction(transaction) => {
                let sampling = sampling(transaction, self.key.expose(), self.settings.sample_rate);
                headers = headers.with_event_id(transaction.event_id).with_trace(sampling);
            }
            _ => {}
        }
        let mut envelope = Envelope::new().with_headers(headers);
        envelope.add_item(item);
        let mut bytes = Vec::new();
        envelope.to_writer(&mut bytes).expect("a Vec takes everything, and no time is before 1970");
        bytes
    }
}

impl Exporter for Sentry {
    fn name(&self) -> &str {
        "sentry"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.origin.fill(service)
    }

    fn is_idle(&mut self, window: &Window) -> bool {
        self.begin(window);
        let is_idle = self.attempt.items.is_empty() && self.attempt.discards.count == 0;
        if is_idle {
            self.end();
        }
        is_idle
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        self.begin(window);
        match self.send_all(deadline) {
            // What was taken is not to be counted as dropped with the rest.
            Err(failed) if failed.permanent && self.attempt.reached => self.discard_rest(&failed.reason),
            sent => sent?,
        }
        self.report(deadline)?;
        let Discards { count, reason, .. } = self.end();
        Ok(Accepted { rejected: count, reason })
    }
}

/// Whether an error is to be an event.
fn is_event(error: &RecentError, client_errors: bool) -> bool {
    match error.outcome {
        Outcome::Status(400..=499) => client_errors,
        outcome => outcome.is_error(),
    }
}

/// What people call a category.
fn name(category: Category) -> &'static str {
    match category {
        Category::Session => "sessions",
        Category::Transaction => "transactions",
        _ => "events",
    }
}

/// Minutes since 1970.
fn minute(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use metrics_core::{ErrorCursor, Registry};
    use sentry_types::Uuid;

    use super::super::origin::AGENT;
    use super::*;
    use crate::push::Process;

    const OK: &str = "200 OK\r\n";
    /// An answer that takes longer than a second.
    const LATE: &str = "200 late\r\n";

    /// Answers one request after the other with these statuses and headers, on as many connections as it takes: what came, as
    /// envelopes, and the connections.
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
            assert!(body.len() < unpacked.len() && unpacked.len() >= MIN_PACKED);
            body = unpacked;
        } else {
            assert!(body.len() < MIN_PACKED);
        }
        Some(Envelope::from_slice(&body).unwrap())
    }

    /// A window with such errors.
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

    /// What is in an envelope: `e` an event, `s` sessions, `t` a transaction, `r` a report.
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

    /// What arrives is asked whether it had to be.
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
            bytes.len() >= MIN_PACKED
        });
        assert_eq!((sizes.collect::<Vec<_>>(), &*kinds(&envelopes)), (vec![true, false, false], "ees"));
    }

    #[test]
    fn what_failed_is_sent_again_under_its_id_and_what_was_taken_is_not() {
        let (dsn, server) = sentry([OK, "503 no\r\n", OK, OK]);
        let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
        let window = window(&[NO_STOCK, LOCKED]);
        assert_eq!(sentry.export(&window, deadline()).unwrap_err().reason, "it answered 503");
        assert_eq!(sentry.export(&window, deadline()), Ok(Accepted::default()));
        let (envelopes, _) = server.join().unwrap();
        assert_eq!(kinds(&envelopes), "eees");
        let ids = ids(&envelopes);
        assert_eq!((ids[1] == ids[2], ids[0] == ids[1]), (true, false));
    }

    #[test]
    fn sessions_are_not_begun_when_there_is_little_time_for_their_answer() {
        let (dsn, server) = sentry([LATE, OK]);
        let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
        let window = window(&[NO_STOCK]);
        let failed = sentry.export(&window, Instant::now() + Duration::from_secs(2)).unwrap_err();
        assert_eq!(
            (failed.permanent, &*failed.reason),
            (false, "there was too little time left for sessions")
        );
        assert_eq!(sentry.export(&window, deadline()), Ok(Accepted::default()));
        assert_eq!(kinds(&server.join().unwrap().0), "es");
    }

    #[test]
    fn what_is_over_the_limit_of_its_kind_is_counted_and_told() {
        let (dsn, server) = sentry([OK; 4]);
        let sentry = Sentry::builder().dsn(dsn).events_per_minute(2).max_events(3).sessions(false);
        let mut sentry = sentry.build().unwrap();
        let sent = sentry.export(&window(&[[NO_STOCK; 5].as_slice(), &[LOCKED; 2]].concat()), deadline());
        let reason = "4 events were over 2 a minute of their kind, or 3 of a window".to_owned();
        assert_eq!(sent, Ok(Accepted { rejected: 4, reason: Some(reason) }));
        let (envelopes, _) = server.join().unwrap();
        assert_eq!(kinds(&envelopes), "eeer");
        let Some(EnvelopeItem::ClientReport(report)) = envelopes[3].items().next() else {
            panic!("it is one")
        };
        let report = serde_json::to_value(report).unwrap();
        let expected = serde_json::json!([{"category": "error", "reason": "sample_rate", "quantity": 4}]);
        assert_eq!(report["discarded_events"], expected);
    }

    #[test]
    fn a_limit_of_sentrys_is_for_its_category_alone() {
        let limited = "429 no\r\nretry-after: 70\r\nx-sentry-rate-limits: 70:error:key\r\n";
        let (dsn, server) = sentry([limited, OK, OK]);
        let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
        let sent = sentry.export(&window(&[NO_STOCK, LOCKED, LOCKED]), deadline()).unwrap();
        assert_eq!(sent.rejected, 3);
        let reason = sent.reason.unwrap();
        assert!(reason.starts_with("it asked for no events for "), "{reason}");
        let (envelopes, _) = server.join().unwrap();
        // The first event was counted by Sentry, and the others were not sent.
        assert_eq!(kinds(&envelopes), "esr");
        let Some(EnvelopeItem::ClientReport(report)) = envelopes[2].items().next() else {
            panic!("it is one")
        };
        let report = serde_json::to_value(report).unwrap();
        let expected =
            serde_json::json!([{"category": "error", "reason": "ratelimit_backoff", "quantity": 2}]);
        assert_eq!(report["discarded_events"], expected);
    }

    #[test]
    fn a_limit_can_come_with_an_answer_of_success() {
        let (dsn, server) = sentry(["200 OK\r\nx-sentry-rate-limits: 70:session:key\r\n", OK]);
        let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
        let sent = sentry.export(&window(&[NO_STOCK]), deadline()).unwrap();
        // Both requests.
        assert_eq!(sent.rejected, 2);
        assert_eq!(kinds(&server.join().unwrap().0), "er");
    }

    #[test]
    fn what_is_refused_for_itself_is_left_out_and_what_nobody_may_send_is_given_up() {
        let (dsn, server) = sentry(["413 no\r\n", OK, OK, "403 no\r\n"]);
        let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
        let sent = sentry.export(&window(&[NO_STOCK]), deadline());
        let reason = Some("it answered 413 to events".to_owned());
        assert_eq!(sent, Ok(Accepted { rejected: 1, reason }));
        let failed = sentry.export(&window(&[NO_STOCK]), deadline()).unwrap_err();
        assert_eq!((failed.permanent, &*failed.reason), (true, "it answered 403"));
        assert_eq!(kinds(&server.join().unwrap().0), "esre");
    }

    #[test]
    fn what_is_behind_something_that_nobody_may_send_is_left_out_and_what_was_taken_is_not() {
        let (dsn, server) = sentry([OK, "403 no\r\n", OK]);
        let mut sentry = Sentry::builder().dsn(dsn).release("1").build().unwrap();
        let sent = sentry.export(&window(&[NO_STOCK, LOCKED]), deadline());
        // One event, and three requests as sessions.
        let reason = Some("it answered 403 to sessions".to_owned());
        assert_eq!(sent, Ok(Accepted { rejected: 4, reason }));
        assert_eq!(kinds(&server.join().unwrap().0), "eer");
    }

    #[test]
    fn while_nothing_at_all_is_wanted_nothing_is_reported_either() {
        let (dsn, server) = sentry(["429 no\r\nretry-after: 1\r\n", OK, OK]);
        let mut sentry = Sentry::builder().dsn(dsn).sessions(false).build().unwrap();
        let limited = sentry.export(&window(&[NO_STOCK, LOCKED, LOCKED]), deadline()).unwrap();
        assert_eq!(limited.rejected, 3);
        thread::sleep(Duration::from_millis(1_100));
        // The two that Sentry knows nothing of are told later, and counted once.
        assert_eq!(sentry.export(&window(&[NO_STOCK]), deadline()), Ok(Accepted::default()));
        let (envelopes, _) = server.join().unwrap();
        assert_eq!(kinds(&envelopes), "eer");
        let Some(EnvelopeItem::ClientReport(report)) = envelopes[2].items().next() else {
            panic!("it is one")
        };
        let report = serde_json::to_value(report).unwrap();
        let expected =
            serde_json::json!([{"category": "error", "reason": "ratelimit_backoff", "quantity": 2}]);
        assert_eq!(report["discarded_events"], expected);
    }

    #[test]
    fn times_before_1970_are_no_reason_to_lose_anything() {
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
    fn a_429_that_asks_for_no_time_is_tried_again() {
        let (dsn, server) = sentry(["429 no\r\nretry-after: 0\r\n", OK]);
        let mut sentry = Sentry::builder().dsn(dsn).build().unwrap();
        let window = window(&[NO_STOCK]);
        assert!(!sentry.export(&window, deadline()).unwrap_err().permanent);
        assert_eq!(sentry.export(&window, deadline()), Ok(Accepted::default()));
        assert_eq!(kinds(&server.join().unwrap().0), "ee");
    }

    #[test]
    fn a_window_with_nothing_for_sentry_is_idle() {
        let (dsn, server) = sentry([OK]);
        let mut sentry = Sentry::builder().dsn(dsn).sessions(false).events_per_minute(1).build().unwrap();
        assert!(sentry.is_idle(&window(&[(Outcome::Status(404), "no page")])));
        let failed = window(&[NO_STOCK]);
        // Whether it is asked or not.
        assert!(!sentry.is_idle(&failed) && !sentry.is_idle(&failed));
        assert_eq!(sentry.export(&failed, deadline()), Ok(Accepted::default()));
        assert_eq!(kinds(&server.join().unwrap().0), "e");
    }

    #[test]
    fn a_window_of_which_a_report_alone_is_sent_is_not_taken_before_it_is() {
        let (dsn, server) = sentry([OK, "503 no\r\n", OK]);
        let sentry = Sentry::builder().dsn(dsn).events_per_minute(1).sessions(false);
        let mut sentry = sentry.build().unwrap();
        let windows = [0, 1].map(|_| window(&[NO_STOCK; 1]));
        sentry.export(&windows[0], deadline()).unwrap();
        // A minute can have ended meanwhile, and then it is an event.
        assert!(!sentry.is_idle(&windows[1]));
        assert_eq!(sentry.export(&windows[1], deadline()).unwrap_err().reason, "it answered 503");
        assert!(sentry.export(&windows[1], deadline()).is_ok());
        let kinds = kinds(&server.join().unwrap().0);
        assert!(["err", "eee"].contains(&&*kinds), "{kinds}");
    }

    #[test]
    fn sampled_requests_are_transactions_up_to_some_of_a_window() {
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
        let reason = Some("3 transactions were over 2 of a window".to_owned());
        assert_eq!(sent, Ok(Accepted { rejected: 3, reason }));
        let (envelopes, _) = server.join().unwrap();
        assert_eq!(kinds(&envelopes), "ttr");
        let headers = serde_json::to_value(envelopes[0].headers()).unwrap();
        assert_eq!(headers["trace"]["sample_rate"], "0.25");
        assert!(headers["event_id"].is_string());
    }

    #[test]
    fn only_what_was_asked_for_is_sent() {
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
}
