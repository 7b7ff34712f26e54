//! Durations in exponential buckets, as Prometheus' native histograms and OpenTelemetry's exponential ones have them.
//!
//! At scale `s` a bucket's upper end is `2^(1 / 2^s)` times its lower end, here in seconds.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use metrics_core::Histogram;

/// The scale for a number of significant digits: the finest whose buckets are nowhere narrower than ours.
pub(crate) fn scale(significant_digits: u8) -> i32 {
    match significant_digits {
        1 => 3,
        2 => 6,
        _ => 9,
    }
}

/// Where the buckets of a histogram go, by their numbers: see [`indices`].
type Indices = Vec<Option<i32>>;

/// For each bucket that a histogram of so many significant digits (1 to 3) can have, the one that it goes to by its middle,
/// at their [`scale`]: that with index `i` holds what is above `2^((i - 1) / 2^scale)` s, up to `2^(i / 2^scale)` s. `None` for
/// the bucket that holds nothing but 0 ns. Ascending.
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
    fn a_scales_buckets_are_nowhere_narrower_than_ours_and_the_next_ones_are() {
        for (digits, half) in [(1_u8, 16.0), (2, 128.0), (3, 1_024.0)] {
            let width = |scale: i32| 2_f64.powf(0.5_f64.powi(scale)) - 1.0;
            assert!(width(scale(digits)) >= 1.0 / half);
            assert!(width(scale(digits) + 1) < 1.0 / half);
        }
    }

    #[test]
    fn a_bucket_holds_what_is_at_its_upper_end() {
        let index = |lowest: u64, highest| index(&(lowest..=highest), 6);
        assert_eq!(index(0, 0), None);
        assert_eq!(index(1_000_000_000, 1_000_000_000), Some(0));
        assert_eq!(index(1_000_000_001, 1_000_000_001), Some(1));
        assert_eq!(index(500_000_000, 500_000_000), Some(-64));
    }

    #[test]
    fn there_is_an_index_for_each_bucket_in_ascending_order() {
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
