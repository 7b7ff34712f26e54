//! A report as it was read: checked, but with only the buckets in use of its histograms.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{
    EndpointName, GroupParts, Histogram, MetricStateParts, Outcome, RecentError, SnapshotParts,
};

use super::error::DecodeError;
use super::instance::{Instance, InstanceFigures};
use super::sparse::{SparseBuckets, SparseGroup};

/// One endpoint of a report.
#[derive(Debug)]
pub(super) struct SparseEndpoint {
    pub(super) name: Arc<EndpointName>,
    pub(super) in_flight: u64,
    pub(super) groups: Vec<SparseGroup>,
}

/// A report, checked.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) instance: Instance,
    /// All figures except those of the endpoints.
    pub(super) rest: SnapshotParts,
    pub(super) endpoints: Vec<SparseEndpoint>,
    pub(super) buckets: SparseBuckets,
    pub(super) errors: Vec<RecentError>,
}

impl Decoded {
    /// Refuses endpoints and groups that occur twice, since the limits of a fleet count each once.
    pub(super) fn check_repeats(&self) -> Result<(), DecodeError> {
        let mut names = HashSet::new();
        for SparseEndpoint { name, groups, .. } in &self.endpoints {
            if !names.insert(name) {
                return Err(DecodeError::Twice { what: "an endpoint" });
            }
            let group = |at: usize| groups[at].figures.group;
            if (1..groups.len()).any(|at| (0..at).any(|before| group(before) == group(at))) {
                return Err(DecodeError::Twice { what: "a group of an endpoint" });
            }
        }
        Ok(())
    }

    /// Drops gauges, requests in flight and the health of tables, which a later report of the same instance has, too.
    #[cfg(feature = "redis")]
    pub(super) fn drop_state(&mut self) {
        self.drop_current();
        self.rest.health = metrics_core::Health::default();
    }

    /// Drops gauges, requests in flight and open streams.
    pub(super) fn drop_current(&mut self) {
        (self.rest.in_flight, self.rest.open_streams) = (0, 0);
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.in_flight = 0);
        self.rest.metrics.retain(|metric| !matches!(metric.state, MetricStateParts::Gauge(_)));
    }

    /// This report's line in the list of instances; `bytes` is its size.
    pub(super) fn figures(&self, now: SystemTime, bytes: usize) -> InstanceFigures {
        let (mut calls, mut errors, mut max) = (0_u64, 0_u64, 0);
        let digits = self.rest.significant_digits;
        let mut all = vec![0_u64; Histogram::max_buckets(digits).unwrap_or(0)];
        for group in self.endpoints.iter().flat_map(|endpoint| &endpoint.groups) {
            let (indexes, counts) = self.buckets.of(group);
            for (&index, &count) in indexes.iter().zip(counts) {
                let sum = &mut all[usize::from(index)];
                *sum = sum.saturating_add(count);
            }
            // Unknown extremes are stored with the minimum above the maximum.
            let GroupParts { min_nanos, max_nanos, .. } = group.figures;
            if !indexes.is_empty() {
                max = max.max(if min_nanos <= max_nanos { max_nanos } else { u64::MAX });
            }
            for &(outcome, count) in &group.figures.outcomes {
                calls = calls.saturating_add(count);
                errors = errors.saturating_add(if Outcome::is_error(outcome) { count } else { 0 });
            }
        }
        let p95 = Histogram::from_buckets(digits, 0, &all).map_or(0, |all| all.value_at_quantile(0.95));
        let p95 = Duration::from_nanos(p95.min(max));
        InstanceFigures {
            presence: self.instance.presence(now),
            instance: self.instance.clone(),
            calls,
            errors,
            p95,
            bytes,
        }
    }
}
