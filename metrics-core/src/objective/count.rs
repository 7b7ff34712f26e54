//! Which requests of a snapshot are valid, and which of them are good.

use std::time::Duration;

use super::settings::{Kind, Objective};
use crate::histogram::{Histogram, Layout};
use crate::labels::endpoint::UNMATCHED;
use crate::labels::outcome::Outcome;
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::endpoint::EndpointSnapshot;

/// The requests of a snapshot as an objective judges them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectiveCounts {
    /// Requests that count.
    pub valid: u64,
    /// Those that were good.
    pub good: u64,
}

impl Objective {
    /// Counts the valid and the good requests of a snapshot, since its start.
    pub fn count(&self, snapshot: &Snapshot) -> ObjectiveCounts {
        let within = match self.kind {
            Kind::Availability => None,
            Kind::Latency(within) => Some(end_of_bucket(snapshot.layout(), within)),
        };
        let endpoints = snapshot.endpoints().filter(|endpoint| self.is_about(&endpoint.name().route));
        endpoints.fold(ObjectiveCounts::default(), |sum, endpoint| {
            let available = available(endpoint);
            let good = within.map_or(available.good, |within| in_time(endpoint, within));
            ObjectiveCounts { valid: sum.valid + available.valid, good: sum.good + good }
        })
    }

    /// Returns, for latency, the longest duration that counts as in time: the end of the histogram's bucket that
    /// contains the objective's time.
    pub fn counted_to(&self, snapshot: &Snapshot) -> Option<Duration> {
        match self.kind {
            Kind::Availability => None,
            Kind::Latency(within) => Some(Duration::from_nanos(end_of_bucket(snapshot.layout(), within))),
        }
    }

    /// Whether requests of a route can be valid.
    pub(super) fn is_about(&self, route: &str) -> bool {
        route != UNMATCHED && (self.routes.is_empty() || self.routes.iter().any(|asked| asked == route))
    }
}

/// The largest duration of the bucket that a time is in, in nanoseconds.
pub(super) fn end_of_bucket(layout: Layout, within: Duration) -> u64 {
    let nanos = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
    layout.highest(layout.index(nanos))
}

/// Whether an outcome is of a valid request, and whether it is a good one.
fn judge(outcome: Outcome, catches_all: bool) -> (bool, bool) {
    let is_probe = catches_all && outcome.is_client_error();
    let is_valid = outcome != Outcome::Aborted && !is_probe;
    (is_valid, is_valid && !outcome.is_server_error())
}

/// The good ones are those of availability.
fn available(endpoint: &EndpointSnapshot) -> ObjectiveCounts {
    let catches_all = endpoint.name().catches_all();
    endpoint.outcomes().fold(ObjectiveCounts::default(), |sum, (outcome, count)| {
        let (is_valid, is_good) = judge(outcome, catches_all);
        ObjectiveCounts {
            valid: sum.valid + if is_valid { count } else { 0 },
            good: sum.good + if is_good { count } else { 0 },
        }
    })
}

/// The good requests up to a time, in nanoseconds.
fn in_time(endpoint: &EndpointSnapshot, within: u64) -> u64 {
    let catches_all = endpoint.name().catches_all();
    // All outcomes of a group are judged alike, since the registry tells classes of statuses apart.
    let is_good = |&(outcome, _): &(Outcome, u64)| judge(outcome, catches_all).1;
    let groups = endpoint.groups().filter(|group| group.outcomes().iter().all(is_good));
    let in_time = |histogram: &Histogram| histogram.cumulative([within]).next().unwrap_or(0);
    groups.map(|group| in_time(group.histogram())).sum()
}
