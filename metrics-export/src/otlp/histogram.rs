//! Durations as OpenTelemetry's histograms.

use std::collections::BTreeMap;

use metrics_core::GroupSnapshot;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, HistogramDataPoint};

use crate::exponential;

/// The largest value in the zero bucket, in seconds: only durations of 0 ns are in it.
const ZERO_THRESHOLD: f64 = 1e-10;

/// The kind of histogram for durations.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Histograms {
    /// Exponential, with the finest buckets that are not narrower than ours and of which no series needs more than
    /// `max_buckets`. The default, with 160, as in OpenTelemetry's SDKs.
    ///
    /// With 160, buckets are 1.1 % wide if the slowest request took up to 5.6 times as long as the fastest, 4.4 % up to
    /// 1,000 times, and 9.1 % up to a million times. 2,560 suffice for all durations at two significant digits, with an
    /// error of a quantile below 1.5 %. Some receivers refuse or thin out that many.
    ///
    /// Each of our buckets goes to the bucket of its middle, so a duration is in its bucket or at most 0.4 % outside
    /// (3.2 % with one significant digit, 0.05 % with three).
    Exponential {
        /// From 2 to 20,000.
        max_buckets: usize,
    },
    /// With these upper bounds, in seconds: ascending and positive. A bucket counts all durations up to its bound, and
    /// may count durations up to 0.8 % above it (at two significant digits).
    Explicit {
        /// The bounds, such as [`DEFAULT_BOUNDS`].
        bounds: Vec<f64>,
    },
}

impl Default for Histograms {
    fn default() -> Self {
        Self::Exponential { max_buckets: 160 }
    }
}

/// The bounds that OpenTelemetry's conventions recommend for durations of requests, in seconds.
pub const DEFAULT_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Encodes groups as an exponential histogram, without times and attributes.
pub(super) fn exponential(groups: &[&GroupSnapshot], max_buckets: usize) -> ExponentialHistogramDataPoint {
    let digits = groups.first().map_or(2, |group| group.histogram().significant_digits());
    let mut scale = exponential::scale(digits);
    let mut zero_count = 0_u64;
    let mut counts = BTreeMap::new();
    for (first, group) in groups.iter().map(|group| group.histogram().counts()) {
        let indices = exponential::indices(digits).get(first..).unwrap_or_default();
        for (index, &count) in indices.iter().zip(group).filter(|&(_, &count)| count != 0) {
            match *index {
                None => zero_count = zero_count.saturating_add(count),
                // OpenTelemetry indexes a bucket by its lower end, our table by its upper.
                Some(index) => add(&mut counts, index - 1, count),
            }
        }
    }
    while span(&counts) > max_buckets {
        scale -= 1;
        let finer = std::mem::take(&mut counts);
        finer.into_iter().for_each(|(index, count)| add(&mut counts, index >> 1, count));
    }
    let offset = counts.first_key_value().map_or(0, |(&index, _)| index);
    let mut bucket_counts = vec![0; span(&counts)];
    counts.into_iter().for_each(|(index, count)| bucket_counts[(index - offset) as usize] = count);
    ExponentialHistogramDataPoint {
        count: total(groups),
        sum: Some(sum_seconds(groups)),
        scale,
        zero_count,
        positive: Some(Buckets { offset, bucket_counts }),
        zero_threshold: ZERO_THRESHOLD,
        min: min_seconds(groups),
        max: max_seconds(groups),
        ..ExponentialHistogramDataPoint::default()
    }
}

/// Encodes groups as a histogram with explicit bounds, without times and attributes.
pub(super) fn explicit(groups: &[&GroupSnapshot], bounds: &[f64]) -> HistogramDataPoint {
    let mut bucket_counts = vec![0_u64; bounds.len() + 1];
    for bucket in groups.iter().flat_map(|group| group.histogram().buckets()) {
        // The first bucket whose bound is not below the lowest duration.
        let lowest = bucket.lowest as f64 / 1e9;
        let at = bounds.partition_point(|bound| *bound < lowest);
        bucket_counts[at] = bucket_counts[at].saturating_add(bucket.count);
    }
    HistogramDataPoint {
        count: total(groups),
        sum: Some(sum_seconds(groups)),
        bucket_counts,
        explicit_bounds: bounds.to_vec(),
        min: min_seconds(groups),
        max: max_seconds(groups),
        ..HistogramDataPoint::default()
    }
}

fn add(counts: &mut BTreeMap<i32, u64>, index: i32, count: u64) {
    let sum = counts.entry(index).or_default();
    *sum = sum.saturating_add(count);
}

/// Buckets from the first to the last that has counts.
fn span(counts: &BTreeMap<i32, u64>) -> usize {
    match (counts.first_key_value(), counts.last_key_value()) {
        (Some((&first, _)), Some((&last, _))) => (last - first + 1) as usize,
        _ => 0,
    }
}

fn total(groups: &[&GroupSnapshot]) -> u64 {
    groups.iter().fold(0, |sum, group| sum.saturating_add(group.histogram().total()))
}

fn sum_seconds(groups: &[&GroupSnapshot]) -> f64 {
    groups.iter().fold(0_u64, |sum, group| sum.saturating_add(group.sum_nanos())) as f64 / 1e9
}

fn min_seconds(groups: &[&GroupSnapshot]) -> Option<f64> {
    some(groups).map(|group| group.min_nanos()).min().map(|nanos| nanos as f64 / 1e9)
}

fn max_seconds(groups: &[&GroupSnapshot]) -> Option<f64> {
    some(groups).map(|group| group.max_nanos()).max().map(|nanos| nanos as f64 / 1e9)
}

fn some<'a>(groups: &[&'a GroupSnapshot]) -> impl Iterator<Item = &'a GroupSnapshot> {
    groups.iter().copied().filter(|group| group.histogram().total() > 0)
}

#[cfg(test)]
mod tests {
    use metrics_core::{Registry, Snapshot};
    use proptest::prelude::*;

    use super::*;

    fn snapshot(digits: u8, nanos: &[u64]) -> Snapshot {
        let registry = Registry::builder().significant_digits(digits).build().unwrap();
        let root = registry.endpoint("GET", "/");
        nanos.iter().for_each(|&nanos| registry.record_nanos(root, 200, nanos));
        registry.snapshot()
    }

    fn groups(snapshot: &Snapshot) -> Vec<&GroupSnapshot> {
        snapshot.endpoints().flat_map(|endpoint| endpoint.groups()).collect()
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let octave = (0_u32..36).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits));
        prop::collection::vec(octave, 1..100)
    }

    /// A quantile as a backend reads it: the upper end of its bucket.
    fn quantile(point: &ExponentialHistogramDataPoint, quantile: f64) -> f64 {
        let rank = (quantile * point.count as f64).ceil().max(1.0) as u64;
        let mut below = point.zero_count;
        if below >= rank {
            return 0.0;
        }
        let positive = point.positive.as_ref().unwrap();
        let base = 2_f64.powf(0.5_f64.powi(point.scale));
        for (place, count) in positive.bucket_counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return base.powi(positive.offset + place as i32 + 1);
            }
        }
        panic!("{point:?}");
    }

    #[test]
    fn a_bucket_is_indexed_by_its_lower_end() {
        let snapshot = snapshot(2, &[1_000_000_000, 0]);
        let point = exponential(&groups(&snapshot), 2_560);
        // Our bucket is from 1,000,000,000 to 1,003,xxx,xxx ns: its middle is in (1, 2^(1/64)] s.
        assert_eq!(point.positive, Some(Buckets { offset: 0, bucket_counts: vec![1] }));
        assert_eq!((point.scale, point.zero_count, point.count, point.sum), (6, 1, 2, Some(1.0)));
        assert_eq!((point.min, point.max), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn fewer_buckets_are_wider() {
        let nanos: Vec<u64> = (0..1_000).map(|i| 1_000 + i * i * 50).collect();
        let snapshot = snapshot(2, &nanos);
        let fine = exponential(&groups(&snapshot), 2_560);
        let coarse = exponential(&groups(&snapshot), 160);
        let buckets = |point: &ExponentialHistogramDataPoint| point.positive.clone().unwrap().bucket_counts;
        assert!(coarse.scale < fine.scale && buckets(&coarse).len() <= 160);
        assert_eq!(buckets(&coarse).iter().sum::<u64>(), 1_000);
        let (fine, coarse) = (quantile(&fine, 0.5), quantile(&coarse, 0.5));
        assert!(coarse >= fine && coarse < fine * 1.2, "{fine} {coarse}");
    }

    #[test]
    fn the_buckets_of_160_are_as_wide_as_the_docs_say() {
        let widest = |ratio: f64| {
            let fastest = if ratio > 1e6 { 1 } else { 10_000 };
            let slowest = (fastest as f64 * ratio) as u64;
            let scale = exponential(&groups(&snapshot(2, &[fastest, slowest])), 160).scale;
            (2_f64.powf(0.5_f64.powi(scale)) * 1_000.0 - 1_000.0).round() / 10.0
        };
        // From 1 ns to 68.7 s.
        let ratios = [5.6, 1_000.0, 1e6, 6.87e10];
        assert_eq!(ratios.map(widest), [1.1, 4.4, 9.1, 18.9]);
    }

    proptest! {
        #[test]
        fn quantiles_are_off_by_no_more_than_stated(nanos in values(), digits in 1_u8..=3, q in 0.01_f64..1.0) {
            let snapshot = snapshot(digits, &nanos);
            let point = exponential(&groups(&snapshot), 20_000);
            prop_assert_eq!(point.count, nanos.len() as u64);
            let mut sorted = nanos;
            sorted.sort_unstable();
            let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
            let exact = sorted[rank - 1] as f64 / 1e9;
            let read = quantile(&point, q);
            let error = [0.13, 0.015, 0.0025][usize::from(digits) - 1];
            prop_assert!((read - exact).abs() <= exact * error + 1e-9, "{} is read as {}", exact, read);
        }

        #[test]
        fn a_bound_counts_what_is_no_longer_and_little_more(nanos in values(), digits in 1_u8..=3) {
            let snapshot = snapshot(digits, &nanos);
            let point = explicit(&groups(&snapshot), &DEFAULT_BOUNDS);
            prop_assert_eq!(point.bucket_counts.iter().sum::<u64>(), nanos.len() as u64);
            let error = [0.0625, 0.0079, 0.00098][usize::from(digits) - 1];
            let up_to = |limit: f64| nanos.iter().filter(|&&nanos| nanos as f64 <= limit).count() as u64;
            let mut counted = 0;
            for (bound, count) in DEFAULT_BOUNDS.iter().zip(&point.bucket_counts) {
                counted += count;
                prop_assert!(counted >= up_to(bound * 1e9));
                prop_assert!(counted <= up_to(bound * 1e9 * (1.0 + error)));
            }
        }
    }
}
