//! Which families and series a snapshot has, in any format.

use metrics_core::{EndpointSnapshot, GroupSnapshot, Outcome, Snapshot, StatusGroup, Version};

use super::business;
use super::catalog;
use super::consumers;
use super::durations::Durations;
use super::encoder::{Encoder, Value, single};
use super::exporters;
use super::family::{Family, Figure};
use super::labels::Label;
use super::names::{self, Names};
use super::objectives::Judged;
use super::resources::Resources;
use crate::push::ExporterCounts;

/// Writes all families: those of a snapshot, of the process's resources, and of exporters.
pub(crate) fn write<'a>(
    snapshot: &'a Snapshot,
    resources: &Resources,
    exporters: &[ExporterCounts],
    names: Names,
    top_consumers: usize,
    judged: &Judged,
    to: &mut impl Encoder<'a>,
) {
    requests(snapshot, names, to);
    durations(snapshot, names, to);
    in_flight(snapshot, names, to);
    single(&catalog::OPEN_STREAMS, Value::Count(snapshot.open_streams()), to);
    let sums: [Figure<GroupSnapshot, u64>; 3] = [
        (&catalog::REQUEST_BYTES, GroupSnapshot::request_bytes),
        (&catalog::RESPONSE_BYTES, GroupSnapshot::response_bytes),
        (&catalog::TRUNCATED, GroupSnapshot::truncated),
    ];
    for (family, figure) in sums {
        by_endpoint(snapshot, names, family, |endpoint| sum(endpoint.groups().map(figure)), to);
    }
    consumers::write(snapshot, top_consumers, to);
    judged.write(snapshot, to);
    let hidden = business::write(snapshot, to);
    single(&catalog::METRICS_HIDDEN, Value::Count(hidden), to);
    health(snapshot, to);
    exporters::write(exporters, to);
    resources.write(to);
}

/// Writes the requests in flight: as one figure, or by method with OpenTelemetry's names, as its conventions want them.
fn in_flight<'a>(snapshot: &'a Snapshot, names: Names, to: &mut impl Encoder<'a>) {
    to.begin(*names.in_flight());
    let mut methods = snapshot.in_flight_by_method().peekable();
    if names == Names::Prometheus || methods.peek().is_none() {
        to.value(&[], Value::Count(snapshot.in_flight()));
    } else {
        for (method, count) in methods {
            let method = method.map(|method| (names.method(), method));
            to.value(method.as_slice(), Value::Count(count));
        }
    }
    to.end();
}

/// Writes three families. Each request is in exactly one of them.
fn requests<'a>(snapshot: &'a Snapshot, names: Names, to: &mut impl Encoder<'a>) {
    to.begin(catalog::REQUESTS);
    for (number, endpoint) in snapshot.endpoints().enumerate() {
        to.part(latest(endpoint.groups()), None, |to| {
            to.of_endpoint(number);
            let [method, route] = labels(endpoint, names);
            for (outcome, count) in endpoint.outcomes() {
                if let Some(status) = names::status(outcome, &mut itoa::Buffer::new()) {
                    to.value(&[method, route, (names.status(), status)], Value::Count(count));
                }
            }
        });
    }
    to.end();
    for (family, outcome) in [(&catalog::ABORTED, Outcome::Aborted), (&catalog::PANICKED, Outcome::Panicked)]
    {
        let figure = |endpoint: &EndpointSnapshot| {
            sum(endpoint.outcomes().filter(|&(known, _)| known == outcome).map(|(_, count)| count))
        };
        by_endpoint(snapshot, names, family, figure, to);
    }
}

fn durations<'a>(snapshot: &'a Snapshot, names: Names, to: &mut impl Encoder<'a>) {
    let mut exemplars = snapshot.exemplars().iter().peekable();
    to.begin(*names.duration());
    for (number, endpoint) in snapshot.endpoints().enumerate() {
        // Endpoints and exemplars are in the same order.
        let exemplar = exemplars.next_if(|exemplar| *exemplar.endpoint == *endpoint.name());
        for (class, mut durations) in Durations::of(endpoint, names, snapshot.significant_digits()) {
            durations.exemplar = exemplar.filter(|exemplar| {
                names.class(StatusGroup::of(snapshot.granularity(), exemplar.outcome)) == class
            });
            to.part(latest(durations.groups()), durations.exemplar, |to| {
                to.of_endpoint(number);
                let [method, route] = labels(endpoint, names);
                let mut digits = itoa::Buffer::new();
                to.histogram(&[method, route, class.label(names, &mut digits)], &durations);
            });
        }
    }
    to.end();
}

/// Writes one series for each endpoint, even if it is 0: `rate` needs a first sample before the first increase.
fn by_endpoint<'a>(
    snapshot: &'a Snapshot,
    names: Names,
    family: &'static Family<'static>,
    figure: impl Fn(&EndpointSnapshot) -> u64,
    to: &mut impl Encoder<'a>,
) {
    to.begin(*family);
    for (number, endpoint) in snapshot.endpoints().enumerate() {
        to.part(latest(endpoint.groups()), None, |to| {
            to.of_endpoint(number);
            to.value(&labels(endpoint, names), Value::Count(figure(endpoint)));
        });
    }
    to.end();
}

/// Writes how full the registry's tables are.
fn health<'a>(snapshot: &'a Snapshot, to: &mut impl Encoder<'a>) {
    let health = snapshot.health();
    let clamped = snapshot.endpoints().flat_map(EndpointSnapshot::groups).map(GroupSnapshot::clamped);
    for (family, value) in [
        (&catalog::ENDPOINTS, health.endpoints),
        (&catalog::MAX_ENDPOINTS, health.max_series),
        (&catalog::ENDPOINTS_REFUSED, health.endpoints_refused),
        (&catalog::CONSUMERS, health.consumers),
        (&catalog::MAX_CONSUMERS, health.max_consumers),
        (&catalog::CONSUMERS_REFUSED, health.consumers_refused),
        (&catalog::SHARDS, health.shards),
        (&catalog::ERRORS_EVICTED, health.errors_evicted),
        (&catalog::ERRORS_THINNED, health.errors_thinned),
        (&catalog::LABEL_SETS_REFUSED, health.label_sets_refused),
        (&catalog::CLAMPED, sum(clamped)),
    ] {
        single(family, Value::Count(value), to);
    }
}

fn labels(endpoint: &EndpointSnapshot, names: Names) -> [Label<'_>; 2] {
    let name = endpoint.name();
    [(names.method(), &name.method), (names.route(), &name.route)]
}

/// The version that changes with any of these groups; `None` if one has none. Groups are never taken away.
fn latest<'a>(groups: impl Iterator<Item = &'a GroupSnapshot>) -> Option<Version> {
    groups.map(GroupSnapshot::version).reduce(|one, other| Some(one?.max(other?))).flatten()
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}
