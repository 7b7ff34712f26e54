//! Which families and series a snapshot has, whatever format they are written in.

use metrics_core::{ConsumerSnapshot, EndpointSnapshot, GroupSnapshot, Outcome, Snapshot, StatusGroup};

use super::business;
use super::durations::Durations;
use super::exporters;
use super::exposition::MAX_CONSUMERS;
use super::names::{self, Family, Label, Names};
use super::resources::Resources;
use crate::push::Counts;

/// A value that is not a histogram.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Count(u64),
    /// Written in seconds.
    Nanos(u64),
    Number(f64),
}

/// A format, told family by family what there is.
pub(crate) trait Encoder<'a> {
    /// Begins a family. One without any series is not written at all.
    fn begin(&mut self, family: Family<'a>);
    /// A series of a family of counters or gauges.
    fn value(&mut self, labels: &[Label<'_>], value: Value);
    /// A series of a family of histograms.
    fn histogram(&mut self, labels: &[Label<'_>], durations: &Durations<'_>);
    /// Ends the family.
    fn end(&mut self);
}

/// A family, and where its values are found.
type Figure<T, V> = (&'static Family<'static>, fn(&T) -> V);

/// Writes all families of a snapshot, and those of what is known beside it.
pub(crate) fn write<'a>(
    snapshot: &'a Snapshot,
    resources: &Resources,
    exporters: &[Counts],
    names: Names,
    top_consumers: usize,
    to: &mut impl Encoder<'a>,
) {
    requests(snapshot, names, to);
    durations(snapshot, names, to);
    single(names.in_flight(), Value::Count(snapshot.in_flight()), to);
    single(&names::OPEN_STREAMS, Value::Count(snapshot.open_streams()), to);
    let sums: [Figure<GroupSnapshot, u64>; 3] = [
        (&names::REQUEST_BYTES, GroupSnapshot::request_bytes),
        (&names::RESPONSE_BYTES, GroupSnapshot::response_bytes),
        (&names::TRUNCATED, GroupSnapshot::truncated),
    ];
    for (family, figure) in sums {
        by_endpoint(snapshot, names, family, |endpoint| sum(endpoint.groups().map(figure)), to);
    }
    consumers(snapshot, top_consumers, to);
    let hidden = business::write(snapshot, to);
    single(&names::METRICS_HIDDEN, Value::Count(hidden), to);
    health(snapshot, to);
    exporters::write(exporters, to);
    resources.write(to);
}

/// The three families of which each request is in one.
fn requests<'a>(snapshot: &'a Snapshot, names: Names, to: &mut impl Encoder<'a>) {
    to.begin(names::REQUESTS);
    for endpoint in snapshot.endpoints() {
        let [method, route] = labels(endpoint, names);
        for (outcome, count) in endpoint.outcomes() {
            if let Some(status) = names::status(outcome, &mut itoa::Buffer::new()) {
                to.value(&[method, route, (names.status(), status)], Value::Count(count));
            }
        }
    }
    to.end();
    for (family, outcome) in [(&names::ABORTED, Outcome::Aborted), (&names::PANICKED, Outcome::Panicked)] {
        let figure = |endpoint: &EndpointSnapshot| {
            sum(endpoint.outcomes().filter(|&(known, _)| known == outcome).map(|(_, count)| count))
        };
        by_endpoint(snapshot, names, family, figure, to);
    }
}

fn durations<'a>(snapshot: &'a Snapshot, names: Names, to: &mut impl Encoder<'a>) {
    let mut exemplars = snapshot.exemplars().iter().peekable();
    to.begin(*names.duration());
    for endpoint in snapshot.endpoints() {
        // Both are in the same order.
        let exemplar = exemplars.next_if(|exemplar| *exemplar.endpoint == *endpoint.name());
        for (class, mut durations) in Durations::of(endpoint, names, snapshot.significant_digits()) {
            durations.exemplar = exemplar.filter(|exemplar| {
                names.class(StatusGroup::of(snapshot.granularity(), exemplar.outcome)) == class
            });
            let [method, route] = labels(endpoint, names);
            let mut digits = itoa::Buffer::new();
            to.histogram(&[method, route, class.label(names, &mut digits)], &durations);
        }
    }
    to.end();
}

/// One series for each endpoint, also where it is 0: a rate needs to see it begin.
fn by_endpoint<'a>(
    snapshot: &'a Snapshot,
    names: Names,
    family: &'static Family<'static>,
    figure: impl Fn(&EndpointSnapshot) -> u64,
    to: &mut impl Encoder<'a>,
) {
    to.begin(*family);
    for endpoint in snapshot.endpoints() {
        to.value(&labels(endpoint, names), Value::Count(figure(endpoint)));
    }
    to.end();
}

fn consumers<'a>(snapshot: &'a Snapshot, top: usize, to: &mut impl Encoder<'a>) {
    let all = snapshot.consumers();
    let mut places = [0; MAX_CONSUMERS];
    let top = top_places(all, &mut places[..top.min(MAX_CONSUMERS)]);
    let figures: [Figure<ConsumerSnapshot, Value>; 3] = [
        (&names::CONSUMER_REQUESTS, |consumer| Value::Count(consumer.calls)),
        (&names::CONSUMER_ERRORS, |consumer| Value::Count(consumer.errors)),
        (&names::CONSUMER_SECONDS, |consumer| Value::Nanos(consumer.sum_nanos)),
    ];
    for (family, figure) in figures {
        to.begin(*family);
        for &place in top {
            let consumer = &all[place as usize];
            to.value(&[("consumer", &consumer.name)], figure(consumer));
        }
        to.end();
    }
}

/// The places of the consumers with the most calls, as many as there is room for, without allocating.
fn top_places<'a>(consumers: &[ConsumerSnapshot], room: &'a mut [u32]) -> &'a [u32] {
    let mut len = 0;
    let rank = |place: u32| std::cmp::Reverse(consumers[place as usize].calls);
    for place in 0..consumers.len() as u32 {
        // Behind those with as many calls, so that a tie is never a reason to change places.
        let at = room[..len].partition_point(|&other| rank(other) <= rank(place));
        if at < room.len() {
            len = (len + 1).min(room.len());
            room[at..len].rotate_right(1);
            room[at] = place;
        }
    }
    &room[..len]
}

/// How full the registry's own tables are.
fn health<'a>(snapshot: &'a Snapshot, to: &mut impl Encoder<'a>) {
    let health = snapshot.health();
    let clamped = snapshot.endpoints().flat_map(EndpointSnapshot::groups).map(GroupSnapshot::clamped);
    for (family, value) in [
        (&names::ENDPOINTS, health.endpoints),
        (&names::MAX_ENDPOINTS, health.max_series),
        (&names::ENDPOINTS_REFUSED, health.endpoints_refused),
        (&names::CONSUMERS, health.consumers),
        (&names::MAX_CONSUMERS, health.max_consumers),
        (&names::CONSUMERS_REFUSED, health.consumers_refused),
        (&names::SHARDS, health.shards),
        (&names::ERRORS_EVICTED, health.errors_evicted),
        (&names::ERRORS_THINNED, health.errors_thinned),
        (&names::CLAMPED, sum(clamped)),
    ] {
        single(family, Value::Count(value), to);
    }
}

/// A family of one series without labels.
pub(crate) fn single<'a>(family: &'static Family<'static>, value: Value, to: &mut impl Encoder<'a>) {
    to.begin(*family);
    to.value(&[], value);
    to.end();
}

fn labels(endpoint: &EndpointSnapshot, names: Names) -> [Label<'_>; 2] {
    let name = endpoint.name();
    [(names.method(), &name.method), (names.route(), &name.route)]
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_top_is_that_of_sorting_all_of_them(calls in prop::collection::vec(0_u64..20, 0..60), room in 0_usize..30) {
            let consumer = |calls| ConsumerSnapshot {
                name: "".into(),
                calls,
                errors: 0,
                sum_nanos: 0,
                last_seen: std::time::SystemTime::UNIX_EPOCH,
            };
            let consumers: Vec<_> = calls.iter().map(|&calls| consumer(calls)).collect();
            let mut sorted: Vec<_> = (0..calls.len() as u32).collect();
            sorted.sort_by_key(|&place| std::cmp::Reverse(calls[place as usize]));
            sorted.truncate(room);
            let mut room = vec![0; room];
            prop_assert_eq!(top_places(&consumers, &mut room), sorted);
        }
    }
}
