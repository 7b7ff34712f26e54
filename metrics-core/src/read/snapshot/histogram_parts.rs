//! A histogram as plain numbers, for hand-written formats.

use super::parts_error::PartsError;
use crate::histogram::{Histogram, Layout};

impl Histogram {
    /// Returns the index of the first bucket in use, and the counts from there to the last one; no counts if it is
    /// empty.
    ///
    /// Bucket 0 begins at 0 ns. With `m` being 4, 7 or 10 for 1, 2 or 3 digits, the first `2^(m+1)` buckets are 1 ns
    /// wide, and each group of `2^m` buckets after these is twice as wide as the group before.
    pub fn counts(&self) -> (usize, &[u64]) {
        self.dense()
    }

    /// Builds a histogram from the counts of the buckets from index `first` on: see [`Histogram::counts`].
    ///
    /// # Errors
    ///
    /// Returns an error if `digits` is not 1, 2 or 3, or a histogram of that precision has no such buckets.
    pub fn from_buckets(digits: u8, first: usize, counts: &[u64]) -> Result<Self, PartsError> {
        let layout = Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let end = first.saturating_add(counts.len());
        if end > layout.buckets() {
            return Err(PartsError::Buckets { end, allowed: layout.buckets() });
        }
        Ok(Self::from_counts(layout, first, counts))
    }

    /// Returns the number of buckets of a histogram with `significant_digits`; `None` unless these are 1, 2 or 3.
    pub const fn max_buckets(significant_digits: u8) -> Option<usize> {
        match Layout::for_digits(significant_digits) {
            Some(layout) => Some(layout.buckets()),
            None => None,
        }
    }

    /// Returns the same durations with at most `digits` significant digits: the histogram that recording the same
    /// values at that precision would produce.
    ///
    /// # Errors
    ///
    /// Returns an error if `digits` is not 1, 2 or 3.
    pub fn limited_to_digits(self, digits: u8) -> Result<Self, PartsError> {
        let fewer = Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let own = self.layout();
        if fewer.buckets_per_octave() >= own.buckets_per_octave() {
            return Ok(self);
        }
        // Each bucket lies within one of the wider buckets: both begin at multiples of powers of two.
        let wider = |index: usize| fewer.index(own.lowest(index));
        let (first, counts) = self.counts();
        let mut sums =
            vec![0_u64; counts.len().checked_sub(1).map_or(0, |last| wider(first + last) - wider(first) + 1)];
        for (index, &count) in (first..).zip(counts) {
            let sum = &mut sums[wider(index) - wider(first)];
            *sum = sum.saturating_add(count);
        }
        Ok(Self::from_counts(fewer, wider(first), &sums))
    }
}
