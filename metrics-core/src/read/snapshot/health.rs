//! How full a registry's tables are.

use serde::{Deserialize, Serialize};

/// How full the registry's own tables are, and what did not fit. All cumulative but `endpoints` and `shards`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Endpoints in use, without the one that stands for those that did not fit.
    pub endpoints: u64,
    /// Endpoints that fit.
    pub max_series: u64,
    /// Times an endpoint was asked for that did not fit. Its requests are counted under `_other`.
    pub endpoints_refused: u64,
    /// Consumers known by name.
    pub consumers: u64,
    /// Consumers that fit.
    pub max_consumers: u64,
    /// Times a consumer was asked for that did not fit. Its requests are counted under `_other`.
    pub consumers_refused: u64,
    /// Shards: the most recorders that lived at once.
    pub shards: u64,
    /// Entries that newer ones pushed out of the error log.
    pub errors_evicted: u64,
    /// Errors that were counted but not logged, because they came faster than the log could hold.
    pub errors_thinned: u64,
}

impl Health {
    pub(super) fn merge(&mut self, other: &Self) {
        let add = |ours: &mut u64, theirs: u64| *ours = ours.saturating_add(theirs);
        add(&mut self.endpoints, other.endpoints);
        add(&mut self.max_series, other.max_series);
        add(&mut self.endpoints_refused, other.endpoints_refused);
        add(&mut self.consumers, other.consumers);
        add(&mut self.max_consumers, other.max_consumers);
        add(&mut self.consumers_refused, other.consumers_refused);
        add(&mut self.shards, other.shards);
        add(&mut self.errors_evicted, other.errors_evicted);
        add(&mut self.errors_thinned, other.errors_thinned);
    }
}
