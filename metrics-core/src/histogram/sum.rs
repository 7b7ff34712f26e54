//! Adding up many histograms.

use std::ops::Range;

use super::Histogram;
use crate::layout::Layout;

/// Adds up many histograms, buckets spread out, without a new allocation for each.
#[derive(Debug)]
pub(crate) struct Sum {
    layout: Layout,
    counts: Vec<u64>,
    /// The span of buckets outside which all are 0.
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

    /// Adds what came on top of an earlier state of the same histogram. A bucket that shrank adds nothing.
    pub(crate) fn add_difference(&mut self, now: &Histogram, earlier: &Histogram) {
        let both = now.first.max(earlier.first)..now.end().min(earlier.end());
        if both.is_empty() {
            return self.add(now);
        }
        // In one pass, for there are many of them: what lies before the earlier one, both, and what lies behind it.
        let (new, rest) = now.counts.split_at(both.start - now.first);
        let (grown, newer) = rest.split_at(both.len());
        let sums = &mut self.counts[now.first..now.end()];
        let (new_sums, rest) = sums.split_at_mut(new.len());
        let (grown_sums, newer_sums) = rest.split_at_mut(grown.len());
        let before = &earlier.counts[both.start - earlier.first..][..grown.len()];
        for ((sum, &now), &before) in grown_sums.iter_mut().zip(grown).zip(before) {
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
        for (sums, counts) in [(new_sums, new), (newer_sums, newer)] {
            sums.iter_mut().zip(counts).for_each(|(sum, &count)| *sum = sum.saturating_add(count));
        }
        self.widen(now.first..now.end());
    }

    /// Adds what `read` adds to the buckets it is given; it says in which span of octaves, and what else it has to say.
    pub(crate) fn add_octaves<T>(&mut self, read: impl FnOnce(&mut [u64]) -> (T, Range<usize>)) -> T {
        let (said, octaves) = read(&mut self.counts);
        self.widen(octaves.start * self.layout.half()..octaves.end * self.layout.half());
        said
    }

    /// The sum so far; the next one begins at nothing.
    pub(crate) fn take(&mut self) -> Histogram {
        let histogram = Histogram::from_counts(self.layout, self.span.start, &self.counts[self.span.clone()]);
        self.clear();
        histogram
    }

    /// The next sum begins at nothing.
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
