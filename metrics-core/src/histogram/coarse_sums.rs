//! Sums over an eighth of an octave each, so that reading a histogram skips most of its buckets.

use std::ops::Range;

use super::layout::{Layout, MAX_OCTAVES};

/// Sums in an octave.
const SUMS_PER_OCTAVE: usize = 8;

/// The most sums that a layout has.
pub(super) const MAX_SUMS: usize = MAX_OCTAVES * SUMS_PER_OCTAVE;

/// The sum of the buckets in each eighth of an octave, from the first to the last one in use. Takes a sixteenth of the
/// buckets' memory at two significant digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CoarseSums {
    /// The index of the first of `sums`.
    first: usize,
    sums: Vec<u64>,
}

impl CoarseSums {
    /// The sums of these counts, which are those of the buckets from index `first` on.
    pub(super) fn of(layout: Layout, first: usize, counts: &[u64]) -> Self {
        let size = Self::buckets_per_sum(layout);
        let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, &count| sum.saturating_add(count));
        // `first` may lie within an eighth.
        let head = (size - first % size).min(counts.len());
        let (head, rest) = counts.split_at(head);
        let head = (!head.is_empty()).then_some(head);
        Self { first: first / size, sums: head.into_iter().chain(rest.chunks(size)).map(sum).collect() }
    }

    /// Buckets in an eighth of an octave.
    pub(super) const fn buckets_per_sum(layout: Layout) -> usize {
        layout.buckets_per_octave() / SUMS_PER_OCTAVE
    }

    /// The buckets that the sum with this index adds up.
    pub(super) fn span_of(layout: Layout, at: usize) -> Range<usize> {
        let size = Self::buckets_per_sum(layout);
        at * size..(at + 1) * size
    }

    /// The indexes of the sums that differ from those of an earlier state.
    pub(super) fn changed_since<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let before = |at: usize| {
            at.checked_sub(earlier.first).and_then(|at| earlier.sums.get(at)).copied().unwrap_or(0)
        };
        (self.first..).zip(&self.sums).filter(move |&(at, &sum)| sum != before(at)).map(|(at, _)| at)
    }

    /// Begins a pass over the sums.
    pub(super) fn pass(&self, layout: Layout) -> Pass<'_> {
        // A shift instead of a division.
        let log2_buckets = Self::buckets_per_sum(layout).trailing_zeros();
        Pass { log2_buckets, first: self.first, rest: &self.sums }
    }

    /// Adds one duration of a bucket.
    pub(super) fn count(&mut self, layout: Layout, bucket: usize) {
        let sum = grown_to(&mut self.first, &mut self.sums, bucket / Self::buckets_per_sum(layout));
        *sum = sum.saturating_add(1);
    }

    /// Adds the sums of a histogram whose buckets lie within the span of this one's.
    pub(super) fn add(&mut self, other: &Self) {
        let ours = self.sums.iter_mut().skip(other.first.saturating_sub(self.first));
        ours.zip(&other.sums).for_each(|(ours, theirs)| *ours = ours.saturating_add(*theirs));
    }

    /// Adds them to `totals`, which has one element for each sum that the layout has.
    pub(super) fn add_to(&self, totals: &mut [u64]) {
        let totals = totals.iter_mut().skip(self.first);
        totals.zip(&self.sums).for_each(|(total, &sum)| *total = total.saturating_add(sum));
    }
}

/// What is left of the sums in a pass in ascending order.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    /// log2 of the buckets in a sum.
    log2_buckets: u32,
    /// The index of the first sum of `rest`.
    first: usize,
    rest: &'a [u64],
}

impl<'a> Pass<'a> {
    /// Takes the next sums, those whose buckets all lie below this index.
    pub(super) fn take_below(&mut self, bucket: usize) -> &'a [u64] {
        let below = (bucket >> self.log2_buckets).saturating_sub(self.first).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(below);
        self.first += below;
        self.rest = rest;
        taken
    }

    /// The index of the first bucket of the next sum, unless all of its buckets are empty.
    pub(super) fn next_begins(&self) -> Option<usize> {
        self.rest.first().filter(|&&sum| sum > 0)?;
        Some(self.first << self.log2_buckets)
    }
}

/// Makes room for the number at `index` in a list that begins at the index `first`, and returns it.
#[inline]
pub(super) fn grown_to<'a>(first: &mut usize, numbers: &'a mut Vec<u64>, index: usize) -> &'a mut u64 {
    if numbers.is_empty() {
        *first = index;
    }
    if index < *first {
        numbers.splice(..0, std::iter::repeat_n(0, *first - index));
        *first = index;
    }
    let at = index - *first;
    if at >= numbers.len() {
        numbers.resize(at + 1, 0);
    }
    &mut numbers[at]
}
