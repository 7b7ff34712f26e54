//! A cell: one shard's figures for one endpoint and one class of statuses.
//!
//! # Synchronization
//!
//! One thread writes a cell: the one that holds the shard's lease. Readers only load.
//!
//! | field | what a reader may conclude |
//! |---|---|
//! | `begun`, `counts` | they only grow. A record stores its count last: `counts` add up to the records done |
//! | `sum`, `clamped` | they only grow. If all begun records were done, they are of one moment with the counts |
//! | `recent` | read as `sum` is: the durations of the latest records in `counts`; words are overwritten |
//! | `request_bytes`, `response_bytes`, `truncated` | they only grow, each by itself: a body can end after its head |
//! | `touched` | the writes to these three; incremented after each, so a reader that loads it first sees them |
//! | `floor`, `span`, `epoch` | extremes of the epoch in `epoch`; a reader ignores those of an earlier epoch |
//! | `blocks`, `rare` | they only grow. They are written first, so they hold at least every record that is counted |
//!
//! This is a sequence lock whose version is split in two: the records begun, and the records done, which need no word
//! of their own. A record increments each half once, by a plain `add [mem]`. A reader that finds as many records begun
//! as done, before and after, has read one moment. While `begun` stays the same, no record has changed anything.
//!
//! If a writer never pauses, a reader may never find the halves equal; if a thread is preempted in the middle of a
//! record, they stay unequal. So a reader tries several times, waits a few milliseconds for a thread that is stopped in
//! a record, and then accepts less: see [`Consistency`](reading::Consistency). What one window misses that way falls
//! into the next one, since every figure is cumulative.

mod buckets;
#[cfg(all(test, metrics_loom))]
mod model;
pub(crate) mod reading;
pub(crate) mod wait_budget;

use crate::bytes::Bytes;
use crate::histogram::{Layout, MAX_NANOS, MAX_OCTAVES};
use crate::record::published::Published;
use crate::record::slot::COUNTS;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, Ordering, add, add_saturating, begin, end, own};

/// Records that a cell keeps one by one before it allocates a block.
///
/// Rare durations, such as those of errors and outliers, thus do not take a kilobyte. As many as fit in the 704 bytes
/// of a cell.
const RARE: usize = if cfg!(metrics_loom) { 1 } else { 16 };

/// The latest durations, which a cell keeps besides its buckets. A power of two.
///
/// A reader that returns before more were recorded reads no buckets. As many as fit in a cache line.
pub(crate) const RECENT: usize = if cfg!(metrics_loom) { 1 } else { 16 };

/// The longest duration in sum and maximum: 2^48 ns, about 3.3 days. A longer one comes from a broken clock, and would
/// overflow the sum.
pub(crate) const MAX_EXACT_NANOS: u64 = 1 << 48;

/// The step from one epoch to the next.
///
/// Epochs are this far apart so that one comparison detects both a duration outside the extremes and extremes of
/// another epoch: `floor` is the minimum plus the epoch, so `nanos + epoch - floor` is at most `span` only if neither
/// is the case. No duration is above [`MAX_EXACT_NANOS`], half a step, so that neither sum reaches the next epoch. The
/// numbers wrap after 2^15 resets: a cell that was not written for exactly that many can then show old extremes, as far
/// as they fit its buckets.
pub(crate) const EPOCH_STEP: u64 = MAX_EXACT_NANOS << 1;

/// The epoch of a cell that was never written. Not a multiple of [`EPOCH_STEP`], so no registry's epoch equals it.
const NO_EPOCH: u64 = 1;

/// One octave of buckets, allocated when first used. Aligned so that no two writers share a cache line.
#[repr(align(64))]
struct Block<const BUCKETS_PER_OCTAVE: usize>([AtomicU64; BUCKETS_PER_OCTAVE]);

/// A shard's figures for one endpoint and one class of statuses, with `BUCKETS_PER_OCTAVE` buckets per octave.
///
/// The first two cache lines hold what every record writes besides its count and its bucket. The first seven hold what
/// a reader needs of a cell that changed by little.
#[repr(C, align(64))]
pub(crate) struct Cell<const BUCKETS_PER_OCTAVE: usize> {
    begun: AtomicU64,
    sum: AtomicU64,
    /// The least duration that is of interest by itself, such as for the list of the slowest requests. No figure: only
    /// the writer reads it.
    slow_from: AtomicU64,
    /// The minimum plus the epoch.
    floor: AtomicU64,
    /// The maximum minus the minimum.
    span: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    touched: AtomicU64,
    /// The low halves of the latest durations, in nanoseconds: that of the n-th record is at n modulo [`RECENT`].
    recent: [AtomicU32; RECENT],
    counts: [AtomicU64; COUNTS],
    clamped: AtomicU64,
    truncated: AtomicU64,
    epoch: AtomicU64,
    /// The octaves from the second one on.
    blocks: [Published<Block<BUCKETS_PER_OCTAVE>>; MAX_OCTAVES - 1],
    first_block: Published<Block<BUCKETS_PER_OCTAVE>>,
    /// Records without a block: bucket index plus 1, in the order of arrival; 0 if unused.
    rare: [AtomicU16; RARE],
}

impl<const BUCKETS_PER_OCTAVE: usize> Cell<BUCKETS_PER_OCTAVE> {
    const LAYOUT: Layout = Layout::with_octave_of(BUCKETS_PER_OCTAVE);

    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            begun: zero(),
            sum: zero(),
            slow_from: zero(),
            epoch: AtomicU64::new(NO_EPOCH),
            // Above the sum of any duration and any epoch, so that the first record is outside.
            floor: AtomicU64::new(u64::MAX),
            span: zero(),
            request_bytes: zero(),
            response_bytes: zero(),
            touched: zero(),
            recent: std::array::from_fn(|_| AtomicU32::new(0)),
            clamped: zero(),
            truncated: zero(),
            blocks: std::array::from_fn(|_| Published::empty()),
            first_block: Published::empty(),
            counts: std::array::from_fn(|_| zero()),
            rare: std::array::from_fn(|_| AtomicU16::new(0)),
        }
    }

    /// Counts one record. Called by the shard's one writer.
    #[inline(always)]
    pub(crate) fn record(&self, count: usize, nanos: u64, epoch: u64) {
        if let Some((octave, place)) = Self::LAYOUT.split(nanos)
            && let Some(block) = self.blocks[octave].get()
        {
            begin(&self.begun);
            add(&block.0[place], 1);
            self.record_header(count, nanos, epoch);
        } else {
            self.record_outside(count, nanos, epoch);
        }
    }

    /// Adds to the bytes of bodies. Called by the shard's one writer.
    #[inline(always)]
    pub(crate) fn add_bytes(&self, bytes: Bytes) {
        add_saturating(&self.request_bytes, bytes.request);
        add_saturating(&self.response_bytes, bytes.response);
        end(&self.touched);
    }

    /// The least duration that is of interest by itself. Called by the shard's one writer.
    #[inline(always)]
    pub(crate) fn slow_from(&self) -> u64 {
        own(&self.slow_from)
    }

    /// Sets the least duration that is of interest by itself. Called by the shard's one writer.
    pub(crate) fn set_slow_from(&self, nanos: u64) {
        // ORDERING: Relaxed; no other thread reads it.
        self.slow_from.store(nanos, Ordering::Relaxed);
    }

    /// Counts a truncated response. Called by the shard's one writer.
    pub(crate) fn count_truncated(&self) {
        add(&self.truncated, 1);
        end(&self.touched);
    }

    /// The memory of the cell and its blocks, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let blocks = std::iter::once(&self.first_block).chain(&self.blocks);
        size_of::<Self>()
            + blocks.filter(|block| block.get().is_some()).count() * size_of::<Block<BUCKETS_PER_OCTAVE>>()
    }

    /// Counts a record that has no block yet, or a duration outside the range of [`Layout::split`].
    #[cold]
    #[inline(never)]
    fn record_outside(&self, count: usize, nanos: u64, epoch: u64) {
        begin(&self.begun);
        self.add_to_bucket(Self::LAYOUT.index(nanos.min(MAX_NANOS)));
        if nanos > MAX_NANOS {
            add(&self.clamped, 1);
        }
        self.record_header(count, nanos.min(MAX_EXACT_NANOS), epoch);
    }

    fn add_to_bucket(&self, index: usize) {
        let slot = match Self::LAYOUT.octave(index) {
            0 => &self.first_block,
            octave => &self.blocks[octave - 1],
        };
        // ORDERING: Relaxed; this thread wrote them, and `begun` and `counts` order them for readers.
        let free = || self.rare.iter().find(|rare| rare.load(Ordering::Relaxed) == 0);
        let block = match slot.get() {
            Some(block) => block,
            None => match free() {
                Some(rare) => return rare.store(index as u16 + 1, Ordering::Relaxed),
                None => slot.publish(Box::new(Block(std::array::from_fn(|_| AtomicU64::new(0))))),
            },
        };
        add(&block.0[Self::LAYOUT.offset(index)], 1);
    }

    #[inline(always)]
    fn record_header(&self, count: usize, nanos: u64, epoch: u64) {
        add(&self.sum, nanos);
        // ORDERING: Relaxed; as the rest of the header.
        self.recent[own(&self.begun) as usize % RECENT].store(nanos as u32, Ordering::Relaxed);
        // ORDERING: Relaxed, here and in `stretch`; `begun` and `counts` order them for readers, and this thread wrote
        // them last.
        let floor = own(&self.floor);
        if nanos.wrapping_add(epoch).wrapping_sub(floor) > own(&self.span) {
            return self.stretch(count, nanos, epoch);
        }
        self.count(count);
    }

    /// Widens the extremes, or restarts them in a new epoch, and ends the record.
    #[cold]
    #[inline(never)]
    fn stretch(&self, count: usize, nanos: u64, epoch: u64) {
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

    /// Ends a record. A reader that sees it counted sees its bucket, and its part of the header.
    #[inline(always)]
    fn count(&self, count: usize) {
        end(&self.counts[count % COUNTS]);
    }
}

impl<const BUCKETS_PER_OCTAVE: usize> std::fmt::Debug for Cell<BUCKETS_PER_OCTAVE> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("begun", &self.begun).field("sum", &self.sum).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::buckets::BucketCopy;
    use super::reading::{Consistency, Header, ReadMark, Reading};
    use super::wait_budget::WaitBudget;
    use super::*;

    /// The header and the buckets of a cell without a writer.
    fn read(cell: &Cell<128>) -> (Header, Vec<u64>) {
        let mut reading = Reading::new(Layout::TWO_DIGITS);
        let mut buckets = vec![0; Layout::TWO_DIGITS.buckets()];
        let moment = cell.read(&mut reading, &mut WaitBudget::new());
        reading.add_buckets(&mut buckets);
        assert_eq!(moment, Consistency::One(buckets.iter().sum()));
        assert_eq!(moment, Consistency::One(reading.header.counts.iter().sum()));
        (reading.header, buckets)
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
    fn a_new_epoch_restarts_the_extremes_and_nothing_else() {
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
        // Miri takes a second for each reading.
        let every = if cfg!(miri) { 3 } else { 1 };
        for step in [0, 1, 2, (1 << 15) - 1, 3, 1_000].into_iter().step_by(every) {
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
    fn bytes_stop_growing_at_the_largest_number_and_each_write_changes_the_mark() {
        let cell = Cell::<128>::new();
        for _ in 0..3 {
            let before = cell.look(ReadMark::default());
            cell.add_bytes(Bytes { request: u64::MAX, response: 1 << 63 });
            cell.record(0, 1_000, 0);
            assert_ne!(cell.look(ReadMark::default()), before);
        }
        let (header, _) = read(&cell);
        assert_eq!(header.bytes, Bytes { request: u64::MAX, response: u64::MAX });
        assert_eq!(header.changes(3), cell.look(ReadMark::default()));
    }

    #[test]
    fn a_record_that_stops_half_way_is_read_in_parts_until_it_ends() {
        let cell = Cell::<128>::new();
        (0..100).for_each(|_| cell.record(0, 1_000, 0));
        // Like `record`, stopped before its sum.
        begin(&cell.begun);
        cell.add_to_bucket(Layout::TWO_DIGITS.index(2_000));
        let mut reading = Reading::new(Layout::TWO_DIGITS);
        let total = |reading: &Reading| {
            let mut buckets = vec![0; Layout::TWO_DIGITS.buckets()];
            reading.add_buckets(&mut buckets);
            buckets.iter().sum::<u64>()
        };
        let mut wait_budget = WaitBudget::new();
        assert_eq!(cell.read(&mut reading, &mut wait_budget), Consistency::Several);
        assert!(!wait_budget.wait(), "it did not wait for the writer as long as it may");
        assert_eq!((reading.header.counts[0], reading.header.sum, total(&reading)), (100, 100_000, 101));
        cell.record_header(0, 2_000, 0);
        let (header, buckets) = read(&cell);
        assert_eq!((header.counts[0], header.sum, buckets.iter().sum::<u64>()), (101, 102_000, 101));
    }

    #[test]
    fn a_cell_at_rest_is_read_in_one_go_and_what_is_new_from_the_latest_durations() {
        let cell = Cell::<128>::new();
        let index = |nanos| Layout::TWO_DIGITS.index(nanos);
        cell.record(0, 1_000, 0);
        let (mut header, mut sums) = (Header::blank(), vec![0; Layout::TWO_DIGITS.buckets()]);
        assert_eq!(cell.add_at_once(&mut header, &mut sums).0, Some(1));
        assert_eq!((header.counts[0], sums[index(1_000)], sums.iter().sum::<u64>()), (1, 1, 1));
        let seen = header.seen(1);
        cell.record(1, 500, 0);
        cell.record(0, 70_000, 0);
        let mut new = Vec::new();
        let mark = cell.read_since(&mut header, seen, |bucket| new.push(bucket));
        assert_eq!((mark, header.sum, new), (Some(header.seen(3)), 71_500, vec![index(70_000), index(500)]));
        // A record has begun.
        begin(&cell.begun);
        assert_eq!(cell.add_at_once(&mut header, &mut sums).0, None);
        assert_eq!(cell.read_since(&mut header, seen, |_| ()), None);
    }

    #[test]
    fn buckets_that_grew_while_they_were_read_are_cut_down_to_the_count_and_no_further() {
        // Miri takes seconds for each count: it tries the last pair alone, with the least and the most.
        let (skipped_pairs, every) = if cfg!(miri) { (2, 5) } else { (0, 1) };
        for (many, few) in [(0, 3), (100, 3), (100, 30)].into_iter().skip(skipped_pairs) {
            let cell = Cell::<128>::new();
            let record = |times, nanos| (0..times).for_each(|_| cell.record(0, nanos, 0));
            record(many, 1_000);
            record(few, 5_000_000);
            let counts = |total| {
                let mut before = BucketCopy::new(Layout::TWO_DIGITS);
                cell.read_buckets(&mut before);
                record(4, 1_000);
                record(2, 700_000);
                // Copies are reused, so this one still has buckets of another cell.
                let mut after = BucketCopy::new(Layout::TWO_DIGITS);
                let other = Cell::<128>::new();
                (0..50).for_each(|_| other.record(0, 77, 0));
                other.read_buckets(&mut after);
                cell.read_buckets(&mut after);
                let [mut least, mut most, mut cut] = [(); 3].map(|()| vec![0; Layout::TWO_DIGITS.buckets()]);
                before.add_to(&mut least);
                after.add_to(&mut most);
                let counted = least.iter().sum::<u64>();
                after.cut_down_to(counted + total, &before);
                after.add_to(&mut cut);
                let within =
                    least.iter().zip(&cut).zip(&most).all(|((least, cut), most)| least <= cut && cut <= most);
                assert!(within, "{many} {few} {total}");
                cut.iter().sum::<u64>() - counted
            };
            let totals = [(0, 0), (1, 1), (3, 3), (5, 5), (6, 6), (9, 6)];
            for (total, added) in totals.into_iter().step_by(every) {
                assert_eq!(counts(total), added, "{many} {few} {total}");
            }
        }
    }

    #[test]
    fn a_few_records_take_no_block_and_more_take_one() {
        let cell = Cell::new();
        let duration = |i: usize| [5, 1_000, 1_500, MAX_NANOS][i % 4];
        let blocks =
            || cell.blocks.iter().chain([&cell.first_block]).filter(|slot| slot.get().is_some()).count();
        (0..RARE).for_each(|i| cell.record(0, duration(i), 0));
        assert_eq!(blocks(), 0);
        (0..RARE).for_each(|i| cell.record(0, duration(i), 0));
        assert_eq!(blocks(), 4);
        let (header, buckets) = read(&cell);
        assert_eq!(header.counts[0], 2 * RARE as u64);
        for nanos in (0..4).map(duration) {
            assert_eq!(buckets[Layout::TWO_DIGITS.index(nanos)], RARE as u64 / 2, "{nanos}");
        }
    }

    #[test]
    fn the_words_of_every_record_are_in_the_first_two_cache_lines() {
        assert_eq!(std::mem::offset_of!(Cell<128>, recent), 64);
        assert_eq!(std::mem::offset_of!(Cell<128>, counts), 128);
        assert_eq!(std::mem::align_of::<Cell<128>>(), 64);
        assert_eq!(std::mem::size_of::<Cell<128>>(), 704);
    }
}
