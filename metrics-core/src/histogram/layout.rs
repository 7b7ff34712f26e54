//! Bucket arithmetic: HdrHistogram's log-linear layout over 0 ..= [`MAX_NANOS`] nanoseconds.
//!
//! No atomics and no storage here, so that it is tested without threads. An *octave* is a block of buckets of the same
//! width. Buckets of the first two octaves are 1 ns wide; those of each later octave are twice as wide as before.
//!
//! | digits | buckets an octave | octaves | buckets | relative error | bytes an octave |
//! |---|---|---|---|---|---|
//! | 1 | 16 | 33 | 528 | < 6.25 % | 128 |
//! | 2 | 128 | 30 | 3,840 | < 0.79 % | 1,024 |
//! | 3 | 1,024 | 27 | 27,648 | < 0.098 % | 8,192 |

/// The largest duration that is not clamped: 2^36 - 1 ns, about 68.7 s.
///
/// Longer ones land in the last bucket and are counted as clamped.
pub const MAX_NANOS: u64 = (1 << 36) - 1;

/// Octaves of the layout that has the most: one significant digit.
pub(crate) const MAX_OCTAVES: usize = Layout::ONE_DIGIT.octaves();

/// Which bucket a value lands in, and which values a bucket stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// log2 of the buckets in an octave.
    magnitude: u32,
}

impl Layout {
    pub(crate) const ONE_DIGIT: Self = Self { magnitude: 4 };
    pub(crate) const TWO_DIGITS: Self = Self { magnitude: 7 };
    pub(crate) const THREE_DIGITS: Self = Self { magnitude: 10 };

    /// The layout with `digits` significant decimal digits, as HdrHistogram derives it: single-unit resolution up to
    /// `2 * 10^digits`, rounded up to a power of two. Half of that power is an octave.
    pub(crate) const fn for_digits(digits: u8) -> Option<Self> {
        match digits {
            1 => Some(Self::ONE_DIGIT),
            2 => Some(Self::TWO_DIGITS),
            3 => Some(Self::THREE_DIGITS),
            _ => None,
        }
    }

    /// The layout with this many buckets in an octave, a power of two.
    pub(crate) const fn with_octave_of(buckets: usize) -> Self {
        Self { magnitude: buckets.ilog2() }
    }

    /// Significant decimal digits: 1, 2 or 3.
    pub(crate) const fn digits(self) -> u8 {
        match self.magnitude {
            4 => 1,
            7 => 2,
            _ => 3,
        }
    }

    /// Buckets in an octave.
    pub(crate) const fn buckets_per_octave(self) -> usize {
        1 << self.magnitude
    }

    /// Octaves up to [`MAX_NANOS`].
    // `#[inline]` here and on `index`: `split` is inlined into other crates, which would have to call them otherwise.
    #[inline]
    pub(crate) const fn octaves(self) -> usize {
        (self.index(MAX_NANOS) >> self.magnitude) + 1
    }

    /// Buckets up to [`MAX_NANOS`].
    pub(crate) const fn buckets(self) -> usize {
        self.index(MAX_NANOS) + 1
    }

    /// The bucket of a value. Not clamped: a value above [`MAX_NANOS`] gets an index past the last bucket.
    #[inline]
    pub(crate) const fn index(self, nanos: u64) -> usize {
        // The mask covers two octaves, because the buckets of both of the first two are 1 ns wide.
        let shift = (nanos | ((2 << self.magnitude) - 1)).ilog2() - self.magnitude;
        ((shift as usize) << self.magnitude) + (nanos >> shift) as usize
    }

    /// The octave of a bucket.
    pub(crate) const fn octave(self, index: usize) -> usize {
        index >> self.magnitude
    }

    /// The position of a bucket in its octave.
    pub(crate) const fn offset(self, index: usize) -> usize {
        index & (self.buckets_per_octave() - 1)
    }

    /// The octave of a value, counted from the second one, and its position in it. Takes fewer instructions than
    /// [`Layout::index`]. `None` for values of the first octave and for those above [`MAX_NANOS`].
    #[inline(always)]
    pub(crate) const fn split(self, nanos: u64) -> Option<(usize, usize)> {
        // The compiler turns `63 ^` into a single `bsr`, which it does not do for `ilog2`.
        let highest_bit = 63 ^ nanos.leading_zeros() as usize;
        // Values of the first octave wrap around to above every octave.
        let shift = highest_bit.wrapping_sub(self.magnitude as usize);
        if shift < self.octaves() - 1 {
            Some((shift, (nanos >> shift) as usize & (self.buckets_per_octave() - 1)))
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

    /// The smallest and the largest value of a bucket, in nanoseconds.
    pub(crate) const fn ends(self, index: usize) -> (u64, u64) {
        (self.lowest(index), self.highest(index))
    }

    /// log2 of the width of a bucket.
    const fn shift(self, index: usize) -> usize {
        self.octave(index).saturating_sub(1)
    }
}

// Not under Miri: plain arithmetic without `unsafe`, which would take an hour there.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    fn layouts() -> impl Strategy<Value = Layout> {
        prop_oneof![Just(Layout::ONE_DIGIT), Just(Layout::TWO_DIGITS), Just(Layout::THREE_DIGITS)]
    }

    /// Values spread evenly over octaves, not over integers.
    fn nanos() -> impl Strategy<Value = u64> {
        (0_u32..36).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits))
    }

    #[test]
    fn every_bucket_begins_where_the_previous_one_ends() {
        for layout in [Layout::ONE_DIGIT, Layout::TWO_DIGITS, Layout::THREE_DIGITS] {
            assert_eq!(layout.lowest(0), 0);
            assert_eq!(layout.highest(layout.buckets() - 1), MAX_NANOS);
            assert_eq!(layout.buckets(), layout.octaves() * layout.buckets_per_octave());
            for index in 1..layout.buckets() {
                assert_eq!(layout.lowest(index), layout.highest(index - 1) + 1, "{layout:?} {index}");
            }
        }
    }

    #[test]
    fn the_docs_table_matches_the_code() {
        let shape = |l: Layout| (l.buckets_per_octave(), l.octaves(), l.buckets());
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
        fn the_relative_error_is_at_most_one_over_the_buckets_per_octave(layout in layouts(), nanos in nanos()) {
            let index = layout.index(nanos);
            let width = layout.highest(index) - layout.lowest(index);
            prop_assert!(width as f64 <= nanos as f64 / layout.buckets_per_octave() as f64);
        }

        #[test]
        fn a_value_above_the_maximum_has_no_octave(layout in layouts(), nanos in MAX_NANOS + 1..) {
            prop_assert!(layout.octave(layout.index(nanos)) >= layout.octaves());
        }

        #[test]
        fn split_agrees_with_index(layout in layouts(), nanos in 0_u64..) {
            let index = layout.index(nanos);
            let inside = nanos >= layout.buckets_per_octave() as u64 && nanos <= MAX_NANOS;
            let expected = inside.then(|| (layout.octave(index) - 1, layout.offset(index)));
            prop_assert_eq!(layout.split(nanos), expected);
        }

        #[test]
        fn split_agrees_with_index_for_values_in_range(layout in layouts(), nanos in nanos()) {
            let index = layout.index(nanos);
            let in_first_octave = nanos < layout.buckets_per_octave() as u64;
            let expected = (!in_first_octave).then(|| (layout.octave(index) - 1, layout.offset(index)));
            prop_assert_eq!(layout.split(nanos), expected);
        }

        #[test]
        fn bounds_match_hdrhistogram(layout in layouts(), nanos in nanos()) {
            let hdr = Histogram::<u64>::new_with_bounds(1, MAX_NANOS, layout.digits()).unwrap();
            let index = layout.index(nanos);
            prop_assert_eq!(layout.lowest(index), hdr.lowest_equivalent(nanos));
            prop_assert_eq!(layout.highest(index), hdr.highest_equivalent(nanos));
            prop_assert_eq!(layout.buckets(), hdr.distinct_values());
        }
    }
}
