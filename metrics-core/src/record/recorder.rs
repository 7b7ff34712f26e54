//! The recorder: one thread's writer.

mod errors;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::bytes::Bytes;
use crate::events::context::{EventDetails, RequestContext};
use crate::events::error_groups::LatestGroup;
use crate::events::event_log::Budget;
use crate::events::request_log::RequestEvent;
use crate::events::slow::SlowEvent;
use crate::labels::consumer::Consumer;
use crate::labels::endpoint::EndpointId;
use crate::labels::method::UNKNOWN;
use crate::labels::outcome::Outcome;
use crate::labels::trace::{TraceContext, TraceId};
use crate::record::ranks::Ranks;
use crate::record::shard::Shard;
use crate::record::shard::counters::MetricCells;
use crate::record::shared::Shared;
use crate::record::slot::{Slot, Slots};

/// Writes to its own shard until it is dropped.
///
/// Recording is wait-free: no lock, no read-modify-write instruction, no system call. It allocates only for the first
/// records of an endpoint's statuses and latencies: 704 bytes for each class of statuses that a thread sees (rare
/// statuses from x32 on have extra cells), and 1 KiB for each octave of its latencies after the first 16 records. It
/// never fails and never panics, except for ids and starts of another registry in debug builds: see [`EndpointId`] and
/// [`Start`].
///
/// A recorder that is forgotten ([`std::mem::forget`]) keeps its shard for good: what it recorded stays counted, and
/// the next recorder gets another shard, so forgetting many takes memory. Ending something that was never begun
/// ([`Recorder::leave`], [`Recorder::close_stream`]) cancels out one that is in progress, now or later; such a count is
/// never below 0, and no other figure is affected.
///
/// A recorder can be sent to another thread, but not shared or cloned:
///
/// ```compile_fail,E0277
/// fn shared(_: impl Sync) {}
/// shared(metrics_core::Registry::new().recorder());
/// ```
///
/// ```compile_fail,E0599
/// let recorder = metrics_core::Registry::new().recorder();
/// let second = recorder.clone();
/// ```
#[derive(Debug)]
pub struct Recorder {
    /// Leased; `drop` returns it.
    shard: Arc<Shard>,
    slots: &'static Slots,
    /// The slots of statuses 0 to 399; empty after an error, so that the next success is noticed. Thus successes do not
    /// pay for the count of [errors in a row](crate::record::shard::streaks::Streaks).
    fast: Cell<&'static [Slot]>,
    shared: Arc<Shared>,
    /// When the latest failed request ended, by the clock's ticks, until it is logged; 0 if that was not read. So that
    /// logging it need not read the clock once more.
    failed_at: Cell<u64>,
    /// Apart, so that a recorder is small where a thread looks for its own. Contains a `Cell`, so that the recorder is
    /// not `Sync`.
    logging: Box<Logging>,
    ranks: Box<Ranks>,
    /// The reading of the clock with which the frame of the slowest requests ends. Not in the box, since each request
    /// compares with it.
    frame_ends: Cell<u64>,
}

/// How a request ended: what [`Recorder::finish_with_bytes`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    slow_from: u64,
}

impl Finished {
    /// Returns whether the request may be among the slowest, or took at least as long as
    /// [`Recorder::set_captured_from`] set. If so, call [`Recorder::list_slow`].
    #[inline(always)]
    pub fn is_slow(&self) -> bool {
        self.nanos >= self.slow_from
    }
}

/// How much a recorder may log, and what it logged last.
#[derive(Debug, Default)]
struct Logging {
    /// For errors of each priority.
    errors: [Budget; 4],
    /// For new groups of errors of each priority.
    groups: [Budget; 4],
    /// The group of the latest error of each priority.
    latest_groups: [LatestGroup; 4],
    /// For the request log.
    requests: Budget,
}

/// The start of a request: what [`Recorder::start`] read from the clock, the registry and the method. 16 bytes.
///
/// If it is dropped, the request never ends: it counts as in flight for good, and in no other figure.
///
/// A recorder of another registry cannot end it. In a debug build, that panics. In a release build, `finish` records
/// the request in its own registry, `discard` does nothing, and neither registry's requests in flight change.
///
/// It is neither `Copy` nor `Clone`, so no request ends twice:
///
/// ```compile_fail,E0382
/// # use metrics_core::{Outcome, Registry};
/// # let registry = Registry::new();
/// # let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
/// let start = recorder.start();
/// recorder.finish(start, endpoint, Outcome::Status(200));
/// recorder.finish(start, endpoint, Outcome::Status(200));
/// ```
///
/// ```compile_fail,E0599
/// # let recorder = metrics_core::Registry::new().recorder();
/// let second = recorder.start().clone();
/// ```
#[derive(Debug)]
#[must_use = "the request counts as in flight until it is passed to `finish` or `discard`"]
pub struct Start {
    raw: u64,
    /// The registry's key and the number of the method, below [`LANES`](crate::labels::method::LANES), in one: see
    /// [`Shard::lane`].
    lane: u64,
}

#[cold]
#[inline(never)]
fn foreign_start() {
    debug_assert!(false, "a Start was ended by a recorder of another registry, which did not make it");
}

impl Recorder {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (shard, slots) = (shared.lease(), shared.slots());
        Self {
            // The last lease of the shard may have ended with an error.
            fast: Cell::new(if shard.streaks().current() == 0 { slots.successes() } else { &[] }),
            shard,
            slots,
            failed_at: Cell::new(0),
            logging: Box::default(),
            ranks: Box::new(Ranks::new()),
            frame_ends: Cell::new(0),
            shared,
        }
    }

    /// Records one request that was answered with `status`.
    ///
    /// A status outside 100 ..= 599 counts as [`Outcome::Other`]. Durations over [`MAX_NANOS`](crate::MAX_NANOS) land
    /// in the last bucket and are counted as clamped; sum and maximum stay exact up to 2^48 ns (3.3 days).
    #[inline(always)]
    pub fn record(&self, endpoint: EndpointId, status: u16, elapsed: Duration) {
        self.record_nanos(endpoint, status, nanos(elapsed));
    }

    /// Like [`Recorder::record`], in nanoseconds.
    #[inline(always)]
    pub fn record_nanos(&self, endpoint: EndpointId, status: u16, nanos: u64) {
        match self.fast.get().get(usize::from(status)) {
            Some(&slot) => self.shard.record(endpoint, slot, nanos),
            None => self.record_watched(endpoint, status, nanos),
        }
    }

    /// Records an error, the first success after one, or a status above 599.
    #[cold]
    #[inline(never)]
    fn record_watched(&self, endpoint: EndpointId, status: u16, nanos: u64) {
        // Loaded once: the stores below could change the fields, for all that the compiler knows.
        let (slots, shard) = (self.slots, &*self.shard);
        if let Some(&slot) = slots.successes().get(usize::from(status)) {
            self.end_streak(shard, slots);
            return shard.record(endpoint, slot, nanos);
        }
        let Some(slot) = slots.of_status(status) else {
            self.record_rare(endpoint, Outcome::Other, nanos, None);
            return;
        };
        self.note_error(shard, endpoint, status);
        shard.record(endpoint, slot, nanos);
    }

    /// Records any outcome, with the bytes of bodies if they are known; then returns the least duration that is of
    /// interest by itself.
    #[cold]
    #[inline(never)]
    fn record_rare(&self, endpoint: EndpointId, outcome: Outcome, nanos: u64, bytes: Option<Bytes>) -> u64 {
        let (slots, shard) = (self.slots, &*self.shard);
        match outcome {
            Outcome::Status(status @ 400..=599) => self.note_error(shard, endpoint, status),
            Outcome::Status(_) | Outcome::Other => self.end_streak(shard, slots),
            Outcome::Panicked => self.extend_streak(shard),
            Outcome::Aborted => {}
        }
        let slot = slots.of(outcome);
        match bytes {
            Some(bytes) => shard.record_with_bytes(endpoint, slot, nanos, bytes),
            None => {
                shard.record(endpoint, slot, nanos);
                0
            }
        }
    }

    /// Lengthens the streak of errors, unless it is a 4xx of an endpoint that catches all paths.
    #[inline(always)]
    fn note_error(&self, shard: &Shard, endpoint: EndpointId, status: u16) {
        if status >= 500 || !self.shared.endpoints().catches_all(endpoint) {
            self.extend_streak(shard);
        }
    }

    #[inline(always)]
    fn extend_streak(&self, shard: &Shard) {
        shard.streaks().extend();
        self.fast.set(&[]);
    }

    #[inline(always)]
    fn end_streak(&self, shard: &Shard, slots: &'static Slots) {
        shard.streaks().end();
        self.fast.set(slots.successes());
    }

    /// Like [`Recorder::record`], for any outcome.
    #[inline]
    pub fn record_outcome(&self, endpoint: EndpointId, outcome: Outcome, elapsed: Duration) {
        self.count(endpoint, outcome, nanos(elapsed));
    }

    #[inline(always)]
    fn count(&self, endpoint: EndpointId, outcome: Outcome, nanos: u64) {
        match outcome {
            Outcome::Status(status) => self.record_nanos(endpoint, status, nanos),
            _ => {
                self.record_rare(endpoint, outcome, nanos, None);
            }
        }
    }

    /// Starts a request: counts it as in flight and reads the clock.
    #[inline]
    pub fn start(&self) -> Start {
        self.start_method(UNKNOWN)
    }

    /// Like [`Recorder::start`], for a request whose method is known: `method` is its index in
    /// [`METHODS`](crate::METHODS). [`Snapshot::in_flight_by_method`](crate::Snapshot::in_flight_by_method) counts such
    /// requests separately.
    #[inline]
    pub fn start_method(&self, method: usize) -> Start {
        self.shard.in_flight_of(method).begin();
        Start { raw: self.shared.clock().raw(), lane: self.shard.lane(method) }
    }

    /// Ends a request that any recorder of this registry started, and records it. Returns the nanoseconds that it took.
    #[inline]
    pub fn finish(&self, start: Start, endpoint: EndpointId, outcome: Outcome) -> u64 {
        let nanos = self.shared.clock().nanos(start.raw, self.shared.clock().raw());
        self.count(endpoint, outcome, nanos);
        self.end(&start);
        nanos
    }

    /// Like [`Recorder::finish`], but also adds to the bytes of bodies as [`Recorder::add_bytes`] does. Cheaper than
    /// two calls.
    #[inline]
    pub fn finish_with_bytes(
        &self,
        start: Start,
        endpoint: EndpointId,
        outcome: Outcome,
        request: u64,
        response: u64,
    ) -> Finished {
        let end = self.shared.clock().raw();
        let nanos = self.shared.clock().nanos(start.raw, end);
        if end >= self.frame_ends.get() {
            self.turn(end);
        }
        let bytes = Bytes { request, response };
        let fast = match outcome {
            Outcome::Status(status) => self.fast.get().get(usize::from(status)),
            _ => None,
        };
        let slow_from = match fast {
            Some(&slot) => self.shard.record_with_bytes(endpoint, slot, nanos, bytes),
            None => {
                self.failed_at.set(if outcome.is_error() { end } else { 0 });
                self.record_rare(endpoint, outcome, nanos, Some(bytes))
            }
        };
        self.end(&start);
        Finished { nanos, slow_from }
    }

    /// Sets the duration from which on [`Finished::is_slow`] is true regardless of other requests, in nanoseconds;
    /// default: none.
    pub fn set_captured_from(&self, nanos: u64) {
        self.ranks.set_captured_from(nanos);
    }

    /// Returns whether a request is among the slowest of its endpoint, or of all, that this recorder has listed in the
    /// current ten seconds. If so, pass it to [`Recorder::list_slow`].
    pub fn ranks(&self, endpoint: EndpointId, nanos: u64) -> bool {
        let raw = self.shared.clock().raw();
        if raw >= self.frame_ends.get() {
            self.turn(raw);
        }
        self.ranks.ranks(endpoint, nanos)
    }

    /// Lists a request among the slowest, for [`History::slow_requests`](crate::History::slow_requests). Does not
    /// record it: call it after the request was recorded, if it [ranks](Recorder::ranks).
    ///
    /// Takes a lock that a reader holds for a few nanoseconds once a second.
    pub fn list_slow(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        nanos: u64,
        context: &RequestContext<'_>,
    ) {
        let (outcome, slot) = (as_counted(outcome), self.slots.of(outcome));
        let (frame, slow_from) = self.ranks.add(endpoint, slot, nanos);
        self.shard.set_slow_from(endpoint, slot, slow_from);
        let (trace, details) = (context.trace, EventDetails::new(context, self.shard.number()));
        let time = SystemTime::now();
        self.shard.slow().push(SlowEvent { time, frame, endpoint, outcome, nanos, trace, details });
    }

    /// Begins another frame of the slowest requests, if this one has ended.
    #[cold]
    #[inline(never)]
    fn turn(&self, raw: u64) {
        let lower = |endpoint, slot| self.shard.set_slow_from(endpoint, slot, 0);
        self.frame_ends.set(self.ranks.turn(self.shared.clock(), raw, self.shared.uptime_nanos(), lower));
    }

    /// Logs a single request for [`Registry::requests_after`](crate::Registry::requests_after). Does not record it. Do
    /// not call it for every request: it reads the clocks, and pushes to a queue that all recorders share.
    ///
    /// `randomness` is a random number from 0 to below 1 that was drawn for the request, or 1: see
    /// [`RecentRequest::randomness`](crate::RecentRequest::randomness). A recorder logs a burst of the log's
    /// capacity, and then that number per second. Further requests are counted as missed.
    pub fn log_request(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        elapsed: Duration,
        trace: Option<TraceContext>,
        randomness: f64,
    ) {
        let log = self.shared.request_log().get();
        if !self.logging.requests.take(self.shared.uptime_nanos(), log.nanos_an_entry()) {
            log.count_unpushed();
            return;
        }
        let (time, outcome, nanos) = (SystemTime::now(), as_counted(outcome), nanos(elapsed));
        log.push(RequestEvent { time, endpoint, outcome, nanos, trace, randomness });
    }

    /// Keeps a slow or failed request as the exemplar of its endpoint. Does not record it: call it after the request
    /// was recorded. Do not call it for every request: it may allocate, and it reads the wall clock. It never waits:
    /// while another thread keeps or reads an exemplar, it does nothing.
    pub fn keep_exemplar(&self, endpoint: EndpointId, outcome: Outcome, elapsed: Duration, trace: TraceId) {
        self.shared.exemplars().keep(endpoint, outcome, nanos(elapsed), trace);
    }

    /// Returns how long a request has been in progress.
    pub fn elapsed(&self, start: &Start) -> Duration {
        Duration::from_nanos(self.shared.clock().nanos(start.raw, self.shared.clock().raw()))
    }

    /// Ends a request that is in flight, if a recorder of this registry began it.
    #[inline(always)]
    fn end(&self, start: &Start) {
        match self.shard.in_flight_in(start.lane) {
            Some(in_flight) => in_flight.end(),
            None => foreign_start(),
        }
    }

    /// Ends a request without counting it, such as one that reads the figures.
    #[inline]
    pub fn discard(&self, start: Start) {
        self.end(&start);
    }

    /// Removes a request from those in flight before its end, such as one that reads the figures; `method` is the index
    /// of its method in [`METHODS`](crate::METHODS). Then drop the [`Start`] that was made with the same method,
    /// without finishing or discarding it.
    pub fn leave_out(&self, method: usize) {
        self.shard.in_flight_of(method).end();
    }

    /// Counts a request as in progress at an endpoint until [`Recorder::leave`].
    ///
    /// Separate from [`Recorder::start`], since most services do not know the endpoint when a request begins.
    pub fn enter(&self, endpoint: EndpointId) {
        self.shard.at_endpoint(endpoint).begin();
    }

    /// Ends what [`Recorder::enter`] started on this or another recorder of the registry.
    pub fn leave(&self, endpoint: EndpointId) {
        self.shard.at_endpoint(endpoint).end();
    }

    /// Adds to the bytes of bodies, without heads, of the endpoint's requests with this outcome.
    #[inline]
    pub fn add_bytes(&self, endpoint: EndpointId, outcome: Outcome, request: u64, response: u64) {
        self.shard.add_bytes(endpoint, self.slots.of(outcome), Bytes { request, response });
    }

    /// Counts a response whose body was truncated: it failed, or the client went away. The response itself is counted
    /// by its status, as any other.
    pub fn count_truncated(&self, endpoint: EndpointId, outcome: Outcome) {
        self.shard.count_truncated(endpoint, self.slots.of(outcome));
    }

    /// Counts a response that stays open after its head, such as server-sent events or a WebSocket.
    pub fn open_stream(&self) {
        self.shard.open_streams().begin();
    }

    /// Ends what [`Recorder::open_stream`] started on this or another recorder of the registry.
    pub fn close_stream(&self) {
        self.shard.open_streams().end();
    }

    /// Counts a request for its consumer. Reads the clock, to keep when the consumer was last seen.
    #[inline]
    pub fn record_consumer(&self, consumer: Consumer, outcome: Outcome, elapsed: Duration) {
        let now = self.shared.uptime_nanos();
        self.shard.consumers().record(consumer, outcome.is_error(), nanos(elapsed), now);
    }

    /// The shard's part of the application's own metrics. The recorder's thread is its only writer.
    #[inline]
    pub(crate) fn metrics(&self) -> &MetricCells {
        self.shard.metrics()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.ranks.end(|endpoint, slot| self.shard.set_slow_from(endpoint, slot, 0));
        self.shared.give_back(Arc::clone(&self.shard));
    }
}

/// An outcome as it is counted: all statuses outside 100 ..= 599 are [`Outcome::Other`].
fn as_counted(outcome: Outcome) -> Outcome {
    if let Outcome::Status(status) = outcome { Outcome::from(status) } else { outcome }
}

/// A duration in nanoseconds, at most `u64::MAX`.
#[inline(always)]
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
