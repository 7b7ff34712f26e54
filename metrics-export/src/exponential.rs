//! Exponential buckets, as in Prometheus' native and OpenTelemetry's exponential histograms.
//!
//! At scale `s`, the upper end of a bucket is `2^(1 / 2^s)` times its lower end. Ends are in seconds.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use metrics_core::Histogram;

/// Returns the scale for a number of significant digits: the finest whose buckets are nowhere narrower than ours.
pub(crate) fn scale(significant_digits: u8) -> i32 {
    match significant_digits {
        1 => 3,
        2 => 6,
        _ => 9,
    }
}

/// The exponential bucket of each bucket of a histogram: see [`indices`].
type Indices = Vec<Option<i32>>;

/// Returns, for each bucket of a histogram with this number of significant digits (1 to 3), the index of the
/// exponential bucket that holds its middle, at the [`scale`] of these digits. Bucket `i` holds durations above `2^((i
/// - 1) / 2^scale)` s and up to `2^(i / 2^scale)` s. The bucket of 0 ns has no index. The indices ascend.
pub(crate) fn indices(significant_digits: u8) -> &'static [Option<i32>] {
    static INDICES: [LazyLock<Indices>; 3] =
        [LazyLock::new(|| table(1)), LazyLock::new(|| table(2)), LazyLock::new(|| table(3))];
    &INDICES[usize::from(significant_digits.clamp(1, 3)) - 1]
}

fn table(significant_digits: u8) -> Indices {
    let bounds = Histogram::bounds(significant_digits);
    bounds.map(|bounds| index(&bounds, scale(significant_digits))).collect()
}

fn index(bounds: &RangeInclusive<u64>, scale: i32) -> Option<i32> {
    if *bounds.end() == 0 {
        return None;
    }
    let seconds = (*bounds.start() as f64 + *bounds.end() as f64) / 2e9;
    Some((seconds.log2() * f64::from(1 << scale)).ceil() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_buckets_are_never_narrower_than_ours_but_would_be_at_the_next_scale() {
        for (digits, half) in [(1_u8, 16.0), (2, 128.0), (3, 1_024.0)] {
            let width = |scale: i32| 2_f64.powf(0.5_f64.powi(scale)) - 1.0;
            assert!(width(scale(digits)) >= 1.0 / half);
            assert!(width(scale(digits) + 1) < 1.0 / half);
        }
    }

    #[test]
    fn a_bucket_includes_its_upper_end() {
        let index = |lowest: u64, highest| index(&(lowest..=highest), 6);
        assert_eq!(index(0, 0), None);
        assert_eq!(index(1_000_000_000, 1_000_000_000), Some(0));
        assert_eq!(index(1_000_000_001, 1_000_000_001), Some(1));
        assert_eq!(index(500_000_000, 500_000_000), Some(-64));
    }

    #[test]
    fn each_bucket_has_an_index_in_ascending_order() {
        for digits in 1..=3 {
            let indices = indices(digits);
            assert!(indices.is_sorted());
            assert_eq!(indices.iter().filter(|index| index.is_none()).count(), 1);
            let (first, counts) = (indices.len() - 1, [1]);
            assert!(Histogram::from_buckets(digits, first, &counts).is_ok());
            assert!(Histogram::from_buckets(digits, first + 1, &counts).is_err());
        }
    }
}
