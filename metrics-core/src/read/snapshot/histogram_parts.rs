//! A histogram as plain numbers, for formats that are written and read by hand.

use super::parts_error::PartsError;
use crate::histogram::{Histogram, Layout};

impl Histogram {
    /// The index of the first bucket in use, and the counts from there to the last one; empty where there are none.
    ///
    /// Bucket 0 begins at 0 ns. With `d` digits, the first `2^(m+1)` buckets are 1 ns wide and each `2^m` after these twice
    /// as wide as the `2^m` before, where `m` is 4, 7 or 10 for 1, 2 or 3 digits.
    pub fn counts(&self) -> (usize, &[u64]) {
        self.dense()
    }

    /// A histogram of these buckets from the index `first` on: see [`Histogram::counts`].
    ///
    /// # Errors
    ///
    /// When there is no such precision, or no such buckets.
    pub fn from_buckets(digits: u8, first: usize, counts: &[u64]) -> Result<Self, PartsError> {
        let layout = Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let end = first.saturating_add(counts.len());
        if end > layout.buckets() {
            return Err(PartsError::Buckets { end, allowed: layout.buckets() });
        }
        Ok(Self::from_counts(layout, first, counts))
    }

    /// How many buckets a histogram of so many significant digits can have; `None` unless digits are 1, 2 or 3.
    pub const fn max_buckets(significant_digits: u8) -> Option<usize> {
        match Layout::for_digits(significant_digits) {
            Some(layout) => Some(layout.buckets()),
            None => None,
        }
    }

    /// The same durations to so many significant digits at most: what a histogram of that precision holds that was fed with the
    /// same values.
    ///
    /// # Errors
    ///
    /// When there is no such precision.
    pub fn limited_to_digits(self, digits: u8) -> Result<Self, PartsError> {
        let fewer = Layout::for_digits(digits).ok_or(PartsError::Digits(digits))?;
        let own = self.layout();
        if fewer.buckets_per_octave() >= own.buckets_per_octave() {
            return Ok(self);
        }
        // A bucket lies in one of the wider ones as a whole: both begin at multiples of powers of two.
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
