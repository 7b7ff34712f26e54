//! Quantiles of what several histograms hold together, without adding them up.

use super::Histogram;
use super::eighths::{Eighths, MAX};
use crate::layout::Layout;

/// Buckets in an eighth of the widest octave.
const MAX_BUCKETS: usize = Eighths::buckets(Layout::THREE_DIGITS);

/// As [`Histogram::value_at_quantile`] of all these histograms' durations, of quantiles in ascending order.
///
/// Adds up the eighths of octaves, and only where a quantile falls the buckets, too: about a tenth of the memory that the
/// histograms take is looked at.
pub(crate) fn values_at_quantiles<'a, const N: usize>(
    layout: Layout,
    histograms: impl Iterator<Item = &'a Histogram> + Clone,
    quantiles: [f64; N],
) -> [u64; N] {
    let mut eighths = [0; MAX];
    let mut total = 0_u64;
    for histogram in histograms.clone() {
        debug_assert_eq!(histogram.layout, layout);
        histogram.eighths.add_to(&mut eighths);
        total = total.saturating_add(histogram.total);
    }
    let Some(last) = eighths.iter().rposition(|&sum| sum > 0) else { return [0; N] };
    let (mut eighth, mut before) = (0, 0_u64);
    let mut buckets: Option<Buckets> = None;
    quantiles.map(|quantile| {
        let capped = if quantile > 1.0 { 1.0 } else { quantile };
        // A negative number or NaN becomes 0 in the cast. Rank 0 means the first value, too.
        let rank = ((capped * total as f64).ceil() as u64).max(1);
        // A total over 2^53 can round up past what there is; the last bucket holds the rest.
        while eighth < last && before.saturating_add(eighths[eighth]) < rank {
            before = before.saturating_add(eighths[eighth]);
            eighth += 1;
        }
        let buckets = match &mut buckets {
            Some(buckets) if buckets.eighth == eighth => buckets,
            other => other.insert(Buckets::of(layout, eighth, histograms.clone())),
        };
        let index = buckets.at_rank(rank.saturating_sub(before));
        if quantile == 0.0 { layout.lowest(index) } else { layout.highest(index) }
    })
}

/// The sums of the buckets of one eighth.
struct Buckets {
    eighth: usize,
    first: usize,
    sums: [u64; MAX_BUCKETS],
}

impl Buckets {
    fn of<'a>(layout: Layout, eighth: usize, histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let size = Eighths::buckets(layout);
        let first = eighth * size;
        let mut sums = [0_u64; MAX_BUCKETS];
        for histogram in histograms {
            let sums = sums[..size].iter_mut().skip(histogram.first.saturating_sub(first));
            let counts = histogram.counts.iter().skip(first.saturating_sub(histogram.first));
            sums.zip(counts).for_each(|(sum, &count)| *sum = sum.saturating_add(count));
        }
        Self { eighth, first, sums }
    }

    /// The bucket up to which there are so many durations, or the last one that is not empty.
    fn at_rank(&self, rank: u64) -> usize {
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
