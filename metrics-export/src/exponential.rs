//! Durations in exponential buckets, as Prometheus' native histograms and OpenTelemetry's exponential ones have them.
//!
//! At scale `s` a bucket's upper end is `2^(1 / 2^s)` times its lower end, here in seconds.

use metrics_core::Bucket;

/// The scale for a number of significant digits: the finest whose buckets are nowhere narrower than ours.
pub(crate) fn scale(significant_digits: u8) -> i32 {
    match significant_digits {
        1 => 3,
        2 => 6,
        _ => 9,
    }
}

/// Which bucket one of ours goes to, by its middle: that with index `i` holds what is above `2^((i - 1) / 2^scale)` s, up to
/// `2^(i / 2^scale)` s. `None` for the one that holds nothing but 0 ns.
pub(crate) fn index(bucket: &Bucket, scale: i32) -> Option<i32> {
    if bucket.highest == 0 {
        return None;
    }
    let seconds = (bucket.lowest as f64 + bucket.highest as f64) / 2e9;
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
        let index = |lowest, highest| index(&Bucket { lowest, highest, count: 1 }, 6);
        assert_eq!(index(0, 0), None);
        assert_eq!(index(1_000_000_000, 1_000_000_000), Some(0));
        assert_eq!(index(1_000_000_001, 1_000_000_001), Some(1));
        assert_eq!(index(500_000_000, 500_000_000), Some(-64));
    }
}
