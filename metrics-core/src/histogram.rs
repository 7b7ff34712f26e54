//! A merged histogram: plain numbers in HdrHistogram's buckets.

mod eighths;
mod quantiles;
mod sum;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::layout::{Layout, MAX_NANOS};

use self::eighths::Eighths;
pub(crate) use self::quantiles::values_at_quantiles;
pub(crate) use self::sum::Sum;

/// What a bucket can count, here: what fits its serialised form. Nobody records for as long as it would take.
const MAX_COUNT: u64 = i64::MAX as u64;

/// As long as all counts are below this, as good as always, no sum over the buckets overflows.
const SMALL_COUNT: u64 = u64::MAX / Layout::THREE_DIGITS.buckets() as u64;

/// How often which durations occurred, in HdrHistogram's buckets, without the empty ones at either end.
///
/// Holds exactly what an [`hdrhistogram::Histogram`] of the same precision holds that was fed with the same values,
/// and gives the same quantiles, to the bit. Unit: nanoseconds. Relative error: 6.25 %, 0.79 % or 0.098 % for 1, 2 or
/// 3 significant digits.
///
/// Serialised as the number of digits and the buckets' counts in order, a run of empty ones as minus its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Runs", try_from = "Runs")]
pub struct Histogram {
    layout: Layout,
    /// The index of the first of `counts`.
    first: usize,
    /// Neither its first nor its last element is 0.
    counts: Vec<u64>,
    eighths: Eighths,
    total: u64,
}

/// One bucket of a [`Histogram`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The smallest duration that lands here, in nanoseconds.
    pub lowest: u64,
    /// The largest duration that lands here, in nanoseconds.
    pub highest: u64,
    /// How many landed here. Never 0.
    pub count: u64,
}

impl Histogram {
    pub(crate) fn empty(layout: Layout) -> Self {
        Self { layout, first: 0, counts: Vec::new(), eighths: Eighths::default(), total: 0 }
    }

    /// Takes the counts of the buckets from `first` on.
    pub(crate) fn from_counts(layout: Layout, first: usize, counts: &[u64]) -> Self {
        let Some(skip) = counts.iter().position(|&count| count != 0) else { return Self::empty(layout) };
        let end = counts.iter().rposition(|&count| count != 0).map_or(0, |last| last + 1);
        let counts = &counts[skip..end];
        let (all, sum) =
            counts.iter().fold((0, 0_u64), |(all, sum), &count| (all | count, sum.wrapping_add(count)));
        let (counts, total) = if all < SMALL_COUNT {
            (counts.to_vec(), sum)
        } else {
            let counts: Vec<_> = counts.iter().map(|&count| count.min(MAX_COUNT)).collect();
            let total = counts.iter().fold(0_u64, |sum, &count| sum.saturating_add(count));
            (counts, total)
        };
        let first = first + skip;
        let eighths = Eighths::of(layout, first, &counts);
        Self { layout, first, counts, eighths, total }
    }

    /// The smallest and the largest duration of each bucket that a histogram of so many significant digits can have, in
    /// nanoseconds, in order: first those that [`Histogram::counts`] numbers 0. None unless digits are 1, 2 or 3.
    pub fn bounds(significant_digits: u8) -> impl Iterator<Item = RangeInclusive<u64>> {
        let layout = Layout::for_digits(significant_digits);
        let bounds = |layout: Layout| {
            (0..layout.buckets()).map(move |index| layout.lowest(index)..=layout.highest(index))
        };
        layout.into_iter().flat_map(bounds)
    }

    /// Significant decimal digits: 1, 2 or 3.
    pub fn significant_digits(&self) -> u8 {
        self.layout.digits()
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// How many durations were recorded.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The buckets that are not empty, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.indexed().map(|(index, count)| Bucket {
            lowest: self.layout.lowest(index),
            highest: self.layout.highest(index),
            count,
        })
    }

    /// For each bound in nanoseconds, ascending, how many durations are in buckets that begin at it or below. Together in one pass
    /// over the eighths of octaves, and a part of one for each bound.
    pub fn cumulative(&self, bounds: impl IntoIterator<Item = u64>) -> impl Iterator<Item = u64> {
        // Nothing wraps unless the total, which stops at its largest number, is that already.
        let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, &count| sum.wrapping_add(count));
        let size = Eighths::buckets(self.layout);
        let mut eighths = self.eighths.indexed().peekable();
        let mut whole = 0_u64;
        bounds.into_iter().map(move |bound| {
            let end = self.layout.index(bound).saturating_add(1).min(self.end());
            while let Some((_, sum)) = eighths.next_if(|&(eighth, _)| (eighth + 1) * size <= end) {
                whole = whole.wrapping_add(sum);
            }
            // The part of the next one, unless there is nothing in it to look for.
            let part = eighths.peek().filter(|&&(_, sum)| sum > 0).and_then(|&(eighth, _)| {
                let begun = (eighth * size).max(self.first) - self.first;
                self.counts.get(begun..end.checked_sub(self.first)?)
            });
            whole.wrapping_add(part.map_or(0, sum))
        })
    }

    /// The duration in nanoseconds that a share `quantile` (0 ..= 1) of all durations does not exceed; 0 when empty.
    ///
    /// As in HdrHistogram: the largest value of the bucket in which the quantile falls. Exactly 0 gives the smallest value
    /// of the first bucket, what is below 0 or not a number its largest one; a quantile above 1 is 1.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        values_at_quantiles(self.layout, std::iter::once(self), [quantile])[0]
    }

    /// The same counts as a histogram of the `hdrhistogram` crate, 1 ns to [`MAX_NANOS`].
    pub fn to_hdr(&self) -> hdrhistogram::Histogram<u64> {
        let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, MAX_NANOS, self.layout.digits())
            .expect("the bounds and the digits are in hdrhistogram's range");
        for (index, count) in self.indexed() {
            hdr.saturating_record_n(self.layout.lowest(index), count);
        }
        hdr
    }

    /// Adds one duration of the bucket with this index.
    pub(crate) fn count(&mut self, index: usize) {
        if self.counts.is_empty() {
            self.first = index;
        }
        if index < self.first {
            self.counts.splice(..0, std::iter::repeat_n(0, self.first - index));
            self.first = index;
        }
        let at = index - self.first;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        if self.counts[at] < MAX_COUNT {
            self.counts[at] += 1;
            self.eighths.count(self.layout, index);
            self.total = self.total.saturating_add(1);
        }
    }

    /// Adds what came on top of an earlier state of another histogram; see [`Sum::add_difference`].
    pub(crate) fn add_difference(&mut self, now: &Self, earlier: &Self) {
        let mut sum = Sum::new(self.layout);
        sum.add_difference(now, earlier);
        self.merge(&sum.take()).expect("all histograms of a registry have its precision");
    }

    /// Adds another histogram's counts.
    ///
    /// # Errors
    ///
    /// When the two do not keep the same number of significant digits; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.layout != other.layout {
            return Err(MergeError::SignificantDigits {
                ours: self.layout.digits(),
                theirs: other.layout.digits(),
            });
        }
        if other.counts.is_empty() {
            return Ok(());
        }
        if !self.counts.is_empty() && self.first <= other.first && other.end() <= self.end() {
            // In place, as it is once there are many in it.
            let ours = self.counts[other.first - self.first..].iter_mut();
            let pairs = ours.zip(&other.counts);
            if let Some(total) = self.total.checked_add(other.total).filter(|&total| total <= MAX_COUNT) {
                // No bucket counts more than all do, so none is over either.
                pairs.for_each(|(ours, theirs)| *ours += theirs);
                self.eighths.add(&other.eighths);
                self.total = total;
                return Ok(());
            }
            pairs.for_each(|(ours, theirs)| *ours = ours.saturating_add(*theirs).min(MAX_COUNT));
            self.eighths = Eighths::of(self.layout, self.first, &self.counts);
            self.total = self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count));
            return Ok(());
        }
        let first = if self.counts.is_empty() { other.first } else { self.first.min(other.first) };
        let end = self.end().max(other.end());
        let mut counts = vec![0_u64; end - first];
        for histogram in [&*self, other] {
            let sums = counts.iter_mut().skip(histogram.first.saturating_sub(first));
            sums.zip(&histogram.counts).for_each(|(sum, &count)| *sum = sum.saturating_add(count));
        }
        *self = Self::from_counts(self.layout, first, &counts);
        Ok(())
    }

    /// What came on top of an earlier state of the same histogram. A bucket that shrank yields 0.
    pub(crate) fn difference(&self, earlier: &Self) -> Self {
        let mut counts = self.counts.clone();
        let ours = counts.iter_mut().skip(earlier.first.saturating_sub(self.first));
        let theirs = earlier.counts.iter().skip(self.first.saturating_sub(earlier.first));
        ours.zip(theirs).for_each(|(ours, theirs)| *ours = ours.saturating_sub(*theirs));
        Self::from_counts(self.layout, self.first, &counts)
    }

    /// The bounds of the lowest and of the highest bucket in use, in nanoseconds.
    pub(crate) fn ends(&self) -> Option<(Bucket, Bucket)> {
        let bucket = |at: usize| Bucket {
            lowest: self.layout.lowest(self.first + at),
            highest: self.layout.highest(self.first + at),
            count: self.counts[at],
        };
        let last = self.counts.len().checked_sub(1)?;
        Some((bucket(0), bucket(last)))
    }

    /// This without durations that an earlier state does not have, until no more than `total` are left, or none of these.
    pub(crate) fn cut_down_to(self, total: u64, earlier: Option<&Self>) -> Self {
        let mut excess = self.total.saturating_sub(total);
        if excess == 0 {
            return self;
        }
        let before = |index: usize| earlier.map_or(0, |earlier| earlier.count_at(index));
        let mut counts = self.counts;
        for (index, count) in (self.first..).zip(&mut counts) {
            let cut = count.saturating_sub(before(index)).min(excess);
            *count -= cut;
            excess -= cut;
        }
        Self::from_counts(self.layout, self.first, &counts)
    }

    /// How many are in the bucket with this index.
    fn count_at(&self, index: usize) -> u64 {
        index.checked_sub(self.first).and_then(|at| self.counts.get(at)).copied().unwrap_or(0)
    }

    /// The index of the first of the counts, and these.
    pub(crate) fn dense(&self) -> (usize, &[u64]) {
        (self.first, &self.counts)
    }

    fn end(&self) -> usize {
        self.first + self.counts.len()
    }

    /// The buckets that are not empty, by index, and their counts.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        (self.first..).zip(self.counts.iter().copied()).filter(|&(_, count)| count != 0)
    }
}

/// Two states that cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The histograms keep different numbers of significant digits; build all registries of a fleet with the same.
    #[error("histograms of {theirs} significant digits cannot be added to ones of {ours}")]
    SignificantDigits {
        /// What the state that was to be added to keeps.
        ours: u8,
        /// What the other state keeps.
        theirs: u8,
    },
    /// The statuses are grouped differently; build all registries of a fleet with the same granularity.
    #[error("histograms by {theirs:?} cannot be added to ones by {ours:?}")]
    Granularity {
        /// How the state that was to be added to groups its statuses.
        ours: crate::Granularity,
        /// How the other state groups them.
        theirs: crate::Granularity,
    },
}

/// The serialised form: each bucket's count in order, and for a run of empty ones the length of the run, negative.
#[derive(Serialize, Deserialize)]
struct Runs {
    digits: u8,
    counts: Vec<i64>,
}

impl From<Histogram> for Runs {
    fn from(histogram: Histogram) -> Self {
        let mut counts = Vec::new();
        let mut next = 0;
        for (index, count) in histogram.indexed() {
            if index > next {
                counts.push(-((index - next) as i64));
            }
            counts.push(count as i64);
            next = index + 1;
        }
        Self { digits: histogram.layout.digits(), counts }
    }
}

impl TryFrom<Runs> for Histogram {
    type Error = String;

    fn try_from(runs: Runs) -> Result<Self, Self::Error> {
        let layout = Layout::for_digits(runs.digits)
            .ok_or_else(|| format!("digits is {}; allowed: 1 to 3", runs.digits))?;
        let mut counts = Vec::new();
        let mut first = 0;
        for run in runs.counts {
            let length = if run < 0 { run.unsigned_abs() } else { 1 };
            let end = (first + counts.len()) as u64;
            if end.saturating_add(length) > layout.buckets() as u64 {
                return Err(format!("there are more than {} buckets", layout.buckets()));
            }
            match u64::try_from(run) {
                Ok(count) => counts.push(count),
                Err(_) if counts.is_empty() => first += length as usize,
                Err(_) => counts.resize(counts.len() + length as usize, 0),
            }
        }
        Ok(Self::from_counts(layout, first, &counts))
    }
}

// Not under Miri: plain arithmetic without `unsafe`, on which it would spend an hour.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAYOUTS: [Layout; 3] = [Layout::ONE_DIGIT, Layout::TWO_DIGITS, Layout::THREE_DIGITS];
    const QUANTILES: [f64; 12] = [0.0, 1e-9, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0, 7.0];

    fn of(layout: Layout, values: &[u64]) -> Histogram {
        let mut counts = vec![0; layout.buckets()];
        values.iter().for_each(|&value| counts[layout.index(value.min(MAX_NANOS))] += 1);
        Histogram::from_counts(layout, 0, &counts)
    }

    fn hdr_of(layout: Layout, values: &[u64]) -> hdrhistogram::Histogram<u64> {
        let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, MAX_NANOS, layout.digits()).unwrap();
        values.iter().for_each(|&value| hdr.saturating_record(value));
        hdr
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let octave = (0_u32..38).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits));
        prop::collection::vec(octave, 0..300)
    }

    proptest! {
        #[test]
        fn it_is_what_hdrhistogram_makes_of_the_same_values(values in values(), at in 0_usize..3, q in 0.0..1.0) {
            let (ours, hdr) = (of(LAYOUTS[at], &values), hdr_of(LAYOUTS[at], &values));
            prop_assert_eq!(&ours.to_hdr(), &hdr);
            prop_assert_eq!(ours.total(), hdr.len());
            for quantile in QUANTILES.into_iter().chain([q, -1.0, f64::NAN]) {
                prop_assert_eq!(ours.value_at_quantile(quantile), hdr.value_at_quantile(quantile), "{}", quantile);
            }
        }

        #[test]
        fn merging_is_recording_both_and_the_difference_takes_it_back(a in values(), b in values()) {
            let layout = Layout::TWO_DIGITS;
            let mut merged = of(layout, &a);
            merged.merge(&of(layout, &b)).unwrap();
            prop_assert_eq!(&merged, &of(layout, &[a.clone(), b.clone()].concat()));
            prop_assert_eq!(merged.difference(&of(layout, &a)), of(layout, &b));
        }

        #[test]
        fn quantiles_of_several_are_those_of_their_sum(
            sets in prop::collection::vec(values(), 0..5),
            at in 0_usize..3,
        ) {
            let histograms: Vec<_> = sets.iter().map(|set| of(LAYOUTS[at], set)).collect();
            let in_one_pass = values_at_quantiles(LAYOUTS[at], histograms.iter(), QUANTILES);
            let hdr = hdr_of(LAYOUTS[at], &sets.concat());
            prop_assert_eq!(in_one_pass, QUANTILES.map(|quantile| hdr.value_at_quantile(quantile)));
        }

        #[test]
        fn counting_one_by_one_is_counting_all(values in values(), at in 0_usize..3) {
            let mut one_by_one = Histogram::empty(LAYOUTS[at]);
            values.iter().for_each(|&value| one_by_one.count(LAYOUTS[at].index(value.min(MAX_NANOS))));
            prop_assert_eq!(one_by_one, of(LAYOUTS[at], &values));
        }

        #[test]
        fn what_is_up_to_a_bound_is_the_sum_of_the_buckets_up_to_it(
            values in values(),
            at in 0_usize..3,
            bounds in values(),
        ) {
            let histogram = of(LAYOUTS[at], &values);
            let bounds: Vec<_> = bounds.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            let one_by_one = bounds.iter().map(|&bound| {
                let up_to = histogram.buckets().filter(|bucket| bucket.lowest <= bound);
                up_to.map(|bucket| bucket.count).sum::<u64>()
            });
            prop_assert!(histogram.cumulative(bounds.iter().copied()).eq(one_by_one));
        }

        #[test]
        fn a_sum_is_merging_one_after_the_other(sets in prop::collection::vec(values(), 0..5)) {
            let layout = Layout::TWO_DIGITS;
            let mut sum = Sum::new(layout);
            for _ in 0..2 {
                sets.iter().for_each(|set| sum.add(&of(layout, set)));
                let all = of(layout, &sets.concat());
                prop_assert_eq!(sum.take(), all);
            }
        }

        #[test]
        fn a_sum_of_differences_is_that_of_what_came_on_top(sets in prop::collection::vec((values(), values()), 0..4)) {
            let layout = Layout::TWO_DIGITS;
            let mut sum = Sum::new(layout);
            for (before, more) in &sets {
                let now = of(layout, &[before.clone(), more.clone()].concat());
                sum.add_difference(&now, &of(layout, before));
            }
            let more: Vec<u64> = sets.iter().flat_map(|(_, more)| more.clone()).collect();
            prop_assert_eq!(sum.take(), of(layout, &more));
        }

        #[test]
        fn it_reads_back_from_json(values in values()) {
            let histogram = of(Layout::TWO_DIGITS, &values);
            let text = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        }
    }

    #[test]
    fn what_is_cut_down_keeps_what_was_there_before() {
        let layout = Layout::TWO_DIGITS;
        let (now, before) = (of(layout, &[5, 5, 1_000, 9_000]), of(layout, &[5, 9_000]));
        assert_eq!(now.clone().cut_down_to(4, Some(&before)), now);
        assert_eq!(now.clone().cut_down_to(3, Some(&before)), of(layout, &[5, 1_000, 9_000]));
        assert_eq!(now.clone().cut_down_to(2, Some(&before)), before);
        assert_eq!(now.clone().cut_down_to(0, Some(&before)), before);
        assert_eq!(now.cut_down_to(1, None), of(layout, &[9_000]));
    }

    #[test]
    fn hostile_text_is_refused_with_what_is_allowed() {
        let refused = |text: &str| serde_json::from_str::<Histogram>(text).unwrap_err().to_string();
        assert!(refused(r#"{"digits":4,"counts":[]}"#).contains("allowed: 1 to 3"));
        for counts in ["[-3840,1]", "[1,-3840]", "[-3839,1,1]", "[-9223372036854775808]"] {
            let error = refused(&format!(r#"{{"digits":2,"counts":{counts}}}"#));
            assert!(error.contains("more than 3840 buckets"), "{error}");
        }
        let full = serde_json::from_str::<Histogram>(
            r#"{"digits":2,"counts":[9223372036854775807,9223372036854775807,9223372036854775807]}"#,
        )
        .unwrap();
        assert_eq!(full.total(), u64::MAX);
        assert_eq!(full.value_at_quantile(1.0), 2);
        let mut sum = Sum::new(Layout::TWO_DIGITS);
        (0..4).for_each(|_| sum.add(&full));
        assert_eq!(sum.take(), full);
    }

    #[test]
    fn histograms_of_different_precision_are_not_merged() {
        let mut ours = of(Layout::TWO_DIGITS, &[5]);
        let error = ours.merge(&of(Layout::ONE_DIGIT, &[5])).unwrap_err();
        assert_eq!(error, MergeError::SignificantDigits { ours: 2, theirs: 1 });
        assert_eq!(ours.total(), 1);
    }

    #[test]
    fn memory_grows_with_the_range_in_use() {
        assert_eq!(of(Layout::TWO_DIGITS, &[]).counts.capacity(), 0);
        assert_eq!(of(Layout::TWO_DIGITS, &[1_000_000]).counts.capacity(), 1);
    }

    #[test]
    fn buckets_hold_every_value_once() {
        let histogram = of(Layout::TWO_DIGITS, &[1, 1_000, 1_000, MAX_NANOS]);
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets.iter().map(|bucket| bucket.count).collect::<Vec<_>>(), [1, 2, 1]);
        assert!(buckets[1].lowest <= 1_000 && 1_000 <= buckets[1].highest);
        assert_eq!(buckets[2].highest, MAX_NANOS);
    }
}
