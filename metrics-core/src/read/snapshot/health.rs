//! How full a registry's tables are.

use serde::{Deserialize, Serialize};

/// How full the registry's tables are, and what did not fit. The counts of what did not fit are cumulative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Endpoints in use, without `_other`.
    pub endpoints: u64,
    /// The maximum number of endpoints.
    pub max_series: u64,
    /// How often a new endpoint did not fit. Its requests are counted under `_other`.
    pub endpoints_refused: u64,
    /// Consumers known by name, without those that the application
    /// [vouches for](crate::Registry::vouched_consumer).
    pub consumers: u64,
    /// The maximum number of consumers.
    pub max_consumers: u64,
    /// How often a new consumer did not fit. Its requests are counted under `_other`.
    pub consumers_refused: u64,
    /// Shards: the largest number of recorders that lived at once.
    pub shards: u64,
    /// Entries that newer ones evicted from the error log.
    pub errors_evicted: u64,
    /// Errors that were counted but not logged, because they came too fast.
    pub errors_thinned: u64,
    /// How often the labels of one of the application's own metrics did not fit, and were counted under `_other` or
    /// left out.
    #[serde(default)]
    pub label_sets_refused: u64,
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
        add(&mut self.label_sets_refused, other.label_sets_refused);
    }
}
