//! The counts of a histogram's buckets.

use std::ops::RangeInclusive;

use super::coarse_sums::{CoarseSums, grown_to};
use super::layout::Layout;

/// The most that a bucket of a [`Histogram`] counts: what fits its serialised form.
const MAX_COUNT: u64 = i64::MAX as u64;

/// If each count is below this, no sum over the buckets overflows.
const SMALL_COUNT: u64 = u64::MAX / Layout::THREE_DIGITS.buckets() as u64;

/// How often each duration occurred: the counts of HdrHistogram's buckets, without the empty ones at either end.
///
/// Holds exactly what an [`hdrhistogram::Histogram`] of the same precision holds after recording the same values,
/// and returns the same quantiles, to the bit. Unit: nanoseconds. Relative error: 6.25 %, 0.79 % or 0.098 % for 1, 2 or
/// 3 significant digits.
///
/// Serialised as the number of digits and the buckets' counts in order; a run of empty buckets is minus its length.
///
/// ```
/// let registry = metrics_core::Registry::new();
/// let endpoint = registry.endpoint("GET", "/");
/// for nanos in [1_000, 2_000, 1_000_000] {
///     registry.record_nanos(endpoint, 200, nanos);
/// }
/// let histogram = registry.snapshot().histogram();
/// assert_eq!(histogram.total(), 3);
/// assert_eq!(histogram.value_at_quantile(0.5), 2_007); // the bucket of 2,000 to 2,007 ns
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    pub(super) layout: Layout,
    /// The index of the first of `counts`.
    pub(super) first: usize,
    /// Neither its first nor its last element is 0.
    pub(super) counts: Vec<u64>,
    pub(super) coarse_sums: CoarseSums,
    pub(super) total: u64,
}

/// One bucket of a [`Histogram`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The smallest duration that lands here, in nanoseconds.
    pub lowest: u64,
    /// The largest duration that lands here, in nanoseconds.
    pub highest: u64,
    /// How many durations landed here. Never 0.
    pub count: u64,
}

/// Two histograms of different precision, which cannot be added.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a histogram of {theirs} significant digits cannot be added to one of {ours}; \
     build both with the same precision"
)]
pub struct PrecisionMismatch {
    /// The significant digits of the histogram that was to be added to.
    pub ours: u8,
    /// The significant digits of the other one.
    pub theirs: u8,
}

crate::text::debug_as_display!(PrecisionMismatch);

impl Histogram {
    pub(crate) fn empty(layout: Layout) -> Self {
        Self { layout, first: 0, counts: Vec::new(), coarse_sums: CoarseSums::default(), total: 0 }
    }

    /// Makes a histogram of the counts of the buckets from index `first` on.
    pub(crate) fn from_counts(layout: Layout, first: usize, counts: &[u64]) -> Self {
        let Some(skip) = counts.iter().position(|&count| count != 0) else { return Self::empty(layout) };
        let end = counts.iter().rposition(|&count| count != 0).map_or(0, |last| last + 1);
        let counts = &counts[skip..end];
        let (all, sum) =
            counts.iter().fold((0, 0_u64), |(all, sum), &count| (all | count, sum.wrapping_add(count)));
        let (counts, total) = if all < SMALL_COUNT {
            (counts.to_vec(), sum)
        } else {
            let counts: Vec<_> = counts.iter().map(|&count| count.min(MAX_COUNT)).collect();
            let total = counts.iter().fold(0_u64, |sum, &count| sum.saturating_add(count));
            (counts, total)
        };
        let first = first + skip;
        let coarse_sums = CoarseSums::of(layout, first, &counts);
        Self { layout, first, counts, coarse_sums, total }
    }

    /// Returns the smallest and the largest duration of each bucket that a histogram of this precision can have, in
    /// nanoseconds. In ascending order: the first is that of bucket 0 of [`Histogram::counts`]. Empty unless
    /// `significant_digits` is 1, 2 or 3.
    pub fn bounds(significant_digits: u8) -> impl Iterator<Item = RangeInclusive<u64>> {
        let layout = Layout::for_digits(significant_digits);
        let bounds = |layout: Layout| {
            (0..layout.buckets()).map(move |index| layout.lowest(index)..=layout.highest(index))
        };
        layout.into_iter().flat_map(bounds)
    }

    /// Returns the number of significant decimal digits: 1, 2 or 3.
    pub fn significant_digits(&self) -> u8 {
        self.layout.digits()
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns how many durations were recorded.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the buckets that are not empty, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.indexed().map(|(index, count)| Bucket {
            lowest: self.layout.lowest(index),
            highest: self.layout.highest(index),
            count,
        })
    }

    /// For each bound, in nanoseconds and ascending, returns how many durations are in buckets that begin at or below
    /// it.
    ///
    /// Takes one pass over the coarse sums for all bounds, plus at most an eighth of an octave of buckets for each
    /// bound.
    pub fn cumulative(&self, bounds: impl IntoIterator<Item = u64>) -> impl Iterator<Item = u64> {
        // Wraps only if the total is already saturated.
        let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, &count| sum.wrapping_add(count));
        let mut coarse_sums = self.coarse_sums.pass(self.layout);
        let mut whole = 0_u64;
        bounds.into_iter().map(move |bound| {
            let end = self.layout.index(bound).saturating_add(1);
            if end >= self.end() {
                return self.total;
            }
            // Those that end at or below the bound.
            whole = whole.wrapping_add(sum(coarse_sums.take_below(end)));
            // The bound lies within the next one. Its buckets are read only if they hold anything.
            let Some(begun) = coarse_sums.next_begins() else { return whole };
            let begun = begun.max(self.first) - self.first;
            let part = end.checked_sub(self.first).and_then(|end| self.counts.get(begun..end));
            whole.wrapping_add(part.map_or(0, sum))
        })
    }

    /// Converts to a histogram of the `hdrhistogram` crate with the same counts, 1 ns to
    /// [`MAX_NANOS`](crate::MAX_NANOS).
    #[cfg(feature = "hdrhistogram")]
    pub fn to_hdr(&self) -> hdrhistogram::Histogram<u64> {
        let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, crate::MAX_NANOS, self.layout.digits())
            .expect("the bounds and the digits are in hdrhistogram's range");
        for (index, count) in self.indexed() {
            hdr.saturating_record_n(self.layout.lowest(index), count);
        }
        hdr
    }

    /// Adds one duration to the bucket with this index.
    pub(crate) fn count(&mut self, index: usize) {
        let count = grown_to(&mut self.first, &mut self.counts, index);
        if *count < MAX_COUNT {
            *count += 1;
            self.coarse_sums.count(self.layout, index);
            self.total = self.total.saturating_add(1);
        }
    }

    /// Adds another histogram's counts.
    ///
    /// # Errors
    ///
    /// Returns an error if the two have a different number of significant digits. Nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), PrecisionMismatch> {
        if self.layout != other.layout {
            return Err(PrecisionMismatch { ours: self.layout.digits(), theirs: other.layout.digits() });
        }
        if other.counts.is_empty() {
            return Ok(());
        }
        if self.first <= other.first && other.end() <= self.end() {
            // Adds in place, which is the common case once this one spans the usual latencies.
            let ours = self.counts[other.first - self.first..].iter_mut();
            let pairs = ours.zip(&other.counts);
            if let Some(total) = self.total.checked_add(other.total).filter(|&total| total <= MAX_COUNT) {
                // No bucket counts more than the total, so none exceeds the maximum either.
                pairs.for_each(|(ours, theirs)| *ours += theirs);
                self.coarse_sums.add(&other.coarse_sums);
                self.total = total;
                return Ok(());
            }
            pairs.for_each(|(ours, theirs)| *ours = ours.saturating_add(*theirs).min(MAX_COUNT));
            self.coarse_sums = CoarseSums::of(self.layout, self.first, &self.counts);
            self.total = self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count));
            return Ok(());
        }
        let first = if self.counts.is_empty() { other.first } else { self.first.min(other.first) };
        let end = self.end().max(other.end());
        let mut counts = vec![0_u64; end - first];
        for histogram in [&*self, other] {
            let sums = counts.iter_mut().skip(histogram.first.saturating_sub(first));
            sums.zip(&histogram.counts).for_each(|(sum, &count)| *sum = sum.saturating_add(count));
        }
        *self = Self::from_counts(self.layout, first, &counts);
        Ok(())
    }

    /// Returns what was added since an earlier state of the same histogram. A bucket that shrank counts 0.
    pub(crate) fn difference(&self, earlier: &Self) -> Self {
        let mut counts = self.counts.clone();
        let ours = counts.iter_mut().skip(earlier.first.saturating_sub(self.first));
        let theirs = earlier.counts.iter().skip(self.first.saturating_sub(earlier.first));
        ours.zip(theirs).for_each(|(ours, theirs)| *ours = ours.saturating_sub(*theirs));
        Self::from_counts(self.layout, self.first, &counts)
    }

    /// The lowest and the highest bucket in use.
    pub(crate) fn ends(&self) -> Option<(Bucket, Bucket)> {
        let bucket = |at: usize| Bucket {
            lowest: self.layout.lowest(self.first + at),
            highest: self.layout.highest(self.first + at),
            count: self.counts[at],
        };
        let last = self.counts.len().checked_sub(1)?;
        Some((bucket(0), bucket(last)))
    }

    /// Removes durations that an earlier state does not have, the shortest first, until `total` are left or all of
    /// those are gone.
    pub(crate) fn cut_down_to(self, total: u64, earlier: Option<&Self>) -> Self {
        let mut excess = self.total.saturating_sub(total);
        if excess == 0 {
            return self;
        }
        let before = |index: usize| earlier.map_or(0, |earlier| earlier.count_at(index));
        let mut counts = self.counts;
        for (index, count) in (self.first..).zip(&mut counts) {
            let cut = count.saturating_sub(before(index)).min(excess);
            *count -= cut;
            excess -= cut;
        }
        Self::from_counts(self.layout, self.first, &counts)
    }

    /// How many durations are in the bucket with this index.
    pub(super) fn count_at(&self, index: usize) -> u64 {
        index.checked_sub(self.first).and_then(|at| self.counts.get(at)).copied().unwrap_or(0)
    }

    /// The index of the first bucket in use, and the counts from there to the last one in use.
    pub(crate) fn dense(&self) -> (usize, &[u64]) {
        (self.first, &self.counts)
    }

    /// One past the index of the last bucket in use.
    pub(super) fn end(&self) -> usize {
        self.first + self.counts.len()
    }

    /// The buckets that are not empty: index and count.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        (self.first..).zip(self.counts.iter().copied()).filter(|&(_, count)| count != 0)
    }
}
