//! A shard: the memory that one recorder writes to.
//!
//! # Synchronization
//!
//! One thread writes a shard: the one whose recorder holds its lease (see `pool`). Readers only load. Resets store
//! `epoch`, one at a time; it orders nothing. `cell` and the files in this folder describe the other fields.

pub(crate) mod consumers;
pub(crate) mod counters;
pub(crate) mod distinct;
pub(crate) mod in_flight;
pub(crate) mod streaks;

use std::ops::Range;

use crossbeam_utils::CachePadded;

use crate::bytes::Bytes;
use crate::events::error_priority::ErrorPriority;
use crate::histogram::Layout;
use crate::labels::consumer::Consumers;
use crate::labels::endpoint::{EndpointId, Endpoints};
use crate::labels::method::LANES;
use crate::record::cell::Cell;
use crate::record::cell::reading::{Consistency, Header, ReadMark, Reading};
use crate::record::cell::wait_budget::WaitBudget;
use crate::record::published::Published;
use crate::record::ranks::Pending;
use crate::record::shard::consumers::ConsumerCells;
use crate::record::shard::counters::MetricCells;
use crate::record::shard::in_flight::InFlight;
use crate::record::shard::streaks::Streaks;
use crate::record::slot::Slot;
use crate::sync::{AtomicU64, Ordering, add, end};

const FOREIGN: &str = "an EndpointId was used with a registry that did not make it";

/// One writer's memory.
#[derive(Debug)]
pub(crate) struct Shard {
    key: u64,
    /// The current epoch: stored by a reset, read by every record.
    epoch: AtomicU64,
    /// The cells of all endpoints, row by row, at the default precision. Empty at another precision, so that the
    /// default needs no branch on it: the bounds check fails, and `others` is tried.
    cells: Box<[Published<Cell<128>>]>,
    others: Others,
    /// Requests in flight by endpoint, in the order of the rows. Empty unless [`Recorder::enter`] is called.
    ///
    /// [`Recorder::enter`]: crate::record::recorder::Recorder::enter
    at_endpoints: Box<[Published<CachePadded<InFlight>>]>,
    stride: usize,
    consumers: ConsumerCells,
    metrics: MetricCells,
    counters: CachePadded<Counters>,
    streaks: Streaks,
    slow: Pending,
    /// Its position among all shards.
    number: u32,
}

#[derive(Debug, Default)]
struct Counters {
    /// By method.
    in_flight: [InFlight; LANES],
    open_streams: InFlight,
    /// By the priority of the error.
    thinned: [AtomicU64; 4],
    /// The number of cells that were created.
    cells: AtomicU64,
}

/// The cells of all endpoints, row by row, at another precision than the default one.
#[derive(Debug)]
enum Others {
    None,
    OneDigit(Box<[Published<Cell<16>>]>),
    ThreeDigits(Box<[Published<Cell<1024>>]>),
}

impl Shard {
    pub(crate) fn new(
        number: u32,
        layout: Layout,
        endpoints: &Endpoints,
        consumers: &Consumers,
        epoch: u64,
    ) -> Self {
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
            streaks: Streaks::default(),
            slow: Pending::default(),
            number,
        }
    }

    /// Begins an epoch.
    pub(crate) fn set_epoch(&self, epoch: u64) {
        // ORDERING: Relaxed; the number orders nothing. It is not promised which of the writer's next records see it.
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// Counts one request. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn record(&self, endpoint: EndpointId, slot: Slot, nanos: u64) {
        self.write(endpoint, slot, Record { count: slot.count as usize, nanos, epoch: self.epoch() });
    }

    /// Counts one request and the bytes of its bodies. Returns the least duration that is of interest by itself. Called by
    /// the lease holder only.
    #[inline(always)]
    pub(crate) fn record_with_bytes(
        &self,
        endpoint: EndpointId,
        slot: Slot,
        nanos: u64,
        bytes: Bytes,
    ) -> u64 {
        let record = Record { count: slot.count as usize, nanos, epoch: self.epoch() };
        self.write(endpoint, slot, Request(record, bytes))
    }

    /// Sets the least duration that is of interest by itself. Called by the lease holder only.
    pub(crate) fn set_slow_from(&self, endpoint: EndpointId, slot: Slot, nanos: u64) {
        self.write(endpoint, slot, SetSlowFrom(nanos));
    }

    /// Requests that are among the slowest, until a reader takes them.
    pub(crate) fn slow(&self) -> &Pending {
        &self.slow
    }

    /// Adds to the bytes of bodies. Called by the lease holder only.
    #[inline(always)]
    pub(crate) fn add_bytes(&self, endpoint: EndpointId, slot: Slot, bytes: Bytes) {
        self.write(endpoint, slot, bytes);
    }

    /// Counts a truncated response. Called by the lease holder only.
    pub(crate) fn count_truncated(&self, endpoint: EndpointId, slot: Slot) {
        self.write(endpoint, slot, Truncated);
    }

    #[inline(always)]
    fn write<W: Write>(&self, endpoint: EndpointId, slot: Slot, what: W) -> W::Output {
        let at = self.at(endpoint, slot);
        match usize::try_from(at).ok().and_then(|at| self.cells.get(at)).and_then(Published::get) {
            Some(cell) => what.write(cell),
            None => self.write_first(at, slot, what),
        }
    }

    /// The first write to a cell, every write at another precision than the default one, and every write with another
    /// registry's endpoint.
    #[cold]
    #[inline(never)]
    fn write_first<W: Write>(&self, at: u64, slot: Slot, what: W) -> W::Output {
        let (made, output) = match &self.others {
            Others::None => write_in(&self.cells, at, slot, what),
            Others::OneDigit(cells) => write_in(cells, at, slot, what),
            Others::ThreeDigits(cells) => write_in(cells, at, slot, what),
        };
        if made {
            // ORDERING: the Release in it pairs with the Acquire in `cells_made`.
            end(&self.counters.cells);
        }
        output
    }

    /// The number of cells that were created so far. While it stays the same, a reader that has found all cells need
    /// not look for new ones.
    ///
    /// A reader that was synchronised with a record sees its cell counted.
    pub(crate) fn cells_made(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `sync::end`. A reader that looks after this load finds all
        // counted cells, and the names of their endpoints.
        self.counters.cells.load(Ordering::Acquire)
    }

    /// The index of a cell in the table; past the end for another registry's endpoint.
    #[inline(always)]
    fn at(&self, endpoint: EndpointId, slot: Slot) -> u64 {
        (endpoint.bits() ^ self.key) | u64::from(slot.cell)
    }

    #[inline(always)]
    fn epoch(&self) -> u64 {
        // ORDERING: Relaxed; see `set_epoch`.
        self.epoch.load(Ordering::Relaxed)
    }

    /// Requests in flight with a method, by its number below [`LANES`].
    #[inline(always)]
    pub(crate) fn in_flight_of(&self, method: usize) -> &InFlight {
        // The number is in range; so the compiler needs no check for it.
        &self.counters.in_flight[method % LANES]
    }

    /// The number of a method, for the end of a request that begins now: as an [`EndpointId`], combined with the
    /// registry's key.
    #[inline(always)]
    pub(crate) fn lane(&self, method: usize) -> u64 {
        self.key | (method % LANES) as u64
    }

    /// Requests in flight with a method, by its [lane](Shard::lane). `None` for another registry's.
    #[inline(always)]
    pub(crate) fn in_flight_in(&self, lane: u64) -> Option<&InFlight> {
        self.counters.in_flight.get(usize::try_from(lane ^ self.key).ok()?)
    }

    /// Requests in flight, by the number of their method.
    pub(crate) fn in_flight(&self) -> &[InFlight; LANES] {
        &self.counters.in_flight
    }

    /// Responses that stay open, such as server-sent events.
    pub(crate) fn open_streams(&self) -> &InFlight {
        &self.counters.open_streams
    }

    /// Requests in flight at an endpoint. Called by the lease holder only.
    pub(crate) fn at_endpoint(&self, endpoint: EndpointId) -> &InFlight {
        let row = usize::try_from(endpoint.bits() ^ self.key).unwrap_or(usize::MAX) / self.stride;
        debug_assert!(row < self.at_endpoints.len(), "{FOREIGN}");
        // The first row is the overflow endpoint's.
        let slot = self.at_endpoints.get(row).unwrap_or(&self.at_endpoints[0]);
        slot.get().unwrap_or_else(|| slot.publish(Box::default()))
    }

    /// Requests in flight at the endpoint of a row, if [`Shard::at_endpoint`] was ever called for it.
    pub(crate) fn at_row(&self, row: usize) -> Option<&InFlight> {
        self.at_endpoints.get(row)?.get().map(|gauge| &**gauge)
    }

    /// Its position among all shards of the registry.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Errors in a row.
    pub(crate) fn streaks(&self) -> &Streaks {
        &self.streaks
    }

    pub(crate) fn consumers(&self) -> &ConsumerCells {
        &self.consumers
    }

    /// The application's own metrics.
    pub(crate) fn metrics(&self) -> &MetricCells {
        &self.metrics
    }

    /// Counts an error that was not logged. Called by the lease holder only.
    pub(crate) fn count_thinned(&self, priority: ErrorPriority) {
        add(&self.counters.thinned[priority as usize], 1);
    }

    /// Errors of each priority that were not logged so far.
    pub(crate) fn thinned(&self) -> [u64; 4] {
        // ORDERING: Relaxed; the counts order nothing else.
        self.counters.thinned.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// The memory of the shard in bytes, including its tables, whose unused pages are not resident.
    pub(crate) fn bytes(&self) -> usize {
        let cells =
            |cells: usize| (0..cells).filter_map(|at| self.cell(at)).map(ReadCell::bytes).sum::<usize>();
        let cells = cells(self.at_endpoints.len() * self.stride);
        let gauges = self.at_endpoints.iter().filter(|gauge| gauge.get().is_some()).count();
        let slots = self.at_endpoints.len() * (self.stride + 1);
        size_of::<Self>()
            + slots * size_of::<usize>()
            + cells
            + gauges * size_of::<CachePadded<InFlight>>()
            + self.consumers.heap_bytes()
            + self.metrics.heap_bytes()
    }

    /// The cell at an index of the table, if it was ever written.
    pub(crate) fn cell(&self, at: usize) -> Option<&dyn ReadCell> {
        match &self.others {
            Others::None => self.cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
            Others::OneDigit(cells) => cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
            Others::ThreeDigits(cells) => cells.get(at)?.get().map(|cell| cell as &dyn ReadCell),
        }
    }
}

/// A write to a cell of any precision.
trait Write {
    /// What the writer learns.
    type Output;
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) -> Self::Output;
}

/// One request.
struct Record {
    count: usize,
    nanos: u64,
    epoch: u64,
}

impl Write for Record {
    type Output = ();

    #[inline(always)]
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        cell.record(self.count, self.nanos, self.epoch);
    }
}

impl Write for Bytes {
    type Output = ();

    #[inline(always)]
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        cell.add_bytes(self);
    }
}

/// One request, and the bytes of its bodies. Returns the least duration that is of interest by itself.
struct Request(Record, Bytes);

impl Write for Request {
    type Output = u64;

    #[inline(always)]
    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) -> u64 {
        self.0.write(cell);
        self.1.write(cell);
        cell.slow_from()
    }
}

/// Sets the least duration that is of interest by itself, in nanoseconds.
struct SetSlowFrom(u64);

impl Write for SetSlowFrom {
    type Output = ();

    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        cell.set_slow_from(self.0);
    }
}

/// A truncated response.
struct Truncated;

impl Write for Truncated {
    type Output = ();

    fn write<const BUCKETS_PER_OCTAVE: usize>(self, cell: &Cell<BUCKETS_PER_OCTAVE>) {
        cell.count_truncated();
    }
}

/// Writes to a cell, which it creates if need be. Returns whether it did, and what the writer learns.
fn write_in<const BUCKETS_PER_OCTAVE: usize, W: Write>(
    cells: &[Published<Cell<BUCKETS_PER_OCTAVE>>],
    at: u64,
    slot: Slot,
    what: W,
) -> (bool, W::Output) {
    let own = usize::try_from(at).ok().and_then(|at| cells.get(at));
    debug_assert!(own.is_some(), "{FOREIGN}");
    // The first row is the overflow endpoint's.
    let slot = own.unwrap_or(&cells[usize::from(slot.cell)]);
    let found = slot.get();
    let output = what.write(found.unwrap_or_else(|| slot.publish(Box::new(Cell::new()))));
    (found.is_none(), output)
}

/// The reads of a cell of any precision.
pub(crate) trait ReadCell {
    /// See [`Cell::look`].
    fn look(&self, seen: ReadMark) -> u64;
    /// See [`Cell::add_at_once`].
    fn add_at_once(&self, header: &mut Header, sums: &mut [u64]) -> (Option<u64>, Range<usize>);
    /// See [`Cell::read_since`].
    fn read_since(
        &self,
        header: &mut Header,
        seen: ReadMark,
        bucket: &mut dyn FnMut(usize),
    ) -> Option<ReadMark>;
    /// See [`Cell::read`].
    fn read(&self, reading: &mut Reading, wait_budget: &mut WaitBudget) -> Consistency;
    /// See [`Cell::bytes`].
    fn bytes(&self) -> usize;
}

impl<const BUCKETS_PER_OCTAVE: usize> ReadCell for Cell<BUCKETS_PER_OCTAVE> {
    fn look(&self, seen: ReadMark) -> u64 {
        self.look(seen)
    }

    fn add_at_once(&self, header: &mut Header, sums: &mut [u64]) -> (Option<u64>, Range<usize>) {
        self.add_at_once(header, sums)
    }

    fn read_since(
        &self,
        header: &mut Header,
        seen: ReadMark,
        bucket: &mut dyn FnMut(usize),
    ) -> Option<ReadMark> {
        self.read_since(header, seen, bucket)
    }

    fn read(&self, reading: &mut Reading, wait_budget: &mut WaitBudget) -> Consistency {
        self.read(reading, wait_budget)
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}
