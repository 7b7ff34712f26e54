//! Adding up many histograms.

use std::ops::Range;

use super::Histogram;
use super::eighths::Eighths;
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

    /// Adds what came on top of an earlier state of the same histogram, of which no bucket counts less by now: only eighths
    /// of octaves whose sums differ are looked at.
    pub(crate) fn add_difference(&mut self, now: &Histogram, earlier: &Histogram) {
        for grown in now.eighths.other_than(&earlier.eighths) {
            let buckets = Eighths::span_of(self.layout, grown);
            let buckets = buckets.start.max(now.first)..buckets.end.min(now.end());
            let sums = self.counts[buckets.clone()].iter_mut();
            let grown = sums.zip(&now.counts[buckets.start - now.first..]);
            for (index, (sum, &now)) in buckets.clone().zip(grown) {
                *sum = sum.saturating_add(now.saturating_sub(earlier.count_at(index)));
            }
            self.widen(buckets);
        }
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
