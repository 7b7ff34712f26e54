//! A cell: one shard's figures for one endpoint and one class of statuses.
//!
//! # Synchronization
//!
//! One thread writes a cell, the one that holds the shard's lease; readers only load.
//!
//! | field | what a reader may conclude |
//! |---|---|
//! | `begun`, `counts` | they only grow. A count is the last thing that a record stores: `counts` add up to the records done |
//! | `sum`, `clamped` | they only grow; read while all that had begun was done, they are of one moment with the counts |
//! | `floor`, `span`, `epoch` | extremes of the epoch that `epoch` names; a stale tag is ignored |
//! | `blocks` | the buckets hold at least every record that is counted, since they are written first |
//!
//! This is a sequence lock whose version is split in two: the records begun, and the records done, which need no word of
//! their own. A record steps each half once, by a plain `add [mem]`. As long as `begun` stays, no header has changed.
//!
//! A writer that never pauses could keep a reader from ever finding the halves equal, and a thread that is preempted in
//! the middle of a record would leave them unequal. So a reader tries [`ATTEMPTS`] times and then takes what it reads: each
//! figure is then right for some moment of the read, but they may be some records apart. What falls out of one window
//! that way falls into the next, since every figure is cumulative.

use std::ops::Range;

use crate::layout::{Layout, MAX_NANOS, MAX_OCTAVES};
use crate::place::COUNTS;
use crate::published::Published;
use crate::sync::{AtomicU64, Ordering, add, fence, own};

/// Reads of a header that were disturbed before the next one is taken as it is.
const ATTEMPTS: usize = if cfg!(metrics_loom) { 1 } else { 64 };

/// The longest duration that sum and maximum keep exactly: 2^48 ns, about 3.3 days. A longer one is a broken clock,
/// and would overflow the sum.
pub(crate) const MAX_EXACT_NANOS: u64 = 1 << 48;

/// The step from one epoch to the next.
///
/// Epochs are this far apart so that one comparison tells whether a duration lies outside the extremes *or* the extremes
/// are of another epoch: `floor` is the minimum plus the epoch, hence `nanos + epoch - floor` is at most `span` only if
/// both are all right. No duration is above [`MAX_EXACT_NANOS`], half a step, so that neither sum runs into a neighbour.
/// The numbers come round after 2^15 resets: a cell that was left alone for just so many can then show old extremes, as
/// far as they fit its buckets.
pub(crate) const EPOCH_STEP: u64 = MAX_EXACT_NANOS << 1;

/// Tags a cell that was never written. No epoch, since it is no multiple of [`EPOCH_STEP`].
const NO_EPOCH: u64 = 1;

/// One octave of buckets, allocated when first touched. Aligned so that no two writers share a cache line.
#[repr(align(64))]
struct Block<const HALF: usize>([AtomicU64; HALF]);

/// A shard's figures for one endpoint and one class of statuses, with `HALF` buckets an octave.
///
/// What every record writes besides its count and its bucket is in the first cache line.
#[repr(C, align(64))]
pub(crate) struct Cell<const HALF: usize> {
    begun: AtomicU64,
    sum: AtomicU64,
    epoch: AtomicU64,
    /// The minimum plus the epoch.
    floor: AtomicU64,
    /// The maximum less the minimum.
    span: AtomicU64,
    clamped: AtomicU64,
    /// Octaves from the second one on.
    blocks: [Published<Block<HALF>>; MAX_OCTAVES - 1],
    first_block: Published<Block<HALF>>,
    counts: [AtomicU64; COUNTS],
}

impl<const HALF: usize> Cell<HALF> {
    const LAYOUT: Layout = Layout::with_octave_of(HALF);

    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            begun: zero(),
            sum: zero(),
            epoch: AtomicU64::new(NO_EPOCH),
            // One above what any duration and any epoch add up to, so that the first record is outside.
            floor: AtomicU64::new(u64::MAX),
            span: zero(),
            clamped: zero(),
            blocks: std::array::from_fn(|_| Published::empty()),
            first_block: Published::empty(),
            counts: std::array::from_fn(|_| zero()),
        }
    }

    /// Counts one record. Called by the shard's one writer.
    #[inline(always)]
    pub(crate) fn record(&self, count: u16, nanos: u64, epoch: u64) {
        if let Some((octave, place)) = Self::LAYOUT.split(nanos)
            && let Some(block) = self.blocks[octave].get()
        {
            add(&block.0[place], 1);
            self.record_header(count, nanos, epoch, 0);
        } else {
            self.record_outside(count, nanos, epoch);
        }
    }

    /// The record that needs a new block, or is below or above what [`Layout::split`] knows.
    #[cold]
    #[inline(never)]
    fn record_outside(&self, count: u16, nanos: u64, epoch: u64) {
        let clamped = nanos > MAX_NANOS;
        let index = Self::LAYOUT.index(nanos.min(MAX_NANOS));
        let slot = match Self::LAYOUT.octave(index) {
            0 => &self.first_block,
            octave => &self.blocks[octave - 1],
        };
        let block = slot
            .get()
            .unwrap_or_else(|| slot.publish(Box::new(Block(std::array::from_fn(|_| AtomicU64::new(0))))));
        add(&block.0[Self::LAYOUT.offset(index)], 1);
        self.record_header(count, nanos.min(MAX_EXACT_NANOS), epoch, u64::from(clamped));
    }

    #[inline(always)]
    fn record_header(&self, count: u16, nanos: u64, epoch: u64, clamped: u64) {
        add(&self.begun, 1);
        // ORDERING: Release fence; pairs with the second Acquire fence in `read_header`. A reader that sees one of the
        // stores below also sees this record begun.
        fence(Ordering::Release);
        add(&self.sum, nanos);
        if clamped != 0 {
            add(&self.clamped, clamped);
        }
        // ORDERING: Relaxed, here and in `stretch`; `begun` and `counts` order them for readers, and this thread wrote
        // them last.
        let floor = own(&self.floor);
        if nanos.wrapping_add(epoch).wrapping_sub(floor) > own(&self.span) {
            return self.stretch(count, nanos, epoch);
        }
        self.count(count);
    }

    /// Moves the extremes, or starts them anew in a new epoch, and ends the record.
    #[cold]
    #[inline(never)]
    fn stretch(&self, count: u16, nanos: u64, epoch: u64) {
        let (mut min, mut max) = (nanos, nanos);
        if own(&self.epoch) == epoch {
            let floor = own(&self.floor).wrapping_sub(epoch);
            min = min.min(floor);
            max = max.max(floor.wrapping_add(own(&self.span)));
        }
        self.epoch.store(epoch, Ordering::Relaxed);
        self.floor.store(min.wrapping_add(epoch), Ordering::Relaxed);
        self.span.store(max - min, Ordering::Relaxed);
        self.count(count);
    }

    /// Ends a record.
    #[inline(always)]
    fn count(&self, count: u16) {
        let count = &self.counts[usize::from(count) % COUNTS];
        // ORDERING: Release; pairs with the first Acquire fence in `read_header`. Seeing this record counted implies
        // seeing its bucket, and its part of the header.
        count.store(own(count).wrapping_add(1), Ordering::Release);
    }

    /// Records begun so far. As long as it stays, a header that was read whole still is what the cell holds.
    pub(crate) fn begun(&self) -> u64 {
        // ORDERING: Relaxed; it is only compared with what `read_header` returned.
        self.begun.load(Ordering::Relaxed)
    }

    /// Reads the header into `header`. Gives the number of records in it, or `None` if its figures are not of one moment.
    pub(crate) fn read_header(&self, header: &mut Header) -> Option<u64> {
        for _ in 0..ATTEMPTS {
            let mut done = 0_u64;
            for (copy, count) in header.counts.iter_mut().zip(&self.counts) {
                *copy = count.load(Ordering::Relaxed);
                done = done.wrapping_add(*copy);
            }
            // ORDERING: Acquire fence; pairs with the Release in `count`. What is loaded below, and the buckets that are
            // read next, hold at least the records counted above.
            fence(Ordering::Acquire);
            header.sum = self.sum.load(Ordering::Relaxed);
            header.clamped = self.clamped.load(Ordering::Relaxed);
            header.epoch = self.epoch.load(Ordering::Relaxed);
            header.min = self.floor.load(Ordering::Relaxed).wrapping_sub(header.epoch);
            header.max = header.min.wrapping_add(self.span.load(Ordering::Relaxed));
            // ORDERING: Acquire fence; pairs with the Release fence in `record_header`. If a load above saw a store of a
            // record that was not counted, the load below sees that record begun.
            fence(Ordering::Acquire);
            if self.begun.load(Ordering::Relaxed) == done {
                return Some(done);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// Adds the buckets to `buckets`, which has one place for each of the layout's. Gives the span of octaves that has
    /// any.
    pub(crate) fn add_buckets(&self, buckets: &mut [u64]) -> Range<usize> {
        let mut span = 0..0;
        let blocks = std::iter::once(&self.first_block).chain(&self.blocks);
        for (octave, (slot, sums)) in blocks.zip(buckets.chunks_exact_mut(HALF)).enumerate() {
            let Some(block) = slot.get() else { continue };
            for (sum, bucket) in sums.iter_mut().zip(&block.0) {
                // ORDERING: Relaxed; the header was read before, and the Acquire there implies the buckets of its
                // records.
                *sum = sum.wrapping_add(bucket.load(Ordering::Relaxed));
            }
            span = if span.is_empty() { octave..octave + 1 } else { span.start..octave + 1 };
        }
        span
    }
}

/// What [`Cell::read_header`] read.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) counts: [u64; COUNTS],
    pub(crate) sum: u64,
    pub(crate) clamped: u64,
    /// The epoch of the extremes.
    pub(crate) epoch: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Header {
    /// A header to read into.
    pub(crate) fn blank() -> Self {
        Self { counts: [0; COUNTS], sum: 0, clamped: 0, epoch: 0, min: 0, max: 0 }
    }
}

impl<const HALF: usize> std::fmt::Debug for Cell<HALF> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("begun", &self.begun).field("sum", &self.sum).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    fn read(cell: &Cell<128>) -> (Header, Vec<u64>) {
        let mut header = Header::blank();
        let mut buckets = vec![0; Layout::TWO_DIGITS.buckets()];
        assert_eq!(cell.read_header(&mut header), Some(header.counts.iter().sum()));
        cell.add_buckets(&mut buckets);
        (header, buckets)
    }

    #[test]
    fn a_record_shows_up_in_the_header_and_in_its_bucket() {
        let cell = Cell::new();
        cell.record(1, 1_000, 0);
        cell.record(2, 500, 0);
        let (header, buckets) = read(&cell);
        assert_eq!(header.counts[..4], [0, 1, 1, 0]);
        assert_eq!((header.sum, header.min, header.max), (1_500, 500, 1_000));
        assert_eq!(buckets[Layout::TWO_DIGITS.index(1_000)], 1);
        assert_eq!(buckets.iter().sum::<u64>(), 2);
    }

    #[test]
    fn a_new_epoch_starts_the_extremes_anew_and_leaves_the_rest() {
        let cell = Cell::new();
        cell.record(0, 10, 0);
        cell.record(0, 1_000, 0);
        cell.record(0, 100, EPOCH_STEP);
        let (header, _) = read(&cell);
        assert_eq!((header.epoch, header.min, header.max, header.sum), (EPOCH_STEP, 100, 100, 1_110));
    }

    #[test]
    fn extremes_are_right_in_every_epoch_and_for_every_duration() {
        let cell = Cell::new();
        let durations = [7, MAX_EXACT_NANOS, 0, 5_000, MAX_NANOS];
        for step in [0, 1, 2, 3, 1_000, (1 << 15) - 1] {
            let epoch = EPOCH_STEP.wrapping_mul(step);
            for (i, nanos) in durations.into_iter().enumerate() {
                cell.record(0, nanos, epoch);
                let (header, _) = read(&cell);
                let so_far = &durations[..=i];
                let expected = (epoch, so_far.iter().min().copied(), so_far.iter().max().copied());
                assert_eq!((header.epoch, Some(header.min), Some(header.max)), expected);
            }
        }
    }

    #[test]
    fn a_duration_over_the_maximum_lands_in_the_last_bucket_and_keeps_its_sum() {
        let cell = Cell::new();
        cell.record(0, MAX_NANOS, 0);
        cell.record(0, MAX_NANOS + 1, 0);
        cell.record(0, u64::MAX, 0);
        let (header, buckets) = read(&cell);
        assert_eq!(header.clamped, 2);
        assert_eq!(*buckets.last().unwrap(), 3);
        assert_eq!(header.sum, MAX_NANOS + MAX_NANOS + 1 + MAX_EXACT_NANOS);
        assert_eq!(header.max, MAX_EXACT_NANOS);
    }

    #[test]
    fn what_every_record_writes_is_in_the_first_cache_line() {
        assert!(std::mem::offset_of!(Cell<128>, blocks) <= 64);
        assert_eq!(std::mem::align_of::<Cell<128>>(), 64);
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use crate::sync::model;
    use loom::sync::Arc;
    use loom::thread;

    /// A header that is not torn is of one moment: the counts, the sum and the extremes of the same records.
    ///
    /// Fails when any of the three fences is removed, when the store in `count` is Relaxed, when `begun` is stepped
    /// just before the count, and when the extremes are stored after it (each tried by itself).
    #[test]
    fn a_header_that_is_not_torn_is_of_one_moment() {
        model(|| {
            let cell = Arc::new(Cell::<16>::new());
            let writer = thread::spawn({
                let cell = Arc::clone(&cell);
                move || {
                    cell.record_header(0, 1, 0, 0);
                    cell.record_header(1, 2, 0, 0);
                }
            });
            let mut header = Header::blank();
            if let Some(records) = cell.read_header(&mut header) {
                assert_eq!(header.counts[..2], [u64::from(records > 0), u64::from(records > 1)]);
                assert_eq!(header.sum, records * (records + 1) / 2);
                if records > 0 {
                    assert_eq!((header.epoch, header.min, header.max), (0, 1, records));
                }
            }
            writer.join().unwrap();
        });
    }

    /// The buckets that are read after a header hold at least the records that the header counts, torn or not.
    ///
    /// Fails when the bucket is added to after the header, in `record` or in `record_outside` (each tried). Of the
    /// orderings it needs one on either side: it fails when both fences in `read_header` are removed, and when the
    /// store in `count` is Relaxed and the fence in `record_header` removed (tried; any one of the four may go).
    #[test]
    fn the_buckets_hold_at_least_what_the_header_counts() {
        model(|| {
            let cell = Arc::new(Cell::<16>::new());
            cell.record(0, 16, 0);
            let writer = thread::spawn({
                let cell = Arc::clone(&cell);
                move || {
                    // Into a block that is there, and into one that is not.
                    cell.record(0, 16, 0);
                    cell.record(1, 3, 0);
                }
            });
            let mut header = Header::blank();
            cell.read_header(&mut header);
            let mut buckets = vec![0; Layout::ONE_DIGIT.buckets()];
            cell.add_buckets(&mut buckets);
            assert!(buckets[16] >= header.counts[0] && buckets[3] >= header.counts[1]);
            writer.join().unwrap();
        });
    }

    /// A reset, which is a reading and then a step of the epoch, against a writer: each record falls into exactly one
    /// window, none that saw the new epoch into the closing one, and extremes that are not torn are those of the
    /// records of the epoch that they are tagged with.
    ///
    /// Fails when the epoch steps before the reading, when `stretch` goes on from the extremes of another epoch, when
    /// the reset zeroes a count, and by each weakening that the header's model fails by (each tried by itself).
    ///
    /// Loom never lets a load see a store that comes later in its execution, so it cannot show a closing window with a
    /// record that saw the step after it. The same fences rule that out: a header that shows any part of a record
    /// synchronises with the record, which therefore loaded its epoch before the step.
    #[test]
    fn a_reset_puts_each_record_into_one_window() {
        const DURATIONS: [u64; 2] = [1, 2];
        model(|| {
            let shared = Arc::new((Cell::<16>::new(), AtomicU64::new(0)));
            shared.0.record_header(0, DURATIONS[0], 0, 0);
            let writer = thread::spawn({
                let shared = Arc::clone(&shared);
                move || {
                    let (cell, current) = &*shared;
                    let epoch = current.load(Ordering::Relaxed);
                    cell.record_header(0, DURATIONS[1], epoch, 0);
                    epoch
                }
            });
            let (cell, current) = &*shared;
            let read = || {
                let mut header = Header::blank();
                (cell.read_header(&mut header), header)
            };
            let closing = read();
            current.store(EPOCH_STEP, Ordering::Relaxed);
            let opened = read();
            let epochs = [0, writer.join().unwrap()];
            let tail = read();

            let count = |(_, header): &(_, Header)| header.counts[0];
            assert!(count(&closing) <= count(&opened) && closing.1.sum <= opened.1.sum);
            assert!(count(&opened) <= count(&tail) && opened.1.sum <= tail.1.sum);
            assert_eq!((tail.0, count(&tail), tail.1.sum), (Some(2), 2, 3));
            assert!(epochs.iter().take(count(&closing) as usize).all(|&epoch| epoch == 0));
            for (records, header) in [closing, opened, tail] {
                let Some(last) = records.unwrap_or(0).checked_sub(1) else { continue };
                let of_epoch =
                    (0..=last as usize).filter(|&i| epochs[i] == header.epoch).map(|i| DURATIONS[i]);
                assert_eq!(header.epoch, epochs[last as usize]);
                assert_eq!((Some(header.min), Some(header.max)), (of_epoch.clone().min(), of_epoch.max()));
            }
        });
    }
}
