//! Single requests that stand for others, and whose trace says more.

use std::collections::HashMap;

use metrics_core::{EndpointName, EndpointSnapshot, Granularity, GroupSnapshot, Snapshot, StatusGroup};
use opentelemetry_proto::tonic::metrics::v1::Exemplar;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value;

use super::attributes::nanos;

/// The exemplars of a window, whatever is cumulative beside them: each of them is sent once.
pub(super) struct Exemplars<'a> {
    by_endpoint: HashMap<&'a EndpointName, &'a metrics_core::Exemplar>,
    granularity: Granularity,
}

impl<'a> Exemplars<'a> {
    pub(super) fn of(window: &'a Snapshot) -> Self {
        let by_endpoint = window.exemplars().iter().map(|exemplar| (&*exemplar.endpoint, exemplar)).collect();
        Self { by_endpoint, granularity: window.granularity() }
    }

    /// That of a series: one, or none.
    pub(super) fn of_series(&self, endpoint: &EndpointSnapshot, group: &GroupSnapshot) -> Vec<Exemplar> {
        let exemplar = self.by_endpoint.get(endpoint.name());
        let of_group = |exemplar: &&&metrics_core::Exemplar| {
            StatusGroup::of(self.granularity, exemplar.outcome) == group.group()
        };
        exemplar.filter(of_group).map(|exemplar| encoded(exemplar)).into_iter().collect()
    }
}

/// Without a span: the request's own has no id, as nobody traced it here.
fn encoded(exemplar: &metrics_core::Exemplar) -> Exemplar {
    Exemplar {
        time_unix_nano: nanos(exemplar.time),
        trace_id: exemplar.trace.bits().to_be_bytes().to_vec(),
        value: Some(Value::AsDouble(exemplar.nanos as f64 / 1e9)),
        ..Exemplar::default()
    }
}
