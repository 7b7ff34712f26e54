//! Adding up many histograms.

use std::ops::Range;

use super::coarse_sums::CoarseSums;
use super::counts::Histogram;
use super::layout::Layout;

/// The sum of many histograms. Holds a count for every bucket of the layout, and reuses that memory for the next sum.
#[derive(Debug)]
pub(crate) struct Sum {
    layout: Layout,
    counts: Vec<u64>,
    /// All buckets outside this span are 0.
    span: Range<usize>,
}

impl Sum {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, counts: vec![0; layout.buckets()], span: 0..0 }
    }

    /// Adds a histogram of the same layout.
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        debug_assert_eq!(self.layout, histogram.layout);
        let sums = &mut self.counts[histogram.first..histogram.end()];
        sums.iter_mut().zip(&histogram.counts).for_each(|(sum, &count)| *sum = sum.saturating_add(count));
        self.widen(histogram.first..histogram.end());
    }

    /// Adds what a histogram counted since an earlier state of it. No bucket may have shrunk since. Reads the buckets
    /// only where the coarse sums differ.
    pub(crate) fn add_difference(&mut self, now: &Histogram, earlier: &Histogram) {
        for grown in now.coarse_sums.changed_since(&earlier.coarse_sums) {
            let buckets = CoarseSums::span_of(self.layout, grown);
            let buckets = buckets.start.max(now.first)..buckets.end.min(now.end());
            let sums = self.counts[buckets.clone()].iter_mut();
            let grown = sums.zip(&now.counts[buckets.start - now.first..]);
            for (index, (sum, &now)) in buckets.clone().zip(grown) {
                *sum = sum.saturating_add(now.saturating_sub(earlier.count_at(index)));
            }
            self.widen(buckets);
        }
    }

    /// Lets `read` add to the counts of all buckets. `read` returns a value to hand on and the span of octaves that it
    /// may have added to.
    pub(crate) fn add_octaves<T>(&mut self, read: impl FnOnce(&mut [u64]) -> (T, Range<usize>)) -> T {
        let (value, octaves) = read(&mut self.counts);
        let [start, end] =
            [octaves.start, octaves.end].map(|octave| octave * self.layout.buckets_per_octave());
        self.widen(start..end);
        value
    }

    /// Returns the sum so far, and starts again at zero.
    pub(crate) fn take(&mut self) -> Histogram {
        let histogram = Histogram::from_counts(self.layout, self.span.start, &self.counts[self.span.clone()]);
        self.clear();
        histogram
    }

    /// Starts again at zero.
    pub(crate) fn clear(&mut self) {
        self.counts[std::mem::replace(&mut self.span, 0..0)].fill(0);
    }

    fn widen(&mut self, other: Range<usize>) {
        if self.span.is_empty() {
            self.span = other;
        } else if !other.is_empty() {
            self.span = self.span.start.min(other.start)..self.span.end.max(other.end);
        }
    }
}
