//! One endpoint in a snapshot.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::group::{GroupSnapshot, merge_groups};
use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::Outcome;
use crate::read::merge_error::MergeError;

/// One endpoint's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSnapshot {
    pub(crate) name: Arc<EndpointName>,
    pub(crate) groups: Vec<GroupSnapshot>,
    pub(crate) in_flight: u64,
}

impl EndpointSnapshot {
    /// Returns the endpoint's name.
    pub fn name(&self) -> &EndpointName {
        &self.name
    }

    /// Returns the figures by group of statuses; only groups that occurred.
    pub fn groups(&self) -> impl Iterator<Item = &GroupSnapshot> + Clone {
        self.groups.iter()
    }

    /// Returns how often each outcome occurred; only outcomes that did.
    pub fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        self.groups.iter().flat_map(|group| group.counts.iter().copied())
    }

    /// Returns the number of requests that ended.
    pub fn calls(&self) -> u64 {
        self.outcomes().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Returns the number of requests in flight at the endpoint at the end of the span. Only known if the service calls
    /// [`Recorder::enter`](crate::Recorder::enter).
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.in_flight == 0
    }

    pub(super) fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        merge_groups(&mut self.groups, &other.groups)
    }

    pub(super) fn difference(&self, earlier: &Self, epoch: Option<u64>) -> Option<Self> {
        let theirs = |group| earlier.groups.iter().find(|theirs| theirs.group == group);
        let groups: Vec<_> =
            self.groups.iter().filter_map(|ours| ours.difference(theirs(ours.group), epoch)).collect();
        let window = Self { name: Arc::clone(&self.name), groups, in_flight: self.in_flight };
        (!window.is_empty()).then_some(window)
    }
}
