//! Exemplars: single requests with their trace.

use std::collections::HashMap;

use metrics_core::{EndpointName, EndpointSnapshot, Granularity, GroupSnapshot, Snapshot, StatusGroup};
use opentelemetry_proto::tonic::metrics::v1::Exemplar;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value;

use super::attributes::nanos;

/// The exemplars of a window. Each is sent once, also with cumulative figures.
pub(super) struct Exemplars<'a> {
    by_endpoint: HashMap<&'a EndpointName, &'a metrics_core::Exemplar>,
    granularity: Granularity,
}

impl<'a> Exemplars<'a> {
    pub(super) fn of(window: &'a Snapshot) -> Self {
        let by_endpoint = window.exemplars().iter().map(|exemplar| (&*exemplar.endpoint, exemplar)).collect();
        Self { by_endpoint, granularity: window.granularity() }
    }

    /// The exemplar of a series, if there is one.
    pub(super) fn of_series(&self, endpoint: &EndpointSnapshot, group: &GroupSnapshot) -> Vec<Exemplar> {
        let exemplar = self.by_endpoint.get(endpoint.name());
        let of_group = |exemplar: &&&metrics_core::Exemplar| {
            StatusGroup::of(self.granularity, exemplar.outcome) == group.group()
        };
        exemplar.filter(of_group).map(|exemplar| encoded(exemplar)).into_iter().collect()
    }
}

/// Encodes an exemplar, without a span: the request's own span has no id, since it was not traced here.
fn encoded(exemplar: &metrics_core::Exemplar) -> Exemplar {
    Exemplar {
        time_unix_nano: nanos(exemplar.time),
        trace_id: exemplar.trace.bits().to_be_bytes().to_vec(),
        value: Some(Value::AsDouble(exemplar.nanos as f64 / 1e9)),
        ..Exemplar::default()
    }
}
