//! Quantiles of one histogram, or of several together without merging them.

use super::coarse_sums::{CoarseSums, MAX_SUMS};
use super::counts::Histogram;
use super::layout::Layout;

/// Buckets in an eighth of an octave, at most.
const MAX_BUCKETS: usize = CoarseSums::buckets_per_sum(Layout::THREE_DIGITS);

impl Histogram {
    /// Returns the duration, in nanoseconds, that a share `quantile` (0..=1) of all durations does not exceed; 0 if the
    /// histogram is empty.
    ///
    /// As in HdrHistogram, this is the largest value of the bucket in which the quantile falls. Exactly 0 returns the
    /// smallest value of the first bucket; a negative quantile or NaN returns the largest one. A quantile above 1
    /// counts as 1.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        values_at_quantiles(self.layout, std::iter::once(self), [quantile])[0]
    }
}

/// Returns the [`Histogram::value_at_quantile`] of all these histograms together, for quantiles in ascending order.
///
/// Adds up the coarse sums, and the buckets only where a quantile falls. That reads about a tenth of the histograms'
/// memory.
pub(crate) fn values_at_quantiles<'a, const N: usize>(
    layout: Layout,
    histograms: impl Iterator<Item = &'a Histogram> + Clone,
    quantiles: [f64; N],
) -> [u64; N] {
    let mut coarse_sums = [0; MAX_SUMS];
    let mut total = 0_u64;
    for histogram in histograms.clone() {
        debug_assert_eq!(histogram.layout, layout);
        histogram.coarse_sums.add_to(&mut coarse_sums);
        total = total.saturating_add(histogram.total);
    }
    let Some(last) = coarse_sums.iter().rposition(|&sum| sum > 0) else { return [0; N] };
    let (mut at, mut before) = (0, 0_u64);
    let mut fine_sums: Option<FineSums> = None;
    quantiles.map(|quantile| {
        // The cast turns a negative number or NaN into 0. Rank 0 means the first value, too.
        let rank = ((quantile * total as f64).ceil() as u64).max(1);
        // The rank of a quantile above 1 is past the total, and above 2^53 a rank can round up past it; the last bucket
        // holds the rest.
        while at < last && before.saturating_add(coarse_sums[at]) < rank {
            before = before.saturating_add(coarse_sums[at]);
            at += 1;
        }
        let fine_sums = match &mut fine_sums {
            Some(fine_sums) if fine_sums.at == at => fine_sums,
            other => other.insert(FineSums::of(layout, at, histograms.clone())),
        };
        let index = fine_sums.bucket_at_rank(rank.saturating_sub(before));
        if quantile == 0.0 { layout.lowest(index) } else { layout.highest(index) }
    })
}

/// The sum over several histograms of each bucket in one eighth of an octave.
struct FineSums {
    /// The index of that eighth's coarse sum.
    at: usize,
    /// The index of its first bucket.
    first: usize,
    sums: [u64; MAX_BUCKETS],
}

impl FineSums {
    fn of<'a>(layout: Layout, at: usize, histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let buckets = CoarseSums::span_of(layout, at);
        let first = buckets.start;
        let mut sums = [0_u64; MAX_BUCKETS];
        for histogram in histograms {
            let sums = sums[..buckets.len()].iter_mut().skip(histogram.first.saturating_sub(first));
            let counts = histogram.counts.iter().skip(first.saturating_sub(histogram.first));
            sums.zip(counts).for_each(|(sum, &count)| *sum = sum.saturating_add(count));
        }
        Self { at, first, sums }
    }

    /// The index of the first bucket up to which there are `rank` durations, or of the last one that is not empty.
    fn bucket_at_rank(&self, rank: u64) -> usize {
        let (mut at, mut up_to) = (0, 0_u64);
        for (next, &sum) in self.sums.iter().enumerate().filter(|&(_, &sum)| sum > 0) {
            if up_to >= rank {
                break;
            }
            at = next;
            up_to = up_to.saturating_add(sum);
        }
        self.first + at
    }
}
