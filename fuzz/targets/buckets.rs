//! Checks that buckets, sums and quantiles match those of `hdrhistogram` for the same values, at every precision.

#![no_main]

use arbitrary::Arbitrary;
use hdrhistogram::Histogram;
use libfuzzer_sys::fuzz_target;
use metrics_core::{MAX_NANOS, Registry};

/// The longest duration that the sum and the maximum keep exactly.
const MAX_EXACT_NANOS: u64 = 1 << 48;

#[derive(Debug, Arbitrary)]
struct Input {
    digits: Digits,
    quantiles: [u16; 2],
    durations: Vec<Duration>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Digits {
    One = 1,
    Two,
    Three,
}

/// Shifted, so that all octaves are equally likely.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Duration {
    bits: u64,
    shift: u8,
}

impl Duration {
    fn nanos(self) -> u64 {
        self.bits >> (self.shift % 64)
    }
}

fuzz_target!(|input: Input| {
    let digits = input.digits as u8;
    let registry = Registry::builder().max_series(1).significant_digits(digits).build().unwrap();
    let endpoint = registry.endpoint("GET", "/");
    let recorder = registry.recorder();
    let mut hdr = Histogram::<u64>::new_with_bounds(1, MAX_NANOS, digits).unwrap();
    let (mut sum, mut clamped) = (0, 0);
    for nanos in input.durations.iter().map(|duration| duration.nanos()) {
        recorder.record_nanos(endpoint, 200, nanos);
        hdr.saturating_record(nanos);
        sum += nanos.min(MAX_EXACT_NANOS);
        clamped += u64::from(nanos > MAX_NANOS);
    }

    let snapshot = registry.snapshot();
    let ours = snapshot.histogram();
    assert_eq!((ours.total(), ours.significant_digits()), (hdr.len(), digits));
    assert_eq!(ours.to_hdr(), hdr);
    for quantile in
        [0.0, 0.5, 0.95, 0.99, 1.0].into_iter().chain(input.quantiles.map(|share| f64::from(share) / 65_535.0))
    {
        assert_eq!(ours.value_at_quantile(quantile), hdr.value_at_quantile(quantile), "{quantile}");
    }
    for bucket in ours.buckets() {
        assert_eq!(bucket.lowest, hdr.lowest_equivalent(bucket.highest));
        assert_eq!(bucket.highest, hdr.highest_equivalent(bucket.lowest));
        assert_eq!(bucket.count, hdr.count_at(bucket.lowest));
    }
    let durations = || input.durations.iter().map(|duration| duration.nanos().min(MAX_EXACT_NANOS));
    for group in snapshot.endpoints().flat_map(|endpoint| endpoint.groups()) {
        assert_eq!((group.sum_nanos(), group.clamped()), (sum, clamped));
        let extremes = (durations().min(), durations().max());
        assert_eq!((Some(group.min_nanos()), Some(group.max_nanos())), extremes);
    }
});
