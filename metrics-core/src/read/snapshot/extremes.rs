//! The shortest and the longest duration.

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// The shortest and the longest duration, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extremes {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Extremes {
    /// No extremes: any others are wider.
    pub(crate) const NONE: Self = Self { min: u64::MAX, max: 0 };

    pub(super) fn none() -> Self {
        Self::NONE
    }

    pub(crate) fn widened(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Moves the extremes into the lowest and the highest bucket in use, where the true ones are.
    ///
    /// They can lie outside if a record came between the reading of the buckets and that of the extremes, or around a
    /// reset. Clamped durations share the last bucket, which then has no upper bound. If no extremes are known, they
    /// are the bounds of the buckets.
    pub(crate) fn fitted(self, histogram: &Histogram, clamped: u64) -> Self {
        let ends = histogram.ends();
        let ends = ends.map(|(low, high)| ((low.lowest, low.highest), (high.lowest, high.highest)));
        self.fitted_between(ends, clamped)
    }

    /// Like [`Extremes::fitted`]: takes the smallest and the largest duration of the lowest and of the highest bucket
    /// in use.
    pub(crate) fn fitted_between(self, ends: Option<((u64, u64), (u64, u64))>, clamped: u64) -> Self {
        let Some((lowest, highest)) = ends else { return Self::NONE };
        if self.min > self.max {
            return Self { min: lowest.0, max: highest.1 };
        }
        let end = if clamped > 0 { u64::MAX } else { highest.1 };
        let low_end = if lowest == highest { end } else { lowest.1 };
        Self { min: self.min.clamp(lowest.0, low_end), max: self.max.clamp(highest.0, end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Layout;

    fn of(values: &[u64]) -> Histogram {
        let layout = Layout::TWO_DIGITS;
        let mut counts = vec![0; layout.buckets()];
        values.iter().for_each(|&value| counts[layout.index(value)] += 1);
        Histogram::from_counts(layout, 0, &counts)
    }

    #[test]
    fn fitted_extremes_are_ordered_and_in_the_outermost_buckets() {
        let extremes = |min, max| Extremes { min, max };
        let fitted = |e: Extremes, values: &[u64]| e.fitted(&of(values), 0);
        assert_eq!(fitted(extremes(1_000, 5_000), &[1_000, 5_000]), extremes(1_000, 5_000));
        // From a record that is not in the buckets yet, or no longer.
        assert_eq!(fitted(extremes(3, 9_000), &[1_000, 5_000]), extremes(1_000, 5_023));
        // Nothing is known: the bounds of the buckets, also of a single one.
        assert_eq!(fitted(Extremes::NONE, &[1_000, 5_000]), extremes(1_000, 5_023));
        assert_eq!(fitted(Extremes::NONE, &[1_000]), extremes(1_000, 1_003));
        assert_eq!(fitted(extremes(7, 9), &[1_000]), extremes(1_000, 1_000));
        assert_eq!(fitted(Extremes::NONE, &[]), Extremes::NONE);
    }
}
