//! Durations as a `DDSketch`, in the Agent's protobuf.

use std::collections::BTreeMap;

use metrics_core::Histogram;

use crate::wire::Wire;

/// The ratio of a bin's ends: 1 + 1/64, as in Datadog's backend and in libdatadog, so that adding up sketches there
/// loses nothing. See `LogMapping` in <https://github.com/DataDog/libdatadog/blob/main/libdd-ddsketch/src/lib.rs>.
const GAMMA: f64 = 1.015_625;

/// Bin `i` begins at `GAMMA^(i - OFFSET)`; also from `LogMapping`.
const OFFSET: f64 = 1_338.5;

/// Field numbers of `DDSketch`, in `DDSketch.proto` of the same repository.
const MAPPING: u8 = 1;
const POSITIVE_VALUES: u8 = 2;
const NEGATIVE_VALUES: u8 = 3;
const ZERO_COUNT: u8 = 4;
/// Field numbers of its `IndexMapping`.
const MAPPING_GAMMA: u8 = 1;
const MAPPING_OFFSET: u8 = 2;
/// Field numbers of its `Store`.
const STORE_COUNTS: u8 = 2;
const STORE_FIRST: u8 = 3;

/// Counts of durations, in nanoseconds, by bin.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    zeros: u64,
    /// At most 1,610 bins, since durations end at 68.7 s; Datadog keeps 2,048.
    bins: BTreeMap<i32, u64>,
}

impl Sketch {
    /// Adds durations, each bucket to the bin of its middle.
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for bucket in histogram.buckets() {
            let count = match bucket.highest {
                0 => &mut self.zeros,
                _ => self
                    .bins
                    .entry(bin(bucket.lowest as f64 / 2.0 + bucket.highest as f64 / 2.0))
                    .or_default(),
            };
            *count = count.saturating_add(bucket.count);
        }
    }

    /// Encodes the sketch in protobuf. Its counts are floats, which are exact up to 2^53.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut wire = Wire(&mut out);
        wire.nested(MAPPING, |wire| {
            wire.double(MAPPING_GAMMA, GAMMA);
            wire.double(MAPPING_OFFSET, OFFSET);
        });
        wire.nested(POSITIVE_VALUES, |wire| {
            let (Some((&first, _)), Some((&last, _))) =
                (self.bins.first_key_value(), self.bins.last_key_value())
            else {
                return;
            };
            // Datadog reads contiguous bins only, not those with explicit indices.
            wire.nested(STORE_COUNTS, |Wire(out)| {
                for index in first..=last {
                    let count = self.bins.get(&index).copied().unwrap_or(0);
                    out.extend_from_slice(&(count as f64).to_le_bytes());
                }
            });
            wire.sint(STORE_FIRST, first);
        });
        wire.nested(NEGATIVE_VALUES, |_| {});
        wire.double(ZERO_COUNT, self.zeros as f64);
        out
    }
}

/// The index of the bin for a duration above 0.
fn bin(nanos: f64) -> i32 {
    (nanos.ln() / GAMMA.ln() + OFFSET).floor() as i32
}

#[cfg(test)]
mod tests {
    use metrics_core::Registry;
    use proptest::prelude::*;

    use super::*;

    /// The value that Datadog reads from a bin.
    fn value(bin: i32) -> f64 {
        let accuracy = (GAMMA - 1.0) / (GAMMA + 1.0);
        GAMMA.powf(f64::from(bin) - OFFSET) * (1.0 + accuracy)
    }

    fn quantile(sketch: &Sketch, rank: u64) -> f64 {
        let mut below = sketch.zeros;
        if rank <= below {
            return 0.0;
        }
        for (&bin, count) in &sketch.bins {
            below += count;
            if rank <= below {
                return value(bin);
            }
        }
        panic!("no rank {rank} in {sketch:?}");
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let octave = (0_u32..36).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits));
        prop::collection::vec(octave, 1..200)
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_stated_error_and_counts_are_exact(
            mut nanos in values(), digits in 1_u8..=3, q in 0.0_f64..1.0,
        ) {
            let registry = Registry::builder().significant_digits(digits).build().unwrap();
            let root = registry.endpoint("GET", "/");
            nanos.iter().for_each(|&nanos| registry.record_nanos(root, 200, nanos));
            let histogram = registry.snapshot().histogram();
            let mut sketch = Sketch::default();
            sketch.add(&histogram);
            prop_assert_eq!(sketch.zeros + sketch.bins.values().sum::<u64>(), nanos.len() as u64);
            prop_assert!(sketch.bins.len() <= 1_610);

            nanos.sort_unstable();
            let rank = (q * nanos.len() as f64).ceil().max(1.0);
            let exact = nanos[rank as usize - 1] as f64;
            let (read, ours) = (quantile(&sketch, rank as u64), histogram.value_at_quantile(q.max(1e-9)) as f64);
            let error = [0.04, 0.012, 0.009][usize::from(digits) - 1];
            prop_assert!((read - exact).abs() <= exact * error, "{} is read as {}", exact, read);
            prop_assert!((read - ours).abs() <= ours * error, "{} is read as {}", ours, read);
        }
    }

    #[test]
    fn the_constants_are_those_of_libdatadog() {
        let accuracy: f64 = 0.007_751_937_984_496_124;
        let gamma = (1.0 + accuracy) / (1.0 - accuracy);
        assert!((gamma - GAMMA).abs() < 1e-15);
        assert_eq!(1.0 - (1e-9_f64.ln() / GAMMA.ln()).floor() + 0.5, OFFSET);
        assert_eq!(bin(1.0), 1_338);
    }

    #[test]
    fn an_empty_sketch_has_a_mapping() {
        let encoded = Sketch::default().encode();
        // Two doubles of 9 bytes each, two empty stores, and a double.
        assert_eq!((encoded.len(), &encoded[..2]), (2 + 18 + 2 + 2 + 9, &[0x0a, 18][..]));
    }
}
