//! Durations in the exponential buckets of Prometheus' native histograms.
//!
//! Bucket `i` of schema `s` holds the values above `2^((i - 1) / 2^s)` up to `2^(i / 2^s)`, here in seconds.

use super::durations::Durations;
use crate::exponential;

/// Returns the schema for a number of significant digits: the finest that Prometheus has whose buckets are nowhere
/// narrower than ours.
pub(crate) fn schema(significant_digits: u8) -> i32 {
    exponential::scale(significant_digits).min(8)
}

/// The zero bucket holds values up to this one, in seconds: durations of 0 ns, and no others.
pub(crate) const ZERO_THRESHOLD: f64 = 1e-10;

/// A gap of up to this many empty buckets does not end a span: two zeroes cost as much as a new span.
const MAX_GAP: i32 = 2;

/// The buckets of one series. Created once and refilled for each series.
#[derive(Debug, Default)]
pub(crate) struct Native {
    pub(crate) zero_count: u64,
    /// Index and count, ascending. No count is 0.
    buckets: Vec<(i32, u64)>,
    spans: Vec<BucketSpan>,
    /// The counts of all buckets of the spans, including the zeroes of small gaps.
    counts: Vec<u64>,
}

/// A run of adjacent buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketSpan {
    /// The number of buckets between the previous span's end and this span; in the first span, the index of its first
    /// bucket.
    pub(crate) offset: i32,
    pub(crate) length: u32,
}

impl Native {
    /// Replaces the content with these durations. A bucket of ours goes to the bucket that holds its middle.
    pub(crate) fn fill(&mut self, durations: &Durations<'_>) {
        self.zero_count = 0;
        self.buckets.clear();
        let digits = durations.significant_digits();
        let coarser_by = exponential::scale(digits) - schema(digits);
        for group in durations.groups() {
            let (first, counts) = group.histogram().counts();
            let indices = exponential::indices(digits).get(first..).unwrap_or_default();
            for (index, &count) in indices.iter().zip(counts).filter(|&(_, &count)| count != 0) {
                match *index {
                    None => self.zero_count = self.zero_count.saturating_add(count),
                    Some(index) => self.add(coarser(index, coarser_by), count),
                }
            }
        }
        if !self.buckets.is_sorted_by_key(|&(index, _)| index) {
            // The durations were of several groups.
            let mut buckets = std::mem::take(&mut self.buckets);
            buckets.sort_unstable_by_key(|&(index, _)| index);
            buckets.drain(..).for_each(|(index, count)| self.add(index, count));
        }
        self.lay_out();
    }

    /// Adds to the last bucket if it has this index, else appends a bucket.
    fn add(&mut self, index: i32, count: u64) {
        match self.buckets.last_mut() {
            Some((last, sum)) if *last == index => *sum = sum.saturating_add(count),
            _ => self.buckets.push((index, count)),
        }
    }

    /// Derives spans and counts from the buckets.
    fn lay_out(&mut self) {
        self.spans.clear();
        self.counts.clear();
        let mut end = 0;
        for &(index, count) in &self.buckets {
            let gap = index - end;
            match self.spans.last_mut() {
                Some(span) if gap <= MAX_GAP => {
                    span.length += gap as u32 + 1;
                    self.counts.extend((0..gap).map(|_| 0));
                }
                _ => self.spans.push(BucketSpan { offset: gap, length: 1 }),
            }
            self.counts.push(count);
            end = index + 1;
        }
    }

    pub(crate) fn spans(&self) -> &[BucketSpan] {
        &self.spans
    }

    /// The count of each bucket of the spans, as the difference from the previous one.
    pub(crate) fn deltas(&self) -> impl Iterator<Item = i64> + '_ {
        let mut before = 0;
        self.counts
            .iter()
            .map(move |&count| (count as i64).wrapping_sub(std::mem::replace(&mut before, count as i64)))
    }
}

/// Returns the bucket that holds this one at a scale that is coarser by `by`.
fn coarser(index: i32, by: i32) -> i32 {
    // Rounds up, since a bucket includes its upper end.
    -(-index >> by)
}

#[cfg(test)]
mod tests {
    use super::super::names::Names;
    use super::*;
    use metrics_core::{Histogram, MAX_NANOS, Registry};
    use proptest::prelude::*;

    fn filled(digits: u8, nanos: &[u64]) -> Native {
        let registry = Registry::builder().significant_digits(digits).build().unwrap();
        let root = registry.endpoint("GET", "/");
        nanos.iter().for_each(|&nanos| registry.record_nanos(root, 200, nanos));
        let snapshot = registry.snapshot();
        let mut native = Native::default();
        let endpoint = snapshot.endpoints().next().unwrap();
        native.fill(&Durations::of(endpoint, Names::Prometheus, digits).next().unwrap().1);
        native
    }

    /// Decodes spans and deltas as a scraper does: index and count of each bucket.
    fn read(native: &Native) -> Vec<(i32, i64)> {
        let (mut index, mut count) = (0, 0);
        let mut deltas = native.deltas();
        let mut buckets = Vec::new();
        for span in native.spans() {
            index += span.offset;
            for _ in 0..span.length {
                count += deltas.next().unwrap();
                buckets.push((index, count));
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        buckets
    }

    #[test]
    fn the_zero_bucket_holds_only_durations_of_zero_nanoseconds() {
        let native = filled(2, &[0, 0, 1]);
        assert_eq!(native.zero_count, 2);
        assert_eq!(read(&native).iter().map(|&(_, count)| count).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_small_gap_is_filled_with_zeroes_and_a_large_one_begins_a_span() {
        // Schema 6: an octave is 64 buckets, and 1 s is the upper end of bucket 0.
        let at = |index: f64| (2_f64.powf((index - 0.5) / 64.0) * 1e9) as u64;
        let native = filled(2, &[at(-100.0), at(-97.0), at(-93.0), at(-93.0), at(0.0)]);
        let span = |offset, length| BucketSpan { offset, length };
        assert_eq!(native.spans(), [span(-100, 4), span(3, 1), span(92, 1)]);
        assert_eq!(native.deltas().collect::<Vec<_>>(), [1, -1, 0, 1, 1, -1]);
    }

    proptest! {
        #[test]
        fn every_duration_is_in_a_bucket_within_the_stated_error(
            nanos in prop::collection::vec(
                (0_u32..36).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits)),
                1..100,
            ),
            digits in 1_u8..=3,
        ) {
            let native = filled(digits, &nanos);
            let buckets = read(&native);
            let sum: i64 = buckets.iter().map(|&(_, count)| count).sum();
            prop_assert_eq!(sum as u64 + native.zero_count, nanos.len() as u64);
            // Both are sorted, so the n-th duration is in the bucket of the n-th count.
            let mut sorted: Vec<_> = nanos.into_iter().filter(|&nanos| nanos > 0).collect();
            sorted.sort_unstable();
            let ranked = buckets.iter().flat_map(|&(index, count)| (0..count).map(move |_| index));
            let off = [0.0313, 0.0040, 0.0005][usize::from(digits) - 1];
            let edge = |index: i32| 2_f64.powf(f64::from(index) / f64::from(1 << schema(digits))) * 1e9;
            for (nanos, index) in sorted.into_iter().zip(ranked) {
                let nanos = nanos.min(MAX_NANOS) as f64;
                prop_assert!(nanos <= edge(index) * (1.0 + off), "{nanos} above {index}");
                prop_assert!(nanos >= edge(index - 1) * (1.0 - off), "{nanos} below {index}");
            }
        }
    }

    #[test]
    fn a_coarser_bucket_includes_the_finer_ones_up_to_its_upper_end() {
        assert_eq!([-3, -2, -1, 0, 1, 2, 3].map(|index| coarser(index, 1)), [-1, -1, 0, 0, 1, 1, 2]);
        assert_eq!([-4, 0, 5].map(|index| coarser(index, 0)), [-4, 0, 5]);
        // The same index as computed directly at the coarser scale.
        for (fine, bounds) in exponential::indices(3).iter().zip(Histogram::bounds(3)).skip(1) {
            let seconds = (*bounds.start() as f64 + *bounds.end() as f64) / 2e9;
            let index = (seconds.log2() * 256.0).ceil() as i32;
            assert_eq!(fine.map(|fine| coarser(fine, 1)), Some(index), "{bounds:?}");
        }
    }
}
