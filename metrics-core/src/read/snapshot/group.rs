//! The figures of one endpoint for one group of statuses.

use serde::{Deserialize, Serialize};

use super::extremes::Extremes;
use super::version::Version;
use crate::bytes::Bytes;
use crate::histogram::{Histogram, Layout, Sum};
use crate::labels::outcome::{Outcome, StatusGroup};
use crate::read::merge_error::MergeError;

/// One endpoint's figures for one group of statuses. Never empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupSnapshot {
    pub(crate) group: StatusGroup,
    pub(crate) counts: Vec<(Outcome, u64)>,
    pub(crate) sum_nanos: u64,
    pub(crate) clamped: u64,
    pub(crate) bytes: Bytes,
    pub(crate) truncated: u64,
    pub(crate) extremes: Extremes,
    pub(crate) histogram: Histogram,
    /// The extremes since the last reset, and the epoch that it began.
    #[serde(skip)]
    pub(crate) current: Option<(u64, Extremes)>,
    /// The extremes as they were read, before they were fitted into the buckets. The next reading continues from them.
    #[serde(skip, default = "Extremes::none")]
    pub(crate) as_read: Extremes,
    /// `None` if this is not what a registry's reader read.
    #[serde(skip)]
    pub(crate) version: Option<Version>,
}

/// Compares the figures, without the state that the registry keeps for its next window.
impl PartialEq for GroupSnapshot {
    fn eq(&self, other: &Self) -> bool {
        let figures = |group: &Self| {
            (group.group, group.sum_nanos, group.clamped, group.bytes, group.truncated, group.extremes)
        };
        figures(self) == figures(other) && self.counts == other.counts && self.histogram == other.histogram
    }
}

impl Eq for GroupSnapshot {}

impl GroupSnapshot {
    /// Returns the group of statuses that are counted here.
    pub fn group(&self) -> StatusGroup {
        self.group
    }

    /// Returns how often each outcome occurred; only outcomes that did.
    pub fn outcomes(&self) -> &[(Outcome, u64)] {
        &self.counts
    }

    /// Returns the number of requests that ended.
    pub fn calls(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
    }

    /// Returns the exact sum of all durations, in nanoseconds. Durations over 2^48 ns (3.3 days) count as 2^48 ns.
    pub fn sum_nanos(&self) -> u64 {
        self.sum_nanos
    }

    /// Returns the shortest duration, in nanoseconds.
    pub fn min_nanos(&self) -> u64 {
        self.extremes.min
    }

    /// Returns the longest duration, in nanoseconds.
    pub fn max_nanos(&self) -> u64 {
        self.extremes.max
    }

    /// Returns the number of durations over [`MAX_NANOS`](crate::MAX_NANOS), which share the histogram's last bucket.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// Returns the bytes of request bodies that the service read.
    pub fn request_bytes(&self) -> u64 {
        self.bytes.request
    }

    /// Returns the bytes of response bodies: as announced in the head, or else as sent.
    pub fn response_bytes(&self) -> u64 {
        self.bytes.response
    }

    /// Returns the number of truncated responses: the body failed, or the client went away. They also count as calls,
    /// by their status.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    /// Returns the durations. Their number is [`GroupSnapshot::calls`].
    pub fn histogram(&self) -> &Histogram {
        &self.histogram
    }

    /// Returns the version of this state, if a registry of this process read it as it is. `None` if it was computed
    /// from several states, as in windows and sums, built from parts, or read from a text.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        self.histogram.merge(&other.histogram)?;
        self.merge_counts(other);
        Ok(())
    }

    /// A group in which nothing was counted.
    pub(crate) fn empty(group: StatusGroup, layout: Layout) -> Self {
        Self {
            group,
            counts: Vec::new(),
            sum_nanos: 0,
            clamped: 0,
            bytes: Bytes::default(),
            truncated: 0,
            extremes: Extremes::NONE,
            histogram: Histogram::empty(layout),
            current: None,
            as_read: Extremes::NONE,
            version: None,
        }
    }

    /// Adds all figures except the histogram.
    pub(crate) fn merge_counts(&mut self, other: &Self) {
        self.merge_growth(other, None);
        self.extremes = self.extremes.widened(other.extremes);
    }

    /// Adds what another group counted since an earlier state, without histogram and extremes.
    pub(crate) fn merge_growth(&mut self, now: &Self, earlier: Option<&Self>) {
        let before = |outcome| {
            let counts = earlier.map_or(&[][..], |earlier| &earlier.counts);
            counts.iter().find(|(known, _)| *known == outcome).map_or(0, |&(_, count)| count)
        };
        for &(outcome, count) in &now.counts {
            let grown = count.saturating_sub(before(outcome));
            match self.counts.iter_mut().find(|(ours, _)| *ours == outcome) {
                Some((_, ours)) => *ours = ours.saturating_add(grown),
                None if grown > 0 => self.counts.push((outcome, grown)),
                None => {}
            }
        }
        let add = |ours: &mut u64, figure: fn(&Self) -> u64| {
            *ours = ours.saturating_add(figure(now).saturating_sub(earlier.map_or(0, figure)));
        };
        add(&mut self.sum_nanos, |group| group.sum_nanos);
        add(&mut self.clamped, |group| group.clamped);
        add(&mut self.bytes.request, |group| group.bytes.request);
        add(&mut self.bytes.response, |group| group.bytes.response);
        add(&mut self.truncated, |group| group.truncated);
        self.current = None;
        self.version = None;
    }

    /// Whether this counted nothing since an earlier state.
    pub(crate) fn is_as(&self, earlier: &Self) -> bool {
        let state = |group: &Self| {
            (group.sum_nanos, group.clamped, group.bytes, group.truncated, group.histogram.total())
        };
        self.counts == earlier.counts && state(self) == state(earlier)
    }

    pub(crate) fn difference(&self, earlier: Option<&Self>, epoch: Option<u64>) -> Option<Self> {
        let before = |outcome| {
            let counts = earlier.map_or(&[][..], |earlier| &earlier.counts);
            counts.iter().find(|(theirs, _)| *theirs == outcome).map_or(0, |&(_, count)| count)
        };
        let counts: Vec<_> = self
            .counts
            .iter()
            .map(|&(outcome, count)| (outcome, count.saturating_sub(before(outcome))))
            .filter(|&(_, count)| count > 0)
            .collect();
        let histogram = match earlier {
            Some(earlier) => self.histogram.difference(&earlier.histogram),
            None => self.histogram.clone(),
        };
        let since = |figure: fn(&Self) -> u64| figure(self).saturating_sub(earlier.map_or(0, figure));
        let clamped = since(Self::clamped);
        let truncated = since(Self::truncated);
        let bytes = Bytes { request: since(Self::request_bytes), response: since(Self::response_bytes) };
        let sum_nanos = since(Self::sum_nanos);
        let other = (bytes, sum_nanos, clamped, truncated) != (Bytes::default(), 0, 0, 0);
        if counts.is_empty() && histogram.total() == 0 && !other {
            return None;
        }
        let extremes = match self.current {
            Some((current, extremes)) if Some(current) == epoch => extremes,
            // Unknown in this window: those of the whole span, which are moved into the outermost buckets below.
            _ => self.extremes,
        };
        Some(Self {
            group: self.group,
            counts,
            sum_nanos,
            clamped,
            bytes,
            truncated,
            extremes: extremes.fitted(&histogram, clamped),
            histogram,
            current: None,
            as_read: Extremes::NONE,
            version: None,
        })
    }
}

/// Adds figures group by group.
pub(crate) fn merge_groups(
    ours: &mut Vec<GroupSnapshot>,
    theirs: &[GroupSnapshot],
) -> Result<(), MergeError> {
    for theirs in theirs {
        match ours.iter_mut().find(|ours| ours.group == theirs.group) {
            Some(ours) => ours.merge(theirs)?,
            None => ours.push(GroupSnapshot { current: None, version: None, ..theirs.clone() }),
        }
    }
    Ok(())
}

/// The durations of several groups.
pub(crate) fn merged<'a>(layout: Layout, groups: impl Iterator<Item = &'a GroupSnapshot>) -> Histogram {
    let mut sum = Sum::new(layout);
    groups.for_each(|group| sum.add(&group.histogram));
    sum.take()
}
