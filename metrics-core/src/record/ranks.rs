//! Which requests of a recorder are among the slowest of a frame of ten seconds: of their endpoint, or of all.
//!
//! A cell has the least duration that may be among them, which a request compares with its own. So a request that is not
//! among the slowest costs that comparison, and one of the clock's reading with the end of the frame.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::events::slow::{FRAME, OF_ENDPOINT, OF_SERVICE, SlowEvent};
use crate::labels::endpoint::EndpointId;
use crate::record::clock::Clock;
use crate::record::slot::Slot;

/// Requests that wait for a reader at most. More are only there if each is slower than those before, so the fastest go.
const MAX_PENDING: usize = 1_024;

/// A recorder's part. Only its thread touches it.
#[derive(Debug)]
pub(crate) struct Ranks {
    /// Longer durations are of interest whatever their rank is.
    captured_from: Cell<u64>,
    frame: RefCell<Frame>,
}

#[derive(Debug, Default)]
struct Frame {
    number: u64,
    service: Slowest,
    /// By an endpoint's bits.
    endpoints: HashMap<u64, Slowest, foldhash::fast::RandomState>,
    /// The cells whose least duration is not 0.
    raised: Vec<(EndpointId, Slot)>,
}

/// The longest durations, in nanoseconds.
#[derive(Debug, Default)]
struct Slowest(BinaryHeap<Reverse<u64>>);

impl Slowest {
    /// The least duration that is among the `most` longest ones.
    fn least(&self, most: usize) -> u64 {
        if self.0.len() < most { 0 } else { self.0.peek().map_or(0, |&Reverse(least)| least + 1) }
    }

    fn add(&mut self, nanos: u64, most: usize) {
        if nanos >= self.least(most) {
            if self.0.len() == most {
                self.0.pop();
            }
            self.0.reserve_exact(most.saturating_sub(self.0.len()));
            // So that one more than it can be computed.
            self.0.push(Reverse(nanos.min(u64::MAX - 1)));
        }
    }
}

impl Ranks {
    pub(crate) fn new() -> Self {
        Self { captured_from: Cell::new(u64::MAX), frame: RefCell::default() }
    }

    pub(crate) fn set_captured_from(&self, nanos: u64) {
        self.captured_from.set(nanos);
    }

    /// Begins the next frame if this one has ended. Returns the reading of the clock with which it ends, or is to be
    /// looked at again. `lower` is called with each cell whose least duration is 0 again.
    #[cold]
    #[inline(never)]
    pub(crate) fn turn(
        &self,
        clock: &Clock,
        raw: u64,
        uptime: u64,
        lower: impl FnMut(EndpointId, Slot),
    ) -> u64 {
        let length = FRAME.as_nanos() as u64;
        let number = uptime / length;
        let mut frame = self.frame.borrow_mut();
        if number != frame.number {
            frame.clear(lower);
            frame.number = number;
        }
        // Rounded down, so it is never late. When it is early, it comes back here.
        let ticks = (u128::from(length - uptime % length) << 32) / u128::from(clock.nanos(0, 1 << 32).max(1));
        raw.saturating_add((ticks as u64).max(1))
    }

    /// Lowers all cells, for the next recorder.
    pub(crate) fn end(&self, lower: impl FnMut(EndpointId, Slot)) {
        self.frame.borrow_mut().clear(lower);
    }

    /// Whether a request is among the slowest of the frame so far.
    pub(crate) fn ranks(&self, endpoint: EndpointId, nanos: u64) -> bool {
        let frame = self.frame.borrow();
        let of_endpoint = frame.endpoints.get(&endpoint.bits());
        nanos >= frame.service.least(OF_SERVICE)
            || of_endpoint.is_none_or(|slowest| nanos >= slowest.least(OF_ENDPOINT))
    }

    /// Adds a request that [ranks](Ranks::ranks). Returns the number of the frame, and the least duration that is of
    /// interest from now on.
    pub(crate) fn add(&self, endpoint: EndpointId, slot: Slot, nanos: u64) -> (u64, u64) {
        let mut frame = self.frame.borrow_mut();
        frame.service.add(nanos, OF_SERVICE);
        let of_service = frame.service.least(OF_SERVICE);
        let of_endpoint = frame.endpoints.entry(endpoint.bits()).or_default();
        of_endpoint.add(nanos, OF_ENDPOINT);
        let least = of_endpoint.least(OF_ENDPOINT).min(of_service);
        if least > 0 && !frame.raised.contains(&(endpoint, slot)) {
            frame.raised.push((endpoint, slot));
        }
        (frame.number, least.min(self.captured_from.get()))
    }
}

impl Frame {
    fn clear(&mut self, mut lower: impl FnMut(EndpointId, Slot)) {
        self.service.0.clear();
        self.endpoints.values_mut().for_each(|slowest| slowest.0.clear());
        self.raised.drain(..).for_each(|(endpoint, slot)| lower(endpoint, slot));
    }
}

/// A shard's requests that no reader has taken yet.
///
/// # Synchronization
///
/// The shard's recorder locks it for the length of a push, and readers for as long as it takes to swap a vector.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    events: Vec<SlowEvent>,
    dropped: u64,
}

impl Pending {
    pub(crate) fn push(&self, event: SlowEvent) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.events.len() >= MAX_PENDING {
            // The slower half stays.
            waiting.events.sort_by_key(|event| Reverse(event.nanos));
            let kept = MAX_PENDING / 2;
            waiting.dropped += (waiting.events.len() - kept) as u64;
            waiting.events.truncate(kept);
        }
        waiting.events.push(event);
    }

    /// Takes what waits, and how many were dropped.
    pub(crate) fn take(&self) -> (Vec<SlowEvent>, u64) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { events, dropped } = std::mem::take(&mut *waiting);
        (events, dropped)
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::labels::endpoint::Endpoints;
    use crate::labels::outcome::{Granularity, Outcome};
    use crate::record::slot::Slots;

    #[test]
    fn each_frame_begins_with_cells_that_let_every_request_pass() {
        let endpoint = Endpoints::new(1, 8).intern("GET", "/");
        let slot = Slots::by(Granularity::Class).of(Outcome::Status(200));
        let (ranks, clock) = (Ranks::new(), Clock::new());
        let lowered = |uptime: u64, raw: u64| {
            let mut lowered = Vec::new();
            let until = ranks.turn(&clock, raw, uptime, |endpoint, _| lowered.push(endpoint));
            let (nanos, left) = (clock.nanos(raw, until), 10_000_000_000 - uptime % 10_000_000_000);
            // Never late, and early by little, since requests look again after that.
            assert!(until > raw && (left - left / 1_000..=left).contains(&nanos), "{nanos} of {left}");
            lowered
        };
        let second = 1_000_000_000;
        assert_eq!(lowered(second, 0), []);
        let added: Vec<_> = (1..=60).map(|nanos| ranks.add(endpoint, slot, nanos)).collect();
        // Of interest is what is among the ten slowest of the endpoint, or the fifty of all.
        assert_eq!((added[48], added[49], added[59]), ((0, 0), (0, 2), (0, 12)));
        assert!(ranks.ranks(endpoint, 12) && !ranks.ranks(endpoint, 11));
        // Still the same frame, so nothing is forgotten.
        assert_eq!(lowered(9 * second, 0), []);
        assert_eq!(lowered(10 * second, 0), [endpoint]);
        assert_eq!(ranks.add(endpoint, slot, 5), (1, 0));
    }

    #[test]
    fn what_waits_for_a_reader_is_bounded_and_the_slowest_stay() {
        let pending = Pending::default();
        let endpoint = Endpoints::new(1, 8).intern("GET", "/");
        for nanos in 0..10_000 {
            pending.push(SlowEvent {
                time: std::time::SystemTime::UNIX_EPOCH,
                frame: 0,
                endpoint,
                outcome: Outcome::Status(200),
                nanos,
                trace: None,
                details: Default::default(),
            });
        }
        let (events, dropped) = pending.take();
        assert!(events.len() <= MAX_PENDING);
        assert_eq!(events.len() as u64 + dropped, 10_000);
        assert!((9_500..10_000).all(|nanos| events.iter().any(|event| event.nanos == nanos)));
        assert_eq!(pending.take().1, 0);
    }
}
