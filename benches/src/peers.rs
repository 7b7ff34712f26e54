//! The peers, each used as its docs advise.

mod fast_telemetry;
mod hdrhistogram;
mod histogram;
mod measured;
mod metrics;
mod metriken;
mod opentelemetry;
mod prometheus;
mod prometheus_client;

use crate::Event;
use crate::workload::{Routes, STATUSES};

pub(crate) use fast_telemetry::fast_telemetry;
pub(crate) use hdrhistogram::{hdrhistogram, hdrhistogram_of_digits, hdrhistogram_synced};
pub(crate) use histogram::{histogram, histogram_of_digits};
pub(crate) use measured::measured;
pub(crate) use metrics::{exporter as metrics_exporter, metrics_cached, metrics_labels};
pub(crate) use metriken::{metriken, metriken_sharded};
pub(crate) use opentelemetry::{opentelemetry_bound, opentelemetry_labels};
pub(crate) use prometheus::{prometheus_cached, prometheus_labels, prometheus_registry};
pub(crate) use prometheus_client::prometheus_client;

/// The number of (route, status) pairs.
fn series_count(routes: Routes) -> usize {
    routes.len() * STATUSES.len()
}

/// The index of an event's (route, status) pair.
#[inline(always)]
fn series(event: Event) -> usize {
    event.route() * STATUSES.len() + event.status_index()
}

/// Makes one value for each (route, status) pair, in the order of [`series`].
fn by_series<T>(routes: Routes, of: impl Fn(&'static str, &'static str) -> T) -> Vec<T> {
    let of = &of;
    routes.iter().flat_map(|route| STATUSES.map(|(_, status)| of(route, status))).collect()
}

/// Makes one value for each route.
fn by_route<T>(routes: Routes, of: impl Fn(&'static str) -> T) -> Vec<T> {
    routes.iter().map(|route| of(route)).collect()
}
