//! A shard: the memory that one recorder writes to.
//!
//! # Synchronization
//!
//! One thread writes a shard, the one whose recorder holds its lease (see `pool`); readers only load. The cells are
//! `cell`'s matter. `started` and `finished` only grow; `finished` is stored with Release and loaded with Acquire, so a
//! reader that loads all `finished` before all `started` never sees more requests finished than started.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::cell::{Cell, Header};
use crate::endpoint::{EndpointId, Endpoints};
use crate::epoch::Epoch;
use crate::layout::Layout;
use crate::place::{Place, Places};
use crate::published::Published;
use crate::sync::{AtomicU64, Ordering, add};

/// One writer's memory.
#[derive(Debug)]
pub(crate) struct Shard {
    key: u64,
    places: &'static Places,
    epoch: Arc<Epoch>,
    cells: Cells,
    counters: CachePadded<Counters>,
}

#[derive(Debug)]
struct Counters {
    started: AtomicU64,
    finished: AtomicU64,
    thinned: AtomicU64,
}

/// The cells of all endpoints, row by row; the buckets of an octave are part of the type.
#[derive(Debug)]
enum Cells {
    OneDigit(Box<[Published<Cell<16>>]>),
    TwoDigits(Box<[Published<Cell<128>>]>),
    ThreeDigits(Box<[Published<Cell<1024>>]>),
}

impl Shard {
    pub(crate) fn new(
        layout: Layout,
        places: &'static Places,
        endpoints: &Endpoints,
        epoch: Arc<Epoch>,
    ) -> Self {
        let len = endpoints.cells();
        let zero = || AtomicU64::new(0);
        Self {
            key: endpoints.key(),
            places,
            epoch,
            cells: match layout.digits() {
                1 => Cells::OneDigit(Published::table(len)),
                2 => Cells::TwoDigits(Published::table(len)),
                _ => Cells::ThreeDigits(Published::table(len)),
            },
            counters: CachePadded::new(Counters { started: zero(), finished: zero(), thinned: zero() }),
        }
    }

    pub(crate) fn places(&self) -> &'static Places {
        self.places
    }

    /// Counts one request. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn record(&self, endpoint: EndpointId, place: Place, nanos: u64) {
        match &self.cells {
            Cells::TwoDigits(cells) => self.record_in(cells, endpoint, place, nanos),
            _ => self.record_other_digits(endpoint, place, nanos),
        }
    }

    /// Kept out of line: two digits are what nearly everybody has.
    #[inline(never)]
    fn record_other_digits(&self, endpoint: EndpointId, place: Place, nanos: u64) {
        match &self.cells {
            Cells::OneDigit(cells) => self.record_in(cells, endpoint, place, nanos),
            Cells::TwoDigits(cells) => self.record_in(cells, endpoint, place, nanos),
            Cells::ThreeDigits(cells) => self.record_in(cells, endpoint, place, nanos),
        }
    }

    #[inline(always)]
    fn record_in<const HALF: usize>(
        &self,
        cells: &[Published<Cell<HALF>>],
        endpoint: EndpointId,
        place: Place,
        nanos: u64,
    ) {
        let at = (endpoint.bits() ^ self.key) | u64::from(place.group);
        let cell = usize::try_from(at).ok().and_then(|at| cells.get(at)).and_then(Published::get);
        match cell {
            Some(cell) => cell.record(usize::from(place.count), nanos, self.epoch.current()),
            None => self.record_first(cells, at, place, nanos),
        }
    }

    /// The first record of a cell, and every record with another registry's endpoint.
    #[cold]
    #[inline(never)]
    fn record_first<const HALF: usize>(
        &self,
        cells: &[Published<Cell<HALF>>],
        at: u64,
        place: Place,
        nanos: u64,
    ) {
        let own = usize::try_from(at).ok().and_then(|at| cells.get(at));
        debug_assert!(own.is_some(), "an EndpointId was used with a registry that did not make it");
        // The first row is the overflow endpoint's.
        let slot = own.unwrap_or(&cells[usize::from(place.group)]);
        let cell = slot.get().unwrap_or_else(|| {
            let outcomes = self.places.outcomes(usize::from(place.group)).count();
            slot.publish(Box::new(Cell::new(outcomes)))
        });
        cell.record(usize::from(place.count), nanos, self.epoch.current());
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
        finished.store(finished.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
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
        // ORDERING: Relaxed; whoever needs the pair loads `finished` first.
        self.counters.started.load(Ordering::Relaxed)
    }

    /// Errors that were not put into the error log so far.
    pub(crate) fn thinned(&self) -> u64 {
        // ORDERING: Relaxed; a figure by itself.
        self.counters.thinned.load(Ordering::Relaxed)
    }

    /// The cell at a place in the table, if it was ever written.
    pub(crate) fn cell(&self, at: usize) -> Option<&dyn ReadCell> {
        match &self.cells {
            Cells::OneDigit(cells) => cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
            Cells::TwoDigits(cells) => cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
            Cells::ThreeDigits(cells) => cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
        }
    }
}

/// What a reader does with a cell, whatever its precision.
pub(crate) trait ReadCell {
    /// See [`Cell::version`].
    fn version(&self) -> u64;
    /// See [`Cell::read_header`].
    fn read_header(&self, header: &mut Header);
    /// See [`Cell::add_buckets`].
    fn add_buckets(&self, buckets: &mut [u64]) -> Range<usize>;
}

impl<const HALF: usize> ReadCell for Cell<HALF> {
    fn version(&self) -> u64 {
        self.version()
    }

    fn read_header(&self, header: &mut Header) {
        self.read_header(header);
    }

    fn add_buckets(&self, buckets: &mut [u64]) -> Range<usize> {
        self.add_buckets(buckets)
    }
}
