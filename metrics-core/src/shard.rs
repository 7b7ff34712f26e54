//! A shard: the memory that one recorder writes to.
//!
//! # Synchronization
//!
//! One thread writes a shard, the one whose recorder holds its lease (see `pool`); readers only load. The cells are
//! `cell`'s matter. `epoch` is stored by resets, one at a time, and orders nothing. `started` and `finished` only grow;
//! `finished` is stored with Release and loaded with Acquire, so a reader that sees a request finished sees it started.

use crossbeam_utils::CachePadded;

use crate::cell::{Cell, Moment, Patience, Reading};
use crate::endpoint::{EndpointId, Endpoints};
use crate::layout::Layout;
use crate::place::Place;
use crate::published::Published;
use crate::sync::{AtomicU64, Ordering, add, own};

/// One writer's memory.
#[derive(Debug)]
pub(crate) struct Shard {
    key: u64,
    /// The current epoch: stored by a reset, read by every record.
    epoch: AtomicU64,
    /// The cells of all endpoints, row by row, at the default precision. Empty at another one, so that what nearly
    /// everybody has needs no look at the precision: the bounds check fails, and `others` is tried.
    cells: Box<[Published<Cell<128>>]>,
    others: Others,
    counters: CachePadded<Counters>,
}

#[derive(Debug)]
struct Counters {
    started: AtomicU64,
    finished: AtomicU64,
    thinned: AtomicU64,
}

/// The cells of all endpoints, row by row, at a precision that is not the default one.
#[derive(Debug)]
enum Others {
    None,
    OneDigit(Box<[Published<Cell<16>>]>),
    ThreeDigits(Box<[Published<Cell<1024>>]>),
}

impl Shard {
    pub(crate) fn new(layout: Layout, endpoints: &Endpoints, epoch: u64) -> Self {
        let len = endpoints.cells();
        let zero = || AtomicU64::new(0);
        Self {
            key: endpoints.key(),
            epoch: AtomicU64::new(epoch),
            cells: Published::table(if layout == Layout::TWO_DIGITS { len } else { 0 }),
            others: match layout.digits() {
                1 => Others::OneDigit(Published::table(len)),
                2 => Others::None,
                _ => Others::ThreeDigits(Published::table(len)),
            },
            counters: CachePadded::new(Counters { started: zero(), finished: zero(), thinned: zero() }),
        }
    }

    /// Begins an epoch.
    pub(crate) fn set_epoch(&self, epoch: u64) {
        // ORDERING: Relaxed; the number orders nothing. Which of the writer's next records see it is not promised.
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// Counts one request. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn record(&self, endpoint: EndpointId, place: Place, nanos: u64) {
        let at = self.at(endpoint, place);
        match usize::try_from(at).ok().and_then(|at| self.cells.get(at)).and_then(Published::get) {
            Some(cell) => cell.record(place.count, nanos, self.epoch()),
            None => self.record_first(at, place, nanos),
        }
    }

    /// The first record of a cell, every record at another precision than the default one, and every record with another
    /// registry's endpoint.
    #[cold]
    #[inline(never)]
    fn record_first(&self, at: u64, place: Place, nanos: u64) {
        match &self.others {
            Others::None => self.record_in(&self.cells, at, place, nanos),
            Others::OneDigit(cells) => self.record_in(cells, at, place, nanos),
            Others::ThreeDigits(cells) => self.record_in(cells, at, place, nanos),
        }
    }

    fn record_in<const HALF: usize>(
        &self,
        cells: &[Published<Cell<HALF>>],
        at: u64,
        place: Place,
        nanos: u64,
    ) {
        let own = usize::try_from(at).ok().and_then(|at| cells.get(at));
        debug_assert!(own.is_some(), "an EndpointId was used with a registry that did not make it");
        // The first row is the overflow endpoint's.
        let slot = own.unwrap_or(&cells[usize::from(place.cell)]);
        let cell = slot.get().unwrap_or_else(|| slot.publish(Box::new(Cell::new())));
        cell.record(place.count, nanos, self.epoch());
    }

    /// Where a count stands in the table; past its end for another registry's endpoint.
    #[inline(always)]
    fn at(&self, endpoint: EndpointId, place: Place) -> u64 {
        (endpoint.bits() ^ self.key) | u64::from(place.cell)
    }

    #[inline(always)]
    fn epoch(&self) -> u64 {
        // ORDERING: Relaxed; see `set_epoch`.
        self.epoch.load(Ordering::Relaxed)
    }

    /// Counts a request that began. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn count_started(&self) {
        add(&self.counters.started, 1);
    }

    /// Counts a request that ended, here or begun on another shard. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn count_finished(&self) {
        let finished = &self.counters.finished;
        // ORDERING: Release; pairs with the Acquire in `finished`. Seeing this request finished implies seeing it started.
        finished.store(own(finished).wrapping_add(1), Ordering::Release);
    }

    /// Counts an error that was not put into the error log. Called by the lease holder only.
    pub(crate) fn count_thinned(&self) {
        add(&self.counters.thinned, 1);
    }

    /// Requests that ended so far.
    pub(crate) fn finished(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `count_finished`.
        self.counters.finished.load(Ordering::Acquire)
    }

    /// Requests that began so far.
    pub(crate) fn started(&self) -> u64 {
        // ORDERING: Relaxed; what was finished orders it.
        self.counters.started.load(Ordering::Relaxed)
    }

    /// Errors that were not put into the error log so far.
    pub(crate) fn thinned(&self) -> u64 {
        // ORDERING: Relaxed; a figure by itself.
        self.counters.thinned.load(Ordering::Relaxed)
    }

    /// The cell at a place in the table, if it was ever written.
    pub(crate) fn cell(&self, at: usize) -> Option<&dyn ReadCell> {
        match &self.others {
            Others::None => self.cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
            Others::OneDigit(cells) => cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
            Others::ThreeDigits(cells) => cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
        }
    }
}

/// What a reader does with a cell, whatever its precision.
pub(crate) trait ReadCell {
    /// See [`Cell::begun`].
    fn begun(&self) -> u64;
    /// See [`Cell::read`].
    fn read(&self, reading: &mut Reading, patience: &mut Patience) -> Moment;
}

impl<const HALF: usize> ReadCell for Cell<HALF> {
    fn begun(&self) -> u64 {
        self.begun()
    }

    fn read(&self, reading: &mut Reading, patience: &mut Patience) -> Moment {
        self.read(reading, patience)
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use crate::sync::model;
    use loom::sync::Arc;
    use loom::thread;

    /// A request that begins on one shard and ends on another, in another thread, is never seen ended but not begun.
    ///
    /// Fails when the store in `count_finished` is Relaxed, when the load in `finished` is, when `started` is loaded
    /// first, and when both are loaded shard by shard (each tried).
    #[test]
    fn a_request_that_is_seen_finished_is_seen_started() {
        model(|| {
            let endpoints = Endpoints::new(0, 1);
            let new = || Shard::new(Layout::ONE_DIGIT, &endpoints, 0);
            let shards = Arc::new([new(), new()]);
            let first = thread::spawn({
                let shards = Arc::clone(&shards);
                move || {
                    shards[0].count_started();
                    thread::spawn(move || shards[1].count_finished())
                }
            });
            let finished: u64 = shards.iter().map(Shard::finished).sum();
            let started: u64 = shards.iter().map(Shard::started).sum();
            assert!(finished <= started);
            first.join().unwrap().join().unwrap();
        });
    }
}
