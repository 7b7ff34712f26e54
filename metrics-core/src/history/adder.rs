//! Adds up the figures of many frames and endpoints, by group of statuses.

use super::packed::Packed;
use crate::histogram::{Layout, Sum};
use crate::labels::outcome::StatusGroup;
use crate::read::snapshot::extremes::Extremes;
use crate::read::snapshot::group::GroupSnapshot;

/// A sum of figures of one registry. Adds histograms to dense buckets that it allocates once and reuses. Merging them
/// one by one would allocate and copy each time.
#[derive(Debug)]
pub(super) struct Adder {
    layout: Layout,
    groups: Vec<GroupSnapshot>,
    /// The durations of each group. May be longer than `groups`; the rest is empty.
    durations: Vec<Sum>,
    /// For each group, bounds on the durations whose exact extremes are unknown.
    bounds: Vec<Extremes>,
}

impl Adder {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, groups: Vec::new(), durations: Vec::new(), bounds: Vec::new() }
    }

    pub(super) fn add(&mut self, groups: &[GroupSnapshot]) {
        for theirs in groups {
            let at = self.at(theirs.group);
            self.groups[at].merge_counts(theirs);
            self.durations[at].add(&theirs.histogram);
        }
    }

    pub(super) fn add_packed(&mut self, packed: &Packed) {
        for (theirs, buckets) in packed.groups() {
            let at = self.at(theirs.group);
            self.groups[at].merge_counts(&theirs);
            self.durations[at].add_octaves(|counts| ((), buckets.add_to(counts, self.layout)));
        }
    }

    /// Adds what was counted since an earlier state of the same groups, without computing the difference first. Minimum
    /// and maximum are exact to within a bucket.
    pub(super) fn add_since(&mut self, now: &[GroupSnapshot], earlier: &[GroupSnapshot]) {
        for now in now {
            let Some(earlier) = earlier.iter().find(|earlier| earlier.group == now.group) else {
                self.add(std::slice::from_ref(now));
                continue;
            };
            if now.is_as(earlier) {
                continue;
            }
            let at = self.at(now.group);
            self.groups[at].merge_growth(now, Some(earlier));
            self.bounds[at] = self.bounds[at].widened(now.extremes);
            self.durations[at].add_difference(&now.histogram, &earlier.histogram);
        }
    }

    /// Returns the sum so far, and starts again at zero.
    pub(super) fn take(&mut self) -> Vec<GroupSnapshot> {
        let mut groups = std::mem::take(&mut self.groups);
        for ((group, durations), bounds) in
            groups.iter_mut().zip(&mut self.durations).zip(self.bounds.drain(..))
        {
            group.histogram = durations.take();
            if bounds != Extremes::NONE {
                // The widest that fits: the bounds, but within the outermost buckets.
                group.extremes = group.extremes.widened(bounds).fitted(&group.histogram, group.clamped);
            }
        }
        groups
    }

    /// The index of a group, which is added if it is new.
    fn at(&mut self, group: StatusGroup) -> usize {
        self.groups.iter().position(|ours| ours.group == group).unwrap_or_else(|| {
            self.groups.push(GroupSnapshot::empty(group, self.layout));
            self.bounds.push(Extremes::NONE);
            let most = self.durations.len().max(self.groups.len());
            self.durations.resize_with(most, || Sum::new(self.layout));
            self.groups.len() - 1
        })
    }
}
