//! A report as it was read: checked, but with its histograms still encoded.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointName, MetricStateParts, RecentError, SnapshotParts};

use super::error::DecodeError;
use super::histograms::ReadGroup;
use super::instance::{Form, Instance, InstanceFigures};

/// One endpoint of a report.
#[derive(Debug)]
pub(super) struct ReadEndpoint<'a> {
    pub(super) name: Arc<EndpointName>,
    pub(super) in_flight: u64,
    pub(super) groups: Vec<ReadGroup<'a>>,
}

/// What the list of instances shows of a report.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Brief {
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) p95: Duration,
}

/// A report, checked.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    pub(super) instance: Instance,
    pub(super) form: Form,
    pub(super) brief: Brief,
    /// All figures except those of the endpoints.
    pub(super) rest: SnapshotParts,
    pub(super) endpoints: Vec<ReadEndpoint<'a>>,
    pub(super) errors: Vec<RecentError>,
}

impl Decoded<'_> {
    /// Refuses endpoints and groups that occur twice, since the limits of a fleet count each once.
    pub(super) fn check_repeats(&self) -> Result<(), DecodeError> {
        let mut names = HashSet::new();
        for ReadEndpoint { name, groups, .. } in &self.endpoints {
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

    /// Keeps the figures of these endpoints only.
    #[cfg(feature = "redis")]
    pub(super) fn keep_endpoints(&mut self, is_kept: impl Fn(&EndpointName) -> bool) {
        self.endpoints.retain(|endpoint| is_kept(&endpoint.name));
        self.rest.metrics.clear();
        self.rest.consumers.clear();
        self.errors.clear();
    }

    /// This report's line in the list of instances; `bytes` is its size.
    pub(super) fn figures(&self, now: SystemTime, bytes: usize) -> InstanceFigures {
        let Brief { calls, errors, p95 } = self.brief;
        InstanceFigures {
            presence: self.instance.presence(now),
            instance: self.instance.clone(),
            calls,
            errors,
            p95,
            bytes,
            form: self.form,
        }
    }
}
