//! Adds up figures by group of statuses, of many frames and endpoints.

use super::packed::Packed;
use crate::histogram::{Layout, Sum};
use crate::labels::outcome::StatusGroup;
use crate::read::snapshot::extremes::Extremes;
use crate::read::snapshot::group::GroupSnapshot;

/// The sum of some figures of one registry. Durations are added in spread-out buckets, which are made once and used again:
/// to merge one histogram after the other would allocate and copy each time.
#[derive(Debug)]
pub(super) struct Adder {
    layout: Layout,
    groups: Vec<GroupSnapshot>,
    /// The durations of each group; those behind the groups are empty.
    durations: Vec<Sum>,
    /// What no duration of a group is outside of, of those whose extremes are not known.
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

    /// Adds what was counted since an earlier state of the same groups, without making figures of that. Minimum and maximum are
    /// right to within a bucket.
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

    /// The sum so far; the next one begins at nothing.
    pub(super) fn take(&mut self) -> Vec<GroupSnapshot> {
        let mut groups = std::mem::take(&mut self.groups);
        for ((group, durations), bounds) in
            groups.iter_mut().zip(&mut self.durations).zip(self.bounds.drain(..))
        {
            group.histogram = durations.take();
            if bounds == Extremes::NONE {
                continue;
            }
            // As wide as it can be: the ends of the outermost buckets, but never beyond what occurred.
            let ends = Extremes::NONE.fitted(&group.histogram, group.clamped);
            let max = if group.clamped > 0 { bounds.max } else { ends.max.min(bounds.max) };
            let widest = Extremes { min: ends.min.max(bounds.min), max };
            group.extremes = group.extremes.widened(widest).fitted(&group.histogram, group.clamped);
        }
        groups
    }

    /// Where a group is.
    fn at(&mut self, group: StatusGroup) -> usize {
        self.groups.iter().position(|ours| ours.group == group).unwrap_or_else(|| {
            self.groups.push(GroupSnapshot::empty(group, self.layout));
            self.bounds.push(Extremes::NONE);
            if self.durations.len() < self.groups.len() {
                self.durations.push(Sum::new(self.layout));
            }
            self.groups.len() - 1
        })
    }
}
