//! Sums of endpoints' figures, with histograms as plain lists of counts.

use std::ops::Range;
use std::sync::Arc;

use metrics_core::{
    EndpointName, EndpointParts, Granularity, GroupParts, Histogram, PartsError, StatusGroup,
};

use super::counts::{CountList, MAX_COUNT};

/// The sum of one endpoint's figures.
#[derive(Debug, Clone)]
pub(super) struct EndpointSum {
    pub(super) name: Arc<EndpointName>,
    pub(super) in_flight: u64,
    pub(super) groups: Vec<GroupSum>,
}

/// The sum of one group of statuses.
#[derive(Debug, Clone)]
pub(super) struct GroupSum {
    /// All figures; the histogram is empty.
    pub(super) figures: GroupParts,
    pub(super) counts: BucketCounts,
}

/// The counts of consecutive buckets, from the index `first` on.
#[derive(Debug, Clone)]
pub(super) struct BucketCounts {
    pub(super) first: usize,
    pub(super) counts: Vec<u64>,
}

impl EndpointSum {
    /// Adds all figures of a group except its histogram. Returns the sum that the histogram belongs to.
    pub(super) fn group(&mut self, figures: GroupParts) -> &mut GroupSum {
        let known = self.groups.iter().position(|ours| ours.figures.group == figures.group);
        let place = known.unwrap_or(self.groups.len());
        match known {
            Some(place) => add_figures(&mut self.groups[place].figures, &figures),
            None => self.groups.push(GroupSum { figures, counts: BucketCounts::EMPTY }),
        }
        &mut self.groups[place]
    }

    /// The parts of the sum, with histograms of so many significant digits.
    pub(super) fn parts(&self, digits: u8) -> Result<EndpointParts, PartsError> {
        let whole = |GroupSum { figures, counts }: &GroupSum| {
            let histogram = Histogram::from_buckets(digits, counts.first, &counts.counts)?;
            Ok(GroupParts { histogram, ..figures.clone() })
        };
        let groups = self.groups.iter().map(whole).collect::<Result<_, _>>()?;
        Ok(EndpointParts { name: Arc::clone(&self.name), in_flight: self.in_flight, groups })
    }

    /// Adds up the groups that share a group of this granularity.
    pub(super) fn coarsen(&mut self, granularity: Granularity) {
        for GroupSum { mut figures, counts } in std::mem::take(&mut self.groups) {
            figures.group = figures.group.coarsened(granularity);
            self.group(figures).counts.add(counts.first, &counts.counts);
        }
    }

    /// The buckets that each group would have if it was coarsened.
    pub(super) fn coarsened(&self, granularity: Granularity) -> Vec<(StatusGroup, BucketRange)> {
        let mut ranges = Vec::<(StatusGroup, BucketRange)>::new();
        for GroupSum { figures, counts } in &self.groups {
            let group = figures.group.coarsened(granularity);
            let range = counts.first..counts.first + counts.counts.len();
            match ranges.iter_mut().find(|(known, _)| *known == group) {
                Some((_, ours)) => *ours = joined(ours, &range),
                None => ranges.push((group, range)),
            }
        }
        ranges
    }
}

/// The buckets from the first to the last one in use.
pub(super) type BucketRange = Range<usize>;

/// The buckets from the first to the last one of two ranges.
pub(super) fn joined(one: &BucketRange, other: &BucketRange) -> BucketRange {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other.clone(),
        (_, true) => one.clone(),
        _ => one.start.min(other.start)..one.end.max(other.end),
    }
}

fn add_figures(ours: &mut GroupParts, theirs: &GroupParts) {
    for &(outcome, count) in &theirs.outcomes {
        match ours.outcomes.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, ours)) => *ours = ours.saturating_add(count),
            None => ours.outcomes.push((outcome, count)),
        }
    }
    for (ours, theirs) in [
        (&mut ours.sum_nanos, theirs.sum_nanos),
        (&mut ours.clamped, theirs.clamped),
        (&mut ours.request_bytes, theirs.request_bytes),
        (&mut ours.response_bytes, theirs.response_bytes),
        (&mut ours.truncated, theirs.truncated),
    ] {
        *ours = ours.saturating_add(theirs);
    }
    ours.min_nanos = ours.min_nanos.min(theirs.min_nanos);
    ours.max_nanos = ours.max_nanos.max(theirs.max_nanos);
}

impl BucketCounts {
    pub(super) const EMPTY: Self = Self { first: 0, counts: Vec::new() };

    /// How many more buckets the sum has with these, too.
    pub(super) fn growth(&self, first: usize, length: usize) -> usize {
        let ours = self.first..self.first + self.counts.len();
        joined(&ours, &(first..first + length)).len() - ours.len()
    }

    /// Adds the counts of the buckets from `first` on.
    pub(super) fn add(&mut self, first: usize, counts: &[u64]) {
        for (sum, &count) in self.reach(first, counts.len()).iter_mut().zip(counts) {
            *sum = sum.saturating_add(count).min(MAX_COUNT);
        }
    }

    /// Adds a list of counts, of the buckets from `first` on.
    pub(super) fn add_list(&mut self, first: usize, list: &CountList<'_>) {
        list.add_to(self.reach(first, list.length()));
    }

    /// Adds a list of counts of a histogram of `digits` significant digits to one that has `ours`, or more.
    pub(super) fn add_limited(
        &mut self,
        first: usize,
        list: &CountList<'_>,
        digits: u8,
        ours: u8,
    ) -> Result<(), PartsError> {
        if digits <= ours {
            self.add_list(first, list);
            return Ok(());
        }
        let limited = Self { first, counts: list.unpacked() }.limited(digits, ours)?;
        self.add(limited.first, &limited.counts);
        Ok(())
    }

    /// The counts of a histogram of `digits` significant digits, with at most `fewer`.
    pub(super) fn limited(&self, digits: u8, fewer: u8) -> Result<Self, PartsError> {
        let limited = Histogram::from_buckets(digits, self.first, &self.counts)?.limited_to_digits(fewer)?;
        let (first, counts) = limited.counts();
        Ok(Self { first, counts: counts.to_vec() })
    }

    /// Makes room for the buckets from `first` on, and returns them.
    fn reach(&mut self, first: usize, length: usize) -> &mut [u64] {
        if length == 0 {
            return &mut [];
        }
        if self.counts.is_empty() {
            self.first = first;
        }
        if first < self.first {
            self.counts.splice(..0, std::iter::repeat_n(0, self.first - first));
            self.first = first;
        }
        let at = first - self.first;
        if at + length > self.counts.len() {
            self.counts.resize(at + length, 0);
        }
        &mut self.counts[at..at + length]
    }
}
