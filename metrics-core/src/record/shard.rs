//! A shard: the memory that one recorder writes to.
//!
//! # Synchronization
//!
//! One thread writes a shard, the one whose recorder holds its lease (see `pool`); readers only load. The cells are
//! `cell`'s matter, consumers are `consumer`'s. `epoch` is stored by resets, one at a time, and orders nothing. The two
//! halves of a [`Gauge`] only grow; `ended` is stored with Release and loaded with Acquire, so a reader that sees something
//! ended sees it begun.

pub(crate) mod counters;
pub(crate) mod distinct;

use std::ops::Range;

use crossbeam_utils::CachePadded;

use crate::histogram::Layout;
use crate::labels::consumer::{ConsumerCells, Consumers};
use crate::labels::endpoint::{EndpointId, Endpoints};
use crate::record::cell::{Bytes, Cell, Header, Moment, Patience, Reading, Seen};
use crate::record::place::Place;
use crate::record::published::Published;
use crate::record::shard::counters::MetricCells;
use crate::sync::{AtomicU64, Ordering, add, end};

/// Counts of what is under way that were disturbed before the next one is taken as it is.
const ATTEMPTS: usize = if cfg!(metrics_loom) { 1 } else { 16 };

const FOREIGN: &str = "an EndpointId was used with a registry that did not make it";

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
    /// Requests under way at an endpoint, by row. Empty slots where nobody says at which endpoint requests are.
    at_endpoints: Box<[Published<CachePadded<Gauge>>]>,
    stride: usize,
    consumers: ConsumerCells,
    metrics: MetricCells,
    counters: CachePadded<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    in_flight: Gauge,
    open_streams: Gauge,
    thinned: AtomicU64,
    /// Cells that were made.
    cells: AtomicU64,
}

/// How many are under way: what began less what ended, each on the shard of the thread where it did.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Gauge {
    /// Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn begin(&self) {
        add(&self.begun, 1);
    }

    /// Ends one that began here or on another shard. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn end(&self) {
        // ORDERING: the Release in it pairs with the Acquire in `ended`. Seeing this one ended implies seeing it begun.
        end(&self.ended);
    }

    /// How many ended so far.
    pub(crate) fn ended(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `sync::end`.
        self.ended.load(Ordering::Acquire)
    }

    /// How many began so far.
    pub(crate) fn begun(&self) -> u64 {
        // ORDERING: Acquire, so that what is loaded after it is: see `under_way`. Pairs with nothing.
        self.begun.load(Ordering::Acquire)
    }

    /// How many are under way on all of these gauges, and the sum of all that began and all that ended so far.
    ///
    /// Exact for some moment of the call, if there is one in which none ended; else not more than there were at the one in
    /// which those begun were counted.
    pub(crate) fn under_way<'a, I>(gauges: impl Fn() -> I) -> (u64, u64)
    where
        I: Iterator<Item = &'a Self>,
    {
        let sum = |count: fn(&Self) -> u64| gauges().map(count).fold(0, u64::wrapping_add);
        let mut ended = sum(Self::ended);
        let mut under_way = (0, 0);
        for _ in 0..ATTEMPTS {
            let begun = sum(Self::begun);
            let ended_before = std::mem::replace(&mut ended, sum(Self::ended));
            under_way = (begun.saturating_sub(ended), begun.wrapping_add(ended));
            if ended_before == ended {
                break;
            }
        }
        under_way
    }
}

/// The cells of all endpoints, row by row, at a precision that is not the default one.
#[derive(Debug)]
enum Others {
    None,
    OneDigit(Box<[Published<Cell<16>>]>),
    ThreeDigits(Box<[Published<Cell<1024>>]>),
}

impl Shard {
    pub(crate) fn new(layout: Layout, endpoints: &Endpoints, consumers: &Consumers, epoch: u64) -> Self {
        let len = endpoints.cells();
        Self {
            key: endpoints.key(),
            epoch: AtomicU64::new(epoch),
            cells: Published::table(if layout == Layout::TWO_DIGITS { len } else { 0 }),
            others: match layout.digits() {
                1 => Others::OneDigit(Published::table(len)),
                2 => Others::None,
                _ => Others::ThreeDigits(Published::table(len)),
            },
            at_endpoints: Published::table(len / endpoints.stride()),
            stride: endpoints.stride(),
            consumers: ConsumerCells::new(consumers),
            metrics: MetricCells::new(),
            counters: CachePadded::default(),
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
        self.write(endpoint, place, Record { count: place.count as usize, nanos, epoch: self.epoch() });
    }

    /// Counts one request and the bytes of its bodies. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn record_with_bytes(&self, endpoint: EndpointId, place: Place, nanos: u64, bytes: Bytes) {
        self.write(
            endpoint,
            place,
            (Record { count: place.count as usize, nanos, epoch: self.epoch() }, bytes),
        );
    }

    /// Adds to the bytes of bodies. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn add_bytes(&self, endpoint: EndpointId, place: Place, bytes: Bytes) {
        self.write(endpoint, place, bytes);
    }

    /// Counts a response that did not reach its end. Called by the lease holder only.
    pub(crate) fn count_truncated(&self, endpoint: EndpointId, place: Place) {
        self.write(endpoint, place, Truncated);
    }

    #[inline(always)]
    fn write(&self, endpoint: EndpointId, place: Place, what: impl Write) {
        let at = self.at(endpoint, place);
        match usize::try_from(at).ok().and_then(|at| self.cells.get(at)).and_then(Published::get) {
            Some(cell) => what.write(cell),
            None => self.write_first(at, place, what),
        }
    }

    /// What is written first to a cell, everything at another precision than the default one, and everything with another
    /// registry's endpoint.
    #[cold]
    #[inline(never)]
    fn write_first(&self, at: u64, place: Place, what: impl Write) {
        let made = match &self.others {
            Others::None => write_in(&self.cells, at, place, what),
            Others::OneDigit(cells) => write_in(cells, at, place, what),
            Others::ThreeDigits(cells) => write_in(cells, at, place, what),
        };
        if made {
            // ORDERING: the Release in it pairs with the Acquire in `cells_made`.
            end(&self.counters.cells);
        }
    }

    /// How many cells were made so far. As long as it stays, a reader that has found all of them need not look for others.
    ///
    /// A reader that is told of a record sees its cell made.
    pub(crate) fn cells_made(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `sync::end`. The cells that are counted are found by who looks after
        // this, and so are the names of their endpoints.
        self.counters.cells.load(Ordering::Acquire)
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

    /// Requests under way.
    #[inline(always)]
    pub(crate) fn in_flight(&self) -> &Gauge {
        &self.counters.in_flight
    }

    /// Responses that stay open, such as server-sent events.
    pub(crate) fn open_streams(&self) -> &Gauge {
        &self.counters.open_streams
    }

    /// Requests under way at an endpoint. Called by the lease holder only.
    pub(crate) fn at_endpoint(&self, endpoint: EndpointId) -> &Gauge {
        let row = usize::try_from(endpoint.bits() ^ self.key).unwrap_or(usize::MAX) / self.stride;
        debug_assert!(row < self.at_endpoints.len(), "{FOREIGN}");
        // The first row is the overflow endpoint's.
        let slot = self.at_endpoints.get(row).unwrap_or(&self.at_endpoints[0]);
        slot.get().unwrap_or_else(|| slot.publish(Box::default()))
    }

    /// Requests under way at the endpoint of a row, if any ever were.
    pub(crate) fn at_row(&self, row: usize) -> Option<&Gauge> {
        self.at_endpoints.get(row)?.get().map(|gauge| &**gauge)
    }

    pub(crate) fn consumers(&self) -> &ConsumerCells {
        &self.consumers
    }

    /// The application's own metrics.
    pub(crate) fn metrics(&self) -> &MetricCells {
        &self.metrics
    }

    /// Counts an error that was not put into the error log. Called by the lease holder only.
    pub(crate) fn count_thinned(&self) {
        add(&self.counters.thinned, 1);
    }

    /// Errors that were not put into the error log so far.
    pub(crate) fn thinned(&self) -> u64 {
        // ORDERING: Relaxed; a figure by itself.
        self.counters.thinned.load(Ordering::Relaxed)
    }

    /// What it takes, in bytes, with its tables, of which the pages that are not in use are not resident.
    pub(crate) fn bytes(&self) -> usize {
        let cells =
            |cells: usize| (0..cells).filter_map(|at| self.cell(at)).map(ReadCell::bytes).sum::<usize>();
        let cells = cells(self.at_endpoints.len() * self.stride);
        let gauges = self.at_endpoints.iter().filter(|gauge| gauge.get().is_some()).count();
        let slots = self.at_endpoints.len() * (self.stride + 1);
        size_of::<Self>()
            + slots * size_of::<usize>()
            + cells
            + gauges * size_of::<CachePadded<Gauge>>()
            + self.consumers.heap_bytes()
            + self.metrics.heap_bytes()
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

/// What is done to a cell, whatever its precision.
trait Write {
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>);
}

/// One request.
struct Record {
    count: usize,
    nanos: u64,
    epoch: u64,
}

impl Write for Record {
    #[inline(always)]
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        cell.record(self.count, self.nanos, self.epoch);
    }
}

impl Write for Bytes {
    #[inline(always)]
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        cell.add_bytes(self);
    }
}

/// One after the other.
impl<A: Write, B: Write> Write for (A, B) {
    #[inline(always)]
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        self.0.write(cell);
        self.1.write(cell);
    }
}

/// A response that did not reach its end.
struct Truncated;

impl Write for Truncated {
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        cell.count_truncated();
    }
}

/// Gives whether it had to make the cell.
fn write_in<const BUCKETS_PER_OCTAVE: usize>(
    cells: &[Published<Cell<BUCKETS_PER_OCTAVE>>],
    at: u64,
    place: Place,
    what: impl Write,
) -> bool {
    let own = usize::try_from(at).ok().and_then(|at| cells.get(at));
    debug_assert!(own.is_some(), "{FOREIGN}");
    // The first row is the overflow endpoint's.
    let slot = own.unwrap_or(&cells[usize::from(place.cell)]);
    let found = slot.get();
    what.write(found.unwrap_or_else(|| slot.publish(Box::new(Cell::new()))));
    found.is_none()
}

/// What a reader does with a cell, whatever its precision.
pub(crate) trait ReadCell {
    /// See [`Cell::look`].
    fn look(&self, seen: Seen) -> u64;
    /// See [`Cell::add_at_once`].
    fn add_at_once(&self, header: &mut Header, sums: &mut [u64]) -> (Option<u64>, Range<usize>);
    /// See [`Cell::read_since`].
    fn read_since(&self, header: &mut Header, seen: Seen, bucket: &mut dyn FnMut(usize)) -> Option<Seen>;
    /// See [`Cell::read`].
    fn read(&self, reading: &mut Reading, patience: &mut Patience) -> Moment;
    /// See [`Cell::bytes`].
    fn bytes(&self) -> usize;
}

impl<const BUCKETS_PER_OCTAVE: usize> ReadCell for Cell<BUCKETS_PER_OCTAVE> {
    fn look(&self, seen: Seen) -> u64 {
        self.look(seen)
    }

    fn add_at_once(&self, header: &mut Header, sums: &mut [u64]) -> (Option<u64>, Range<usize>) {
        self.add_at_once(header, sums)
    }

    fn read_since(&self, header: &mut Header, seen: Seen, bucket: &mut dyn FnMut(usize)) -> Option<Seen> {
        self.read_since(header, seen, bucket)
    }

    fn read(&self, reading: &mut Reading, patience: &mut Patience) -> Moment {
        self.read(reading, patience)
    }

    fn bytes(&self) -> usize {
        self.bytes()
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
    /// Fails when the store in `sync::end` is Relaxed, when the load in `ended` is, and when `begun` is summed first (each
    /// tried).
    #[test]
    fn a_request_that_is_seen_ended_is_seen_begun() {
        model(|| {
            let gauges = Arc::new([Gauge::default(), Gauge::default()]);
            let first = thread::spawn({
                let gauges = Arc::clone(&gauges);
                move || {
                    gauges[0].begin();
                    thread::spawn(move || gauges[1].end())
                }
            });
            let ended: u64 = gauges.iter().map(Gauge::ended).sum();
            let begun: u64 = gauges.iter().map(Gauge::begun).sum();
            assert!(ended <= begun);
            first.join().unwrap().join().unwrap();
        });
    }
}
