//! A cell: one shard's figures for one endpoint and one group of statuses.
//!
//! # Synchronization
//!
//! One thread writes a cell, the one that holds the shard's lease; readers only load.
//!
//! | field | what a reader may conclude |
//! |---|---|
//! | `version` | odd: a record is under way. Even and equal before and after: the header in between is of one moment |
//! | `sum`, `counts`, `clamped` | they only grow; read under the version they are of one moment |
//! | `min`, `max`, `epoch` | extremes of the epoch that `epoch` names; a stale tag is ignored |
//! | `blocks` | the buckets hold at least every record that the header counts, since they are written first |
//!
//! The version counts records, too: as long as it is even and unchanged, nothing in the cell has changed.
//!
//! A writer that never pauses could keep a reader from ever seeing one version twice, and a thread that is preempted
//! in the middle of a record would leave it odd. So a reader tries [`ATTEMPTS`] times and then takes what it reads:
//! each figure is then right for some moment of the read, but they may be some records apart. What falls out of one
//! window that way falls into the next, since every figure is cumulative.

use std::ops::Range;

use crate::layout::{Layout, MAX_OCTAVES};
use crate::published::Published;
use crate::sync::{AtomicU64, Ordering, add, fence};

/// Reads of a header that were disturbed before the next one is taken as it is.
const ATTEMPTS: usize = if cfg!(metrics_loom) { 2 } else { 64 };

/// The longest duration that sum and maximum keep exactly: 2^48 ns, about 3.3 days. A longer one is a broken clock,
/// and would overflow the sum.
pub(crate) const MAX_EXACT_NANOS: u64 = 1 << 48;

/// A version that no header has: the cell was not read at one moment.
const TORN: u64 = 1;

/// One octave of buckets, allocated when first touched. Aligned so that no two writers share a cache line.
#[repr(align(64))]
struct Block<const HALF: usize>([AtomicU64; HALF]);

/// A shard's figures for one endpoint and one group of statuses, with `HALF` buckets an octave.
///
/// The fields that every record writes fill the first cache line.
#[repr(C, align(64))]
pub(crate) struct Cell<const HALF: usize> {
    version: AtomicU64,
    sum: AtomicU64,
    epoch: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    clamped: AtomicU64,
    counts: Box<[AtomicU64]>,
    blocks: [Published<Block<HALF>>; MAX_OCTAVES],
}

impl<const HALF: usize> Cell<HALF> {
    const LAYOUT: Layout = Layout::with_octave_of(HALF);

    /// An empty cell that counts `outcomes` outcomes.
    pub(crate) fn new(outcomes: usize) -> Self {
        Self {
            version: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            // No epoch has this number, so the first record starts its extremes.
            epoch: AtomicU64::new(u64::MAX),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            clamped: AtomicU64::new(0),
            counts: (0..outcomes).map(|_| AtomicU64::new(0)).collect(),
            blocks: std::array::from_fn(|_| Published::empty()),
        }
    }

    /// Counts one record. Called by the shard's one writer.
    #[inline(always)]
    pub(crate) fn record(&self, count: usize, nanos: u64, epoch: u64) {
        let index = Self::LAYOUT.index(nanos);
        let octave = Self::LAYOUT.octave(index);
        if octave < const { Self::LAYOUT.octaves() }
            && let Some(block) = self.blocks[octave].get()
        {
            add(&block.0[Self::LAYOUT.offset(index)], 1);
            self.record_header(count, nanos, epoch, 0);
        } else {
            self.record_outside(count, nanos, epoch);
        }
    }

    /// The record that needs a new block, or has no bucket of its own.
    #[cold]
    #[inline(never)]
    fn record_outside(&self, count: usize, nanos: u64, epoch: u64) {
        let clamped = nanos > crate::MAX_NANOS;
        let index = Self::LAYOUT.index(nanos.min(crate::MAX_NANOS));
        let slot = &self.blocks[Self::LAYOUT.octave(index)];
        let block = slot
            .get()
            .unwrap_or_else(|| slot.publish(Box::new(Block(std::array::from_fn(|_| AtomicU64::new(0))))));
        add(&block.0[Self::LAYOUT.offset(index)], 1);
        self.record_header(count, nanos.min(MAX_EXACT_NANOS), epoch, u64::from(clamped));
    }

    #[inline(always)]
    fn record_header(&self, count: usize, nanos: u64, epoch: u64, clamped: u64) {
        // ORDERING: Relaxed; this thread wrote it last.
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // ORDERING: Release fence; pairs with the Acquire fence in `read_header`. A reader that sees one of the
        // stores below also sees the odd version, and tries again.
        fence(Ordering::Release);
        if let Some(count) = self.counts.get(count) {
            add(count, 1);
        }
        add(&self.sum, nanos);
        if clamped != 0 {
            add(&self.clamped, clamped);
        }
        // ORDERING: Relaxed; the version orders them for readers, and this thread wrote them last.
        if self.epoch.load(Ordering::Relaxed) == epoch {
            if nanos < self.min.load(Ordering::Relaxed) {
                self.min.store(nanos, Ordering::Relaxed);
            }
            if nanos > self.max.load(Ordering::Relaxed) {
                self.max.store(nanos, Ordering::Relaxed);
            }
        } else {
            self.epoch.store(epoch, Ordering::Relaxed);
            self.min.store(nanos, Ordering::Relaxed);
            self.max.store(nanos, Ordering::Relaxed);
        }
        // ORDERING: Release; pairs with the Acquire in `read_header` and `version`. Seeing this version implies seeing
        // the bucket and the header stored above.
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The version, to tell whether anything changed: see [`at_rest`].
    pub(crate) fn version(&self) -> u64 {
        // ORDERING: Acquire; pairs with the last Release in `record_header`.
        self.version.load(Ordering::Acquire)
    }

    /// Reads the header into `header`, whose counts are cleared first.
    pub(crate) fn read_header(&self, header: &mut Header) {
        for _ in 0..ATTEMPTS {
            // ORDERING: Acquire; pairs with the last Release in `record_header`. What is loaded below is at least as
            // new as this version.
            let before = self.version.load(Ordering::Acquire);
            self.copy_header(header);
            // ORDERING: Acquire fence; pairs with the Release fence in `record_header`. If a load above saw a later
            // record's store, the load below sees at least its odd version.
            fence(Ordering::Acquire);
            let after = self.version.load(Ordering::Relaxed);
            if before == after && at_rest(before) {
                header.version = before;
                return;
            }
            std::hint::spin_loop();
        }
        self.copy_header(header);
        // ORDERING: Acquire fence; pairs with the Release fence in `record_header`, so that the buckets read next hold
        // at least what these counts hold, although they are not of one moment.
        fence(Ordering::Acquire);
        header.version = TORN;
    }

    fn copy_header(&self, header: &mut Header) {
        // ORDERING: Relaxed; the version around this call orders them.
        header.counts.clear();
        header.counts.extend(self.counts.iter().map(|count| count.load(Ordering::Relaxed)));
        header.sum = self.sum.load(Ordering::Relaxed);
        header.clamped = self.clamped.load(Ordering::Relaxed);
        header.epoch = self.epoch.load(Ordering::Relaxed);
        header.min = self.min.load(Ordering::Relaxed);
        header.max = self.max.load(Ordering::Relaxed);
    }

    /// Adds the buckets to `buckets`, which has one place for each of the layout's. Gives the span of octaves that has
    /// any.
    pub(crate) fn add_buckets(&self, buckets: &mut [u64]) -> Range<usize> {
        let mut span = 0..0;
        for (octave, (slot, sums)) in self.blocks.iter().zip(buckets.chunks_exact_mut(HALF)).enumerate() {
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

/// Whether a version is that of a cell at rest, of which an equal version later says that nothing changed.
pub(crate) fn at_rest(version: u64) -> bool {
    version.is_multiple_of(2)
}

/// What [`Cell::read_header`] read.
#[derive(Debug, Default, Clone)]
pub(crate) struct Header {
    /// [`TORN`], or the version that it was read under.
    pub(crate) version: u64,
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: u64,
    pub(crate) clamped: u64,
    pub(crate) epoch: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl<const HALF: usize> std::fmt::Debug for Cell<HALF> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("version", &self.version).field("sum", &self.sum).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::MAX_NANOS;

    fn read(cell: &Cell<128>) -> (Header, Vec<u64>) {
        let mut header = Header::default();
        let mut buckets = vec![0; Layout::TWO_DIGITS.buckets()];
        cell.read_header(&mut header);
        cell.add_buckets(&mut buckets);
        (header, buckets)
    }

    #[test]
    fn a_record_shows_up_in_the_header_and_in_its_bucket() {
        let cell = Cell::new(3);
        cell.record(1, 1_000, 0);
        cell.record(2, 500, 0);
        let (header, buckets) = read(&cell);
        assert_eq!(header.counts, [0, 1, 1]);
        assert_eq!((header.sum, header.min, header.max, header.version), (1_500, 500, 1_000, 4));
        assert_eq!(buckets[Layout::TWO_DIGITS.index(1_000)], 1);
        assert_eq!(buckets.iter().sum::<u64>(), 2);
    }

    #[test]
    fn a_new_epoch_starts_the_extremes_anew_and_leaves_the_rest() {
        let cell = Cell::new(1);
        cell.record(0, 10, 0);
        cell.record(0, 1_000, 0);
        cell.record(0, 100, 1);
        let (header, _) = read(&cell);
        assert_eq!((header.epoch, header.min, header.max, header.sum), (1, 100, 100, 1_110));
    }

    #[test]
    fn a_duration_over_the_maximum_lands_in_the_last_bucket_and_keeps_its_sum() {
        let cell = Cell::new(1);
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
    fn what_every_record_writes_fills_one_cache_line() {
        assert_eq!(std::mem::offset_of!(Cell<128>, blocks), 64);
        assert_eq!(std::mem::align_of::<Cell<128>>(), 64);
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// A header that is not torn is of one moment: the count, the sum and the extremes of the same records.
    ///
    /// Fails when either fence is removed, when the last store of the version is Relaxed, or when the first load in
    /// `read_header` is Relaxed (each tried by itself).
    #[test]
    fn a_header_under_one_version_is_of_one_moment() {
        loom::model(|| {
            let cell = Arc::new(Cell::<16>::new(1));
            let writer = thread::spawn({
                let cell = Arc::clone(&cell);
                move || {
                    cell.record_header(0, 1, 0, 0);
                    cell.record_header(0, 2, 0, 0);
                }
            });
            let mut header = Header::default();
            cell.read_header(&mut header);
            if header.version != TORN {
                let records = header.counts[0];
                assert_eq!(header.version, 2 * records);
                assert_eq!(header.sum, records * (records + 1) / 2);
                if records > 0 {
                    assert_eq!((header.min, header.max), (1, records));
                }
            }
            writer.join().unwrap();
        });
    }

    /// The buckets that are read after a header hold at least the records that the header counts, torn or not.
    ///
    /// Fails when the last store of the version is Relaxed (tried).
    #[test]
    fn the_buckets_hold_at_least_what_the_header_counts() {
        loom::model(|| {
            let cell = Arc::new(Cell::<16>::new(1));
            cell.record(0, 3, 0);
            let writer = thread::spawn({
                let cell = Arc::clone(&cell);
                move || cell.record(0, 3, 0)
            });
            let mut header = Header::default();
            cell.read_header(&mut header);
            let mut buckets = vec![0; Layout::ONE_DIGIT.buckets()];
            cell.add_buckets(&mut buckets);
            assert!(buckets[3] >= header.counts[0]);
            writer.join().unwrap();
        });
    }
}
