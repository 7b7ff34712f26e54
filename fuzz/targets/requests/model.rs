//! The model: counts along in plain maps, from what a client sees and what the application noted.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use actix_web::body::BodySize;
use metrics_actix::Until;
use metrics_core::{MAX_MESSAGE_BYTES, MAX_NAME_BYTES, METHODS, Outcome, UNMATCHED, visible};

use crate::config::{Callers, Config, HASH_KEY, Markers, alias};
use crate::input::Plan;
use crate::places::Place;

/// A method and a route.
pub type Series<'a> = (&'a str, &'a str);

/// What is counted of a series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub outcomes: BTreeMap<Outcome, u64>,
    pub truncated: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub in_flight: u64,
}

/// Calls and errors.
pub type Calls = (u64, u64);

/// The figures of a window, or of all time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    pub series: BTreeMap<Series<'static>, Counts>,
    pub consumers: BTreeMap<String, Calls>,
}

/// An error as it is logged.
pub type Logged = (Series<'static>, Outcome, String);

#[derive(Debug)]
pub struct Model {
    config: Config,
    pub window: Figures,
    pub total: Figures,
    pub in_flight: u64,
    pub open_streams: u64,
    /// Since the last check.
    pub errors: Vec<Logged>,
    /// What has rows; without limits of their own, those that applications name.
    known_series: HashSet<Series<'static>>,
    known_consumers: HashSet<String>,
    /// Rows that requests took.
    requested_consumers: usize,
}

/// A request that is under way.
#[derive(Debug)]
pub struct Sent {
    pub method: &'static str,
    pub place: Place,
    /// Whether it goes to one of the monitor's endpoints.
    pub is_own: bool,
    /// Whether its path tells that before it is routed.
    pub looks_own: bool,
    pub has_guard: bool,
    pub key: Option<&'static [u8]>,
    /// Whether the bytes of its body are counted when they are read.
    pub has_body: bool,
    pub plan: Rc<Plan>,
    /// Where a marker counts it.
    pub marked: Option<Option<Series<'static>>>,
    /// Whether it is no more in flight: it got to an endpoint of the monitor.
    pub is_left_out: bool,
}

/// A response as the client gets it.
#[derive(Debug)]
pub struct View {
    pub status: u16,
    pub size: BodySize,
    pub is_event_stream: bool,
    pub message: String,
}

/// A response whose body is under way.
#[derive(Debug)]
pub struct Answered {
    pub sent: Sent,
    counted: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    series: Series<'static>,
    outcome: Outcome,
    kind: Kind,
    consumer: Option<String>,
    passed: u64,
    is_recorded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Sized(u64),
    Unsized,
    /// Stays open for as long as both sides like.
    Stream,
}

impl Sent {
    /// The bytes that were read of its body since the last call.
    fn read(&self) -> u64 {
        if self.has_body { self.plan.seen.read.take() } else { 0 }
    }
}

impl Model {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            window: Figures::default(),
            total: Figures::default(),
            in_flight: 0,
            open_streams: 0,
            errors: Vec::new(),
            known_series: HashSet::new(),
            known_consumers: HashSet::new(),
            requested_consumers: 0,
        }
    }

    pub fn begin(&mut self) {
        self.in_flight += 1;
    }

    /// A reset ends the window. What is in flight belongs to no window.
    pub fn reset(&mut self) {
        self.window.consumers.clear();
        for counts in self.window.series.values_mut() {
            *counts = Counts { in_flight: counts.in_flight, ..Counts::default() };
        }
    }

    /// The code inside the middleware was called or polled.
    pub fn polled(&mut self, sent: &mut Sent) {
        let seen = &sent.plan.seen;
        if sent.is_own && seen.inside.get() && !sent.is_left_out {
            sent.is_left_out = true;
            self.in_flight -= 1;
        }
        let marker = match self.config.markers {
            Markers::Resources if sent.place.is_marked && seen.handled.get() => sent.place.route,
            Markers::Scope if seen.in_scope.get() => sent.place.early,
            _ => return,
        };
        if sent.marked.is_none() {
            let series = self.counted_at(sent, marker);
            self.in_flight_at(series, 1);
            sent.marked = Some(series);
        }
    }

    fn in_flight_at(&mut self, series: Option<Series<'static>>, more: i64) {
        let Some(series) = series else { return };
        for figures in [&mut self.window, &mut self.total] {
            let counts = figures.series.entry(series).or_default();
            counts.in_flight = counts.in_flight.wrapping_add_signed(more);
        }
    }

    /// Where requests of a route are counted.
    fn counted_at(&mut self, sent: &Sent, route: &'static str) -> Option<Series<'static>> {
        if self.config.excludes(route) {
            return None;
        }
        let series = self.row(sent.method, route);
        let is_named = self.config.names_routes && sent.has_guard;
        Some(if is_named { self.row(sent.method, "/named") } else { series })
    }

    /// The series, or the one of those that do not fit.
    fn row(&mut self, method: &str, route: &'static str) -> Series<'static> {
        let series = (label(method), route);
        if self.known_series.contains(&series) {
            return series;
        }
        // Unmatched paths have a row for each method, besides those of routes.
        let of_routes = self.known_series.iter().filter(|(_, known)| *known != UNMATCHED).count();
        if route == UNMATCHED || of_routes < self.config.max_series {
            self.known_series.insert(series);
            return series;
        }
        ("_OTHER", "_other")
    }

    /// The future of the request has ended.
    fn left(&mut self, sent: &Sent) {
        if let Some(series) = sent.marked {
            self.in_flight_at(series, -1);
        }
    }

    /// A response.
    pub fn answered(&mut self, mut sent: Sent, view: &View) -> Answered {
        self.polled(&mut sent);
        self.left(&sent);
        let is_early = sent.plan.seen.early.get();
        let route = match sent.place.guarded {
            _ if is_early => sent.place.early,
            Some(guarded) if sent.has_guard => guarded,
            _ => sent.place.route,
        };
        let series = if sent.is_own { None } else { self.counted_at(&sent, route) };
        let consumer = series.map(|(_, route)| self.consumer(&sent, view.status, route));
        self.head(sent, view, series, consumer.flatten())
    }

    /// An error of a middleware, and the response that was made of it.
    pub fn failed(&mut self, mut sent: Sent, view: &View) -> Answered {
        self.polled(&mut sent);
        self.left(&sent);
        let series = self.last_seen(&sent, false);
        let refused = [401, 403].contains(&view.status);
        let consumer = if refused { "_rejected" } else { "_unanswered" };
        self.head(sent, view, series, self.counts_consumers().then(|| consumer.to_owned()))
    }

    /// No response.
    pub fn unanswered(&mut self, mut sent: Sent, outcome: Outcome) {
        self.polled(&mut sent);
        self.left(&sent);
        if sent.is_left_out {
            return;
        }
        self.in_flight -= 1;
        let has_panicked = outcome == Outcome::Panicked;
        let Some(series) = self.last_seen(&sent, has_panicked) else { return };
        let read = sent.read();
        self.add(series, |counts| counts.request_bytes += read);
        let consumer = self.counts_consumers().then(|| "_unanswered".to_owned());
        self.record(series, outcome, consumer.as_deref());
        if has_panicked {
            self.errors.push((series, outcome, String::new()));
        }
    }

    /// Where a request without a response is counted. A panic in front of an endpoint of the monitor counts: the
    /// application's code has panicked.
    fn last_seen(&mut self, sent: &Sent, has_panicked: bool) -> Option<Series<'static>> {
        if sent.is_left_out || sent.looks_own && !has_panicked {
            return None;
        }
        sent.marked.unwrap_or_else(|| Some(self.row(sent.method, UNMATCHED)))
    }

    fn head(
        &mut self,
        sent: Sent,
        view: &View,
        series: Option<Series<'static>>,
        consumer: Option<String>,
    ) -> Answered {
        let Some(series) = series.filter(|_| !self.config.excludes_status(view.status)) else {
            self.in_flight -= u64::from(!sent.is_left_out);
            return Answered { sent, counted: None };
        };
        let outcome = Outcome::from(view.status);
        let kind = match (view.status, view.size) {
            (_, BodySize::None | BodySize::Sized(0)) => Kind::Nothing,
            (101, _) => Kind::Stream,
            (204 | 304, _) => Kind::Nothing,
            _ if sent.method == "HEAD" => Kind::Nothing,
            (_, BodySize::Stream) if view.is_event_stream => Kind::Stream,
            (_, BodySize::Stream) => Kind::Unsized,
            (_, BodySize::Sized(size)) => Kind::Sized(size),
        };
        let read = sent.read();
        let size = if let Kind::Sized(size) = kind { size } else { 0 };
        self.add(series, |counts| {
            counts.request_bytes += read;
            counts.response_bytes += size;
        });
        if outcome.is_error() {
            let message = visible(&view.message, MAX_MESSAGE_BYTES).into_owned();
            self.errors.push((series, outcome, message));
        }
        self.open_streams += u64::from(kind == Kind::Stream);
        let mut counted = Counted { series, outcome, kind, consumer, passed: 0, is_recorded: false };
        if self.config.until == Until::Head || matches!(kind, Kind::Nothing | Kind::Stream) {
            self.record_once(&mut counted);
        }
        Answered { sent, counted: Some(counted) }
    }

    /// A piece of the body was passed on.
    pub fn passed(&mut self, answered: &mut Answered, bytes: usize) {
        self.read_on(answered);
        let Some(counted) = &mut answered.counted else { return };
        counted.passed += bytes as u64;
        if matches!(counted.kind, Kind::Sized(size) if counted.passed >= size) {
            self.record_once(counted);
        }
    }

    /// The body is over: it ended, or it broke off.
    pub fn ended(&mut self, mut answered: Answered, is_whole: bool) {
        self.read_on(&answered);
        let Some(counted) = &mut answered.counted else { return };
        self.record_once(counted);
        let (kind, passed) = (counted.kind, counted.passed);
        self.open_streams -= u64::from(kind == Kind::Stream);
        let is_truncated = match kind {
            Kind::Nothing | Kind::Stream => false,
            Kind::Sized(size) => !is_whole || passed < size,
            Kind::Unsized => !is_whole,
        };
        self.add(counted.series, |counts| {
            counts.truncated += u64::from(is_truncated);
            counts.response_bytes += if matches!(kind, Kind::Unsized | Kind::Stream) { passed } else { 0 };
        });
    }

    /// The application read more of the request's body.
    pub fn read_on(&mut self, answered: &Answered) {
        let read = answered.sent.read();
        if let Some(counted) = &answered.counted {
            self.add(counted.series, |counts| counts.request_bytes += read);
        }
    }

    fn record_once(&mut self, counted: &mut Counted) {
        if !std::mem::replace(&mut counted.is_recorded, true) {
            self.in_flight -= 1;
            self.record(counted.series, counted.outcome, counted.consumer.as_deref());
        }
    }

    fn record(&mut self, series: Series<'static>, outcome: Outcome, consumer: Option<&str>) {
        self.add(series, |counts| *counts.outcomes.entry(outcome).or_default() += 1);
        let Some(consumer) = consumer else { return };
        for figures in [&mut self.window, &mut self.total] {
            let (calls, errors) = figures.consumers.entry(consumer.to_owned()).or_default();
            *calls += 1;
            *errors += u64::from(outcome.is_error());
        }
    }

    fn add(&mut self, series: Series<'static>, add: impl Fn(&mut Counts)) {
        for figures in [&mut self.window, &mut self.total] {
            add(figures.series.entry(series).or_default());
        }
    }

    fn counts_consumers(&self) -> bool {
        self.config.callers != Callers::None
    }

    /// The consumer of a request that was answered.
    fn consumer(&mut self, sent: &Sent, status: u16, route: &str) -> Option<String> {
        if !self.counts_consumers() {
            return None;
        }
        if [401, 403].contains(&status) {
            return Some("_rejected".to_owned());
        }
        let is_hook = self.config.callers == Callers::Hook;
        let Some(key) = sent.key.filter(|key| is_hook || !key.is_empty()) else {
            return Some("_anonymous".to_owned());
        };
        let key =
            if is_hook { String::from_utf8_lossy(key).into_owned().into_bytes() } else { key.to_owned() };
        let text = std::str::from_utf8(&key).ok();
        let is_name = is_hook && key.starts_with(b"name-");
        if let Some(alias) = text.and_then(alias).filter(|_| !is_name) {
            self.known_consumers.insert(alias.clone());
            return Some(alias);
        }
        let name = match text {
            Some(name) if is_name => visible(name, MAX_NAME_BYTES).into_owned(),
            _ => hash(&key),
        };
        if self.known_consumers.contains(&name) {
            return Some(name);
        }
        let is_success = sent.method != "OPTIONS" && matches!(status, 101 | 200..=299 | 304);
        let vouches = self.config.callers != Callers::SomeRoutes
            || route == "/items/{id}"
            || route.starts_with("/api/");
        if is_success && vouches && self.requested_consumers < self.config.max_consumers {
            self.requested_consumers += 1;
            self.known_consumers.insert(name.clone());
            return Some(name);
        }
        Some("_other".to_owned())
    }
}

/// A method as it is shown.
fn label(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// 64 bits of a key's HMAC-SHA256.
fn hash(key: &[u8]) -> String {
    let hash = hmac_sha256::HMAC::mac(key, HASH_KEY);
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
