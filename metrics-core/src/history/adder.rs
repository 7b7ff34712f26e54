//! Adds up figures by group of statuses, of many frames and endpoints.

use crate::histogram::Sum;
use crate::layout::Layout;
use crate::snapshot::GroupSnapshot;

/// The sum of some figures of one registry. Durations are added in spread-out buckets, which are made once and used again:
/// to merge one histogram after the other would allocate and copy each time.
#[derive(Debug)]
pub(super) struct Adder {
    layout: Layout,
    groups: Vec<GroupSnapshot>,
    /// The durations of each group; those behind the groups are empty.
    durations: Vec<Sum>,
}

impl Adder {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, groups: Vec::new(), durations: Vec::new() }
    }

    pub(super) fn add(&mut self, groups: &[GroupSnapshot]) {
        for theirs in groups {
            let known = self.groups.iter().position(|ours| ours.group == theirs.group);
            let at = known.unwrap_or_else(|| {
                self.groups.push(GroupSnapshot::empty(theirs.group, self.layout));
                if self.durations.len() < self.groups.len() {
                    self.durations.push(Sum::new(self.layout));
                }
                self.groups.len() - 1
            });
            self.groups[at].merge_counts(theirs);
            self.durations[at].add(&theirs.histogram);
        }
    }

    /// The sum so far; the next one begins at nothing.
    pub(super) fn take(&mut self) -> Vec<GroupSnapshot> {
        let mut groups = std::mem::take(&mut self.groups);
        for (group, durations) in groups.iter_mut().zip(&mut self.durations) {
            group.histogram = durations.take();
        }
        groups
    }
}
