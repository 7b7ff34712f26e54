//! The sums of the eighths of octaves: what takes most steps out of a walk over a histogram's buckets.

use std::ops::Range;

use crate::layout::Layout;

/// The most eighths that a layout has.
pub(super) const MAX: usize = crate::layout::MAX_OCTAVES * 8;

/// The sum of the buckets in each eighth of an octave, from the first to the last one in use. A sixteenth of the buckets' memory at two
/// significant digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Eighths {
    /// The index of the first of `sums`.
    first: usize,
    sums: Vec<u64>,
}

impl Eighths {
    /// Of the buckets from `first` on.
    pub(super) fn of(layout: Layout, first: usize, counts: &[u64]) -> Self {
        let size = Self::buckets(layout);
        let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, &count| sum.saturating_add(count));
        // The first one may have begun earlier.
        let head = (size - first % size).min(counts.len());
        let (head, rest) = counts.split_at(head);
        let head = (!head.is_empty()).then_some(head);
        Self { first: first / size, sums: head.into_iter().chain(rest.chunks(size)).map(sum).collect() }
    }

    /// Buckets in an eighth.
    pub(super) const fn buckets(layout: Layout) -> usize {
        layout.half() / 8
    }

    /// The buckets of an eighth.
    pub(super) fn span_of(layout: Layout, eighth: usize) -> Range<usize> {
        let size = Self::buckets(layout);
        eighth * size..(eighth + 1) * size
    }

    /// The eighths whose sum is another one than in an earlier state.
    pub(super) fn other_than<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let before = |eighth: usize| {
            eighth.checked_sub(earlier.first).and_then(|at| earlier.sums.get(at)).copied().unwrap_or(0)
        };
        (self.first..)
            .zip(&self.sums)
            .filter(move |&(eighth, &sum)| sum != before(eighth))
            .map(|(eighth, _)| eighth)
    }

    /// The eighths in use, by index, and their sums.
    pub(super) fn indexed(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        (self.first..).zip(self.sums.iter().copied())
    }

    /// Adds one duration of a bucket.
    pub(super) fn count(&mut self, layout: Layout, bucket: usize) {
        let eighth = bucket / Self::buckets(layout);
        if self.sums.is_empty() {
            self.first = eighth;
        }
        if eighth < self.first {
            self.sums.splice(..0, std::iter::repeat_n(0, self.first - eighth));
            self.first = eighth;
        }
        let at = eighth - self.first;
        if at >= self.sums.len() {
            self.sums.resize(at + 1, 0);
        }
        self.sums[at] = self.sums[at].saturating_add(1);
    }

    /// Adds those of a histogram whose buckets lie within the span of this one's.
    pub(super) fn add(&mut self, other: &Self) {
        let ours = self.sums.iter_mut().skip(other.first.saturating_sub(self.first));
        ours.zip(&other.sums).for_each(|(ours, theirs)| *ours = ours.saturating_add(*theirs));
    }

    /// Adds them to `sums`, which has a place for each of the layout's.
    pub(super) fn add_to(&self, sums: &mut [u64]) {
        let sums = sums.iter_mut().skip(self.first);
        sums.zip(&self.sums).for_each(|(sum, &eighth)| *sum = sum.saturating_add(eighth));
    }
}
