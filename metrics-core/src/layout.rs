//! Bucket arithmetic: HdrHistogram's log-linear layout over 0 ..= [`MAX_NANOS`] nanoseconds.
//!
//! No atomics and no storage here, so that it is tested without threads. An *octave* is a block of `half` buckets of
//! one width; the first two octaves have width 1, and each later one twice the width of the one before it.
//!
//! | digits | buckets an octave | octaves | buckets | relative error | bytes an octave |
//! |---|---|---|---|---|---|
//! | 1 | 16 | 33 | 528 | < 6.25 % | 128 |
//! | 2 | 128 | 30 | 3,840 | < 0.79 % | 1,024 |
//! | 3 | 1,024 | 27 | 27,648 | < 0.098 % | 8,192 |

/// The largest duration that has a bucket of its own: 2^36 - 1 ns, about 68.7 s.
///
/// Longer ones land in the last bucket and are counted as clamped.
pub const MAX_NANOS: u64 = (1 << 36) - 1;

/// Octaves of the layout that has the most of them (one significant digit).
pub(crate) const MAX_OCTAVES: usize = Layout::ONE_DIGIT.octaves();

/// Where a value lands, and which values a bucket stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// log2 of the buckets in an octave.
    magnitude: u32,
}

impl Layout {
    pub(crate) const ONE_DIGIT: Self = Self { magnitude: 4 };
    pub(crate) const TWO_DIGITS: Self = Self { magnitude: 7 };
    pub(crate) const THREE_DIGITS: Self = Self { magnitude: 10 };

    /// The layout that keeps `digits` significant decimal digits, as HdrHistogram derives it: single-unit resolution
    /// up to `2 * 10^digits`, rounded up to a power of two, half of which is an octave.
    pub(crate) const fn for_digits(digits: u8) -> Option<Self> {
        match digits {
            1 => Some(Self::ONE_DIGIT),
            2 => Some(Self::TWO_DIGITS),
            3 => Some(Self::THREE_DIGITS),
            _ => None,
        }
    }

    /// The layout whose octaves hold `half` buckets. `half` is a power of two.
    pub(crate) const fn with_octave_of(half: usize) -> Self {
        Self { magnitude: half.ilog2() }
    }

    /// Significant decimal digits kept: 1, 2 or 3.
    pub(crate) const fn digits(self) -> u8 {
        match self.magnitude {
            4 => 1,
            7 => 2,
            _ => 3,
        }
    }

    /// Buckets in an octave.
    pub(crate) const fn half(self) -> usize {
        1 << self.magnitude
    }

    /// Octaves up to [`MAX_NANOS`].
    // Inlined, as is `index`, because `split` is, into crates that would else call them.
    #[inline]
    pub(crate) const fn octaves(self) -> usize {
        (self.index(MAX_NANOS) >> self.magnitude) + 1
    }

    /// Buckets up to [`MAX_NANOS`].
    pub(crate) const fn buckets(self) -> usize {
        self.index(MAX_NANOS) + 1
    }

    /// The bucket of a value, unclamped: a value above [`MAX_NANOS`] gets an index past the last bucket.
    #[inline]
    pub(crate) const fn index(self, nanos: u64) -> usize {
        // Both of the first two octaves have width 1, hence the mask over two of them.
        let shift = (nanos | ((2 << self.magnitude) - 1)).ilog2() - self.magnitude;
        ((shift as usize) << self.magnitude) + (nanos >> shift) as usize
    }

    /// The octave of a bucket.
    pub(crate) const fn octave(self, index: usize) -> usize {
        index >> self.magnitude
    }

    /// The place of a bucket in its octave.
    pub(crate) const fn offset(self, index: usize) -> usize {
        index & (self.half() - 1)
    }

    /// Octave and place of a value, by a shorter way than [`Layout::index`]: the octave is counted from the second one
    /// on. `None` for the values below, which are under `half` ns, and for those above [`MAX_NANOS`].
    #[inline(always)]
    pub(crate) const fn split(self, nanos: u64) -> Option<(usize, usize)> {
        // `63 ^` for the index of the highest bit, and not `ilog2`, lets the compiler see that this is one `bsr`.
        let highest_bit = 63 ^ nanos.leading_zeros() as usize;
        // Values of the first octave wrap around, and are above every octave that way.
        let shift = highest_bit.wrapping_sub(self.magnitude as usize);
        if shift < self.octaves() - 1 {
            Some((shift, (nanos >> shift) as usize & (self.half() - 1)))
        } else {
            None
        }
    }

    /// The smallest value of a bucket, in nanoseconds.
    pub(crate) const fn lowest(self, index: usize) -> u64 {
        let shift = self.shift(index);
        ((index - (shift << self.magnitude)) as u64) << shift
    }

    /// The largest value of a bucket, in nanoseconds.
    pub(crate) const fn highest(self, index: usize) -> u64 {
        self.lowest(index) + (1 << self.shift(index)) - 1
    }

    /// log2 of the width of a bucket.
    const fn shift(self, index: usize) -> usize {
        self.octave(index).saturating_sub(1)
    }
}

// Not under Miri: plain arithmetic without `unsafe`, on which it would spend an hour.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    fn layouts() -> impl Strategy<Value = Layout> {
        prop_oneof![Just(Layout::ONE_DIGIT), Just(Layout::TWO_DIGITS), Just(Layout::THREE_DIGITS)]
    }

    /// Values spread evenly over the octaves, not over the integers.
    fn nanos() -> impl Strategy<Value = u64> {
        (0_u32..36).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits))
    }

    #[test]
    fn every_bucket_begins_where_the_one_before_it_ends() {
        for layout in [Layout::ONE_DIGIT, Layout::TWO_DIGITS, Layout::THREE_DIGITS] {
            assert_eq!(layout.lowest(0), 0);
            assert_eq!(layout.highest(layout.buckets() - 1), MAX_NANOS);
            assert_eq!(layout.buckets(), layout.octaves() * layout.half());
            for index in 1..layout.buckets() {
                assert_eq!(layout.lowest(index), layout.highest(index - 1) + 1, "{layout:?} {index}");
            }
        }
    }

    #[test]
    fn the_table_in_the_docs_is_what_the_code_does() {
        let shape = |l: Layout| (l.half(), l.octaves(), l.buckets());
        assert_eq!(shape(Layout::ONE_DIGIT), (16, 33, 528));
        assert_eq!(shape(Layout::TWO_DIGITS), (128, 30, 3_840));
        assert_eq!(shape(Layout::THREE_DIGITS), (1_024, 27, 27_648));
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(layout in layouts(), nanos in nanos()) {
            let index = layout.index(nanos);
            prop_assert!(layout.lowest(index) <= nanos && nanos <= layout.highest(index));
        }

        #[test]
        fn the_relative_error_is_below_one_part_in_an_octave(layout in layouts(), nanos in nanos()) {
            let index = layout.index(nanos);
            let width = layout.highest(index) - layout.lowest(index);
            prop_assert!(width as f64 <= nanos as f64 / layout.half() as f64);
        }

        #[test]
        fn a_value_above_the_maximum_has_no_octave(layout in layouts(), nanos in MAX_NANOS + 1..) {
            prop_assert!(layout.octave(layout.index(nanos)) >= layout.octaves());
        }

        #[test]
        fn the_short_way_leads_to_the_same_bucket(layout in layouts(), nanos in 0_u64..) {
            let index = layout.index(nanos);
            let inside = nanos >= layout.half() as u64 && nanos <= MAX_NANOS;
            let long_way = inside.then(|| (layout.octave(index) - 1, layout.offset(index)));
            prop_assert_eq!(layout.split(nanos), long_way);
        }

        #[test]
        fn the_short_way_leads_to_the_same_bucket_in_range(layout in layouts(), nanos in nanos()) {
            let index = layout.index(nanos);
            let long_way = (nanos >= layout.half() as u64).then(|| (layout.octave(index) - 1, layout.offset(index)));
            prop_assert_eq!(layout.split(nanos), long_way);
        }

        #[test]
        fn bounds_are_those_of_hdrhistogram(layout in layouts(), nanos in nanos()) {
            let hdr = Histogram::<u64>::new_with_bounds(1, MAX_NANOS, layout.digits()).unwrap();
            let index = layout.index(nanos);
            prop_assert_eq!(layout.lowest(index), hdr.lowest_equivalent(nanos));
            prop_assert_eq!(layout.highest(index), hdr.highest_equivalent(nanos));
            prop_assert_eq!(layout.buckets(), hdr.distinct_values());
        }
    }
}
