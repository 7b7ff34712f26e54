//! The reader's side of a cell.

use std::mem::offset_of;
use std::ops::Range;

use super::buckets::{BucketCopy, bucket_of, widen};
use super::wait_budget::WaitBudget;
use super::{Block, Cell, RECENT};
use crate::bytes::Bytes;
use crate::histogram::Layout;
use crate::record::prefetch::prefetch;
use crate::record::slot::COUNTS;
use crate::sync::{Ordering, fence};

/// How often a running writer may disturb a reading before the reader accepts less.
const ATTEMPTS: usize = if cfg!(metrics_loom) { 1 } else { 64 };

/// How many of these read the buckets, which takes most of the time.
const BUCKET_ATTEMPTS: usize = if cfg!(metrics_loom) { 1 } else { 4 };

/// How often the latest durations are read, which takes almost no time.
const RECENT_ATTEMPTS: usize = if cfg!(metrics_loom) { 1 } else { 8 };

/// A reading of a cell. Reused for all cells: it holds a copy of every bucket.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) header: Header,
    buckets: BucketCopy,
    /// The buckets as read before the header.
    before: BucketCopy,
}

/// All of a cell except its buckets.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) counts: [u64; COUNTS],
    pub(crate) sum: u64,
    pub(crate) clamped: u64,
    /// Loaded before `bytes` and `truncated`.
    touched: u64,
    pub(crate) bytes: Bytes,
    pub(crate) truncated: u64,
    /// The epoch of the extremes.
    pub(crate) epoch: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// Marks how far a cell was read, at one moment. The next reading starts from it, and then needs no buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReadMark {
    /// The number of records done.
    pub(crate) records: u64,
    sum: u64,
}

/// How consistent a reading of a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// All of it is of one moment, at which this many records were done.
    One(u64),
    /// The header is of one moment, at which this many records were done. The buckets add up to the same number, but of
    /// the records made during the reading they may hold a later one instead of an earlier one.
    Header(u64),
    /// Each figure is right for some moment of the reading. The buckets hold every record that is counted, and possibly
    /// one that is not counted yet.
    Several,
}

impl Reading {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { header: Header::blank(), buckets: BucketCopy::new(layout), before: BucketCopy::new(layout) }
    }

    /// Adds the buckets to `sums`, which has an element for each bucket of the layout. Returns the span of octaves that
    /// has any.
    pub(crate) fn add_buckets(&self, sums: &mut [u64]) -> Range<usize> {
        self.buckets.add_to(sums)
    }
}

impl<const BUCKETS_PER_OCTAVE: usize> Cell<BUCKETS_PER_OCTAVE> {
    /// Returns a number that grows with each write. While it equals [`Header::changes`], a reading of one moment is
    /// still what the cell holds.
    ///
    /// If there are new records since `seen`, it prefetches the memory of a reading: looking at many cells first and
    /// then reading them takes about a fifth less time than reading each at once.
    pub(crate) fn look(&self, seen: ReadMark) -> u64 {
        let begun = self.begun();
        if begun != seen.records {
            prefetch(self, offset_of!(Self, blocks));
        }
        begun.wrapping_add(self.touched())
    }

    /// The records begun so far.
    ///
    /// ORDERING: Relaxed; fences order it where that matters.
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// The writes so far that are not records.
    fn touched(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `sync::end`. Later loads see at least these writes.
        self.touched.load(Ordering::Acquire)
    }

    /// Reads the header, and adds the buckets to `sums` as [`Reading::add_buckets`] does, without the copy that a
    /// second attempt would need. Returns the number of records done, or `None` if a record began in the meantime,
    /// which makes the sums useless; and the span of octaves that was added to.
    pub(crate) fn add_at_once(&self, header: &mut Header, sums: &mut [u64]) -> (Option<u64>, Range<usize>) {
        let Some(done) = self.read_header(header) else { return (None, 0..0) };
        let mut span = 0..0;
        // ORDERING: as in `read_buckets`.
        for (octave, block) in self.octaves() {
            let sums = &mut sums[octave * BUCKETS_PER_OCTAVE..][..BUCKETS_PER_OCTAVE];
            sums.iter_mut()
                .zip(&block.0)
                .for_each(|(sum, count)| *sum = sum.wrapping_add(count.load(Ordering::Relaxed)));
            widen(&mut span, octave);
        }
        for index in self.rare.iter().filter_map(|rare| bucket_of(rare.load(Ordering::Relaxed))) {
            sums[index] = sums[index].wrapping_add(1);
            widen(&mut span, Self::LAYOUT.octave(index));
        }
        // ORDERING: Acquire fence; as in `read`.
        fence(Ordering::Acquire);
        ((self.begun() == done).then_some(done), span)
    }

    /// Reads the header, calls `bucket` for each record since `seen`, and returns the new mark. `None` if the cell has
    /// already overwritten some of these records, or if its writer never paused for long enough.
    pub(crate) fn read_since(
        &self,
        header: &mut Header,
        seen: ReadMark,
        mut bucket: impl FnMut(usize),
    ) -> Option<ReadMark> {
        let mut recent = [0; RECENT];
        for _ in 0..RECENT_ATTEMPTS {
            let Some(done) = self.read_header(header) else { continue };
            let records = usize::try_from(done.wrapping_sub(seen.records)).ok();
            let recent = recent.get_mut(..records?)?;
            if !self.read_recent(done, recent) {
                continue;
            }
            // The low halves add up to the sum unless a duration was longer than 32 bits can hold, 4.3 s.
            let sum: u64 = recent.iter().copied().map(u64::from).sum();
            if header.sum.wrapping_sub(seen.sum) != sum {
                return None;
            }
            recent.iter().for_each(|&nanos| bucket(Self::LAYOUT.index(nanos.into())));
            return Some(header.seen(done));
        }
        None
    }

    /// Reads the low halves of the latest durations, the latest first. `done` is the number of records in the header.
    /// Returns whether no record began since.
    pub(super) fn read_recent(&self, done: u64, copy: &mut [u32]) -> bool {
        let places = (0..).map(|back| done.wrapping_sub(back) as usize % RECENT);
        // ORDERING: Relaxed; as the buckets in `read_buckets`.
        copy.iter_mut().zip(places).for_each(|(copy, at)| *copy = self.recent[at].load(Ordering::Relaxed));
        // ORDERING: Acquire fence; as the second one in `read_header`, for the durations.
        fence(Ordering::Acquire);
        self.begun() == done
    }

    /// Reads the cell.
    pub(crate) fn read(&self, reading: &mut Reading, wait_budget: &mut WaitBudget) -> Consistency {
        let mut more_bucket_attempts = 1..BUCKET_ATTEMPTS;
        loop {
            let begun = self.begun();
            for _ in 0..ATTEMPTS {
                if let Some(done) = self.read_header(&mut reading.header) {
                    self.read_buckets(&mut reading.buckets);
                    // ORDERING: Acquire fence; as the second one in `read_header`, for the buckets.
                    fence(Ordering::Acquire);
                    if self.begun() == done {
                        return Consistency::One(done);
                    }
                    if more_bucket_attempts.next().is_none() {
                        return self.read_between(reading);
                    }
                }
                std::hint::spin_loop();
            }
            // No record began during all attempts, so the writer is not fast, but stopped.
            let stopped = self.begun() == begun;
            if !(stopped && wait_budget.wait()) {
                return self.read_between(reading);
            }
        }
    }

    /// Reads a cell whose writer never pauses for long enough to read header and buckets at one moment.
    ///
    /// The buckets are read before the header and after it. What they gained in between is cut down to the number of
    /// records in the header. So no reading shows more durations than calls, and no later reading shows fewer durations
    /// than this one.
    pub(super) fn read_between(&self, reading: &mut Reading) -> Consistency {
        // ORDERING: `read_header` sees each record in these buckets as begun: it loads `begun` after its fences.
        self.read_buckets(&mut reading.before);
        let done = (0..ATTEMPTS).find_map(|_| self.read_header(&mut reading.header));
        self.read_buckets(&mut reading.buckets);
        let counted = reading.header.counts.iter().fold(0, |sum: u64, &count| sum.wrapping_add(count));
        reading.buckets.cut_down_to(counted, &reading.before);
        done.map_or(Consistency::Several, Consistency::Header)
    }

    /// Reads the header. Returns the number of records in it, or `None` if its figures are not of one moment.
    pub(super) fn read_header(&self, header: &mut Header) -> Option<u64> {
        let mut done = 0_u64;
        for (copy, count) in header.counts.iter_mut().zip(&self.counts) {
            *copy = count.load(Ordering::Relaxed);
            done = done.wrapping_add(*copy);
        }
        // ORDERING: Acquire fence; pairs with the Release in `end`. The loads below, and those of the buckets, see at
        // least the records counted above.
        fence(Ordering::Acquire);
        header.sum = self.sum.load(Ordering::Relaxed);
        header.clamped = self.clamped.load(Ordering::Relaxed);
        header.touched = self.touched();
        header.bytes.request = self.request_bytes.load(Ordering::Relaxed);
        header.bytes.response = self.response_bytes.load(Ordering::Relaxed);
        header.truncated = self.truncated.load(Ordering::Relaxed);
        header.epoch = self.epoch.load(Ordering::Relaxed);
        header.min = self.floor.load(Ordering::Relaxed).wrapping_sub(header.epoch);
        header.max = header.min.wrapping_add(self.span.load(Ordering::Relaxed));
        // ORDERING: Acquire fence; pairs with the Release fence in `sync::begin`. If a load above saw a store of a
        // record that was not counted, the load below sees that record as begun.
        fence(Ordering::Acquire);
        (self.begun() == done).then_some(done)
    }

    /// Copies the buckets.
    ///
    /// ORDERING: Relaxed; the header was read before, and its fences order the buckets after the records that it
    /// counts.
    pub(super) fn read_buckets(&self, copy: &mut BucketCopy) {
        copy.octaves = 0;
        for (octave, block) in self.octaves() {
            let copies = &mut copy.counts[octave * BUCKETS_PER_OCTAVE..][..BUCKETS_PER_OCTAVE];
            copies.iter_mut().zip(&block.0).for_each(|(copy, count)| *copy = count.load(Ordering::Relaxed));
            copy.octaves |= 1 << octave;
        }
        copy.rare.iter_mut().zip(&self.rare).for_each(|(copy, rare)| *copy = rare.load(Ordering::Relaxed));
    }

    /// The octaves that have a block, and the blocks.
    fn octaves(&self) -> impl Iterator<Item = (usize, &Block<BUCKETS_PER_OCTAVE>)> {
        let blocks = std::iter::once(&self.first_block).chain(&self.blocks);
        let octaves = Self::LAYOUT.octaves();
        blocks.take(octaves).enumerate().filter_map(|(octave, slot)| slot.get().map(|block| (octave, block)))
    }
}

impl Header {
    /// A header to read into.
    pub(super) fn blank() -> Self {
        Self {
            counts: [0; COUNTS],
            sum: 0,
            clamped: 0,
            touched: 0,
            bytes: Bytes::default(),
            truncated: 0,
            epoch: 0,
            min: 0,
            max: 0,
        }
    }

    /// The number that [`Cell::look`] would have returned, if this is of one moment at which `done` records were done.
    pub(crate) fn changes(&self, done: u64) -> u64 {
        done.wrapping_add(self.touched)
    }

    /// The mark for [`Cell::read_since`], if this is of one moment at which `done` records were done.
    pub(crate) fn seen(&self, done: u64) -> ReadMark {
        ReadMark { records: done, sum: self.sum }
    }
}
