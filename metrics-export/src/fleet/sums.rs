//! Sums of endpoints' figures, with histograms as plain lists of counts.

use std::sync::Arc;

use metrics_core::{EndpointName, GroupParts};

use super::sparse::SparseGroup;

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
#[derive(Debug, Clone, Default)]
pub(super) struct BucketCounts {
    pub(super) first: usize,
    pub(super) counts: Vec<u64>,
}

impl EndpointSum {
    /// Adds all figures of a group except its histogram. Returns the sum that the histogram belongs to.
    pub(super) fn group(&mut self, SparseGroup { figures, .. }: SparseGroup) -> &mut GroupSum {
        let known = self.groups.iter().position(|ours| ours.figures.group == figures.group);
        let place = known.unwrap_or(self.groups.len());
        match known {
            Some(place) => add_figures(&mut self.groups[place].figures, &figures),
            None => self.groups.push(GroupSum { figures, counts: BucketCounts::default() }),
        }
        &mut self.groups[place]
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
    /// How many more buckets the sum has at most with these indexes in use, too.
    pub(super) fn growth(&self, indexes: &[u16]) -> usize {
        let (Some(&first), Some(&last)) = (indexes.first(), indexes.last()) else { return 0 };
        let (first, end) = (usize::from(first), usize::from(last) + 1);
        if self.counts.is_empty() {
            return end - first;
        }
        let own_end = self.first + self.counts.len();
        end.max(own_end) - first.min(self.first) - self.counts.len()
    }

    /// Adds the counts of these buckets. The indexes ascend.
    pub(super) fn add(&mut self, indexes: &[u16], counts: &[u64]) {
        let (Some(&first), Some(&last)) = (indexes.first(), indexes.last()) else { return };
        let first = usize::from(first);
        self.reach(first, usize::from(last));
        let ours = &mut self.counts[first - self.first..];
        for (&index, &count) in indexes.iter().zip(counts) {
            let sum = &mut ours[usize::from(index) - first];
            // A count above a bucket's limit is cut when the histogram is made.
            *sum = sum.saturating_add(count);
        }
    }

    /// Makes room for the buckets from `first` to `last`.
    fn reach(&mut self, first: usize, last: usize) {
        if self.counts.is_empty() {
            self.first = first;
        }
        if first < self.first {
            self.counts.splice(..0, std::iter::repeat_n(0, self.first - first));
            self.first = first;
        }
        if last >= self.first + self.counts.len() {
            self.counts.resize(last - self.first + 1, 0);
        }
    }
}
