//! Writes a report. `docs/fleet-format.md` describes the same in words.

use std::num::NonZeroU64;
use std::time::SystemTime;

use metrics_core::{
    ConsumerSnapshot, EndpointParts, GroupParts, Health, MAX_NAME_BYTES, MetricStateParts, RecentError,
    SnapshotParts,
};

use super::bytes::ByteWriter;
use super::codes::{
    MAGIC, MAX_CONSUMERS, MAX_ENDPOINTS, MAX_ERRORS, MAX_GAUGE, MAX_GROUPS, MAX_LABELLED, MAX_MESSAGE,
    MAX_METRICS, OTHER, Section, VERSION, granularity_code, group_code, nanos, outcome_code, time,
};
use super::counts;
use super::decoded::Brief;
use super::instance::{Fingerprints, Instance};

pub(super) fn write(
    writer: &mut ByteWriter,
    instance: &Instance,
    brief: &Brief,
    snapshot: &SnapshotParts,
    errors: &[RecentError],
) {
    writer.0.extend_from_slice(MAGIC);
    writer.byte(VERSION);
    writer.part(|writer| {
        let (labelled, metrics): (Vec<_>, Vec<_>) =
            snapshot.metrics.iter().partition(|series| !series.labels.is_empty());
        let is_written = |section: &Section| *section != Section::Labelled || !labelled.is_empty();
        for section in Section::ALL.into_iter().filter(is_written) {
            writer.number(section.tag());
            writer.part(|part| match section {
                Section::Instance => write_instance(part, instance),
                Section::Window => {
                    time(part, snapshot.since);
                    time(part, snapshot.taken);
                    nanos(part, snapshot.span);
                }
                Section::Settings => {
                    part.byte(snapshot.significant_digits);
                    part.byte(granularity_code(snapshot.granularity));
                    let Fingerprints { rules, consumer_key } = instance.fingerprints;
                    for each in [rules, consumer_key] {
                        part.number(each.map_or(0, NonZeroU64::get));
                    }
                }
                Section::Brief => {
                    part.number(brief.calls);
                    part.number(brief.errors);
                    nanos(part, brief.p95);
                }
                Section::State => {
                    part.number(snapshot.in_flight);
                    part.number(snapshot.open_streams);
                    fields(&snapshot.health).into_iter().for_each(|field| part.number(field));
                    // So that earlier versions of this library read the same bytes.
                    if snapshot.health.label_sets_refused > 0 {
                        part.number(snapshot.health.label_sets_refused);
                    }
                }
                Section::Endpoints => write_endpoints(part, &snapshot.endpoints),
                Section::Consumers => {
                    list(part, &top(&snapshot.consumers), MAX_CONSUMERS + 1, write_consumer)
                }
                Section::Metrics => list(part, &metrics, MAX_METRICS, |part, metric| {
                    part.text(&metric.name);
                    write_metric(part, &metric.state);
                }),
                Section::Labelled => list(part, &labelled, MAX_LABELLED, |part, series| {
                    part.text(&series.name);
                    part.number(series.labels.len() as u64);
                    series
                        .labels
                        .iter()
                        .flat_map(|(name, value)| [name, value])
                        .for_each(|text| part.text(text));
                    write_metric(part, &series.state);
                }),
                Section::Errors => list(part, errors, MAX_ERRORS, write_error),
            });
        }
    });
}

/// Writes the number of elements, and each as a part; those past `allowed` are left out.
fn list<'a, T>(
    writer: &mut ByteWriter,
    all: &'a [T],
    allowed: usize,
    mut write: impl FnMut(&mut ByteWriter, &'a T),
) {
    let all = &all[..all.len().min(allowed)];
    writer.number(all.len() as u64);
    all.iter().for_each(|each| writer.part(|part| write(part, each)));
}

fn write_instance(writer: &mut ByteWriter, instance: &Instance) {
    for text in [&instance.service, &instance.name, &instance.version] {
        writer.text(cut(text, MAX_NAME_BYTES));
    }
    time(writer, instance.started);
    time(writer, instance.written);
    nanos(writer, instance.interval);
    writer.number(instance.epoch);
    writer.byte(instance.stopped.into());
}

fn write_endpoints(writer: &mut ByteWriter, endpoints: &[EndpointParts]) {
    let mut before = "";
    list(writer, endpoints, MAX_ENDPOINTS, |writer, endpoint| {
        let route = &*endpoint.name.route;
        writer.text(&endpoint.name.method);
        let same = route.bytes().zip(before.bytes()).take_while(|(ours, theirs)| ours == theirs).count();
        let shared = cut(route, same);
        writer.number(shared.len() as u64);
        writer.text(&route[shared.len()..]);
        writer.number(endpoint.in_flight);
        list(writer, &endpoint.groups, MAX_GROUPS, write_group);
        before = route;
    });
}

fn write_consumer(writer: &mut ByteWriter, consumer: &ConsumerSnapshot) {
    writer.text(&consumer.name);
    writer.number(consumer.calls);
    writer.number(consumer.errors);
    writer.number(consumer.sum_nanos);
    time(writer, consumer.last_seen);
}

fn write_error(writer: &mut ByteWriter, error: &RecentError) {
    time(writer, error.time);
    writer.text(&error.endpoint.method);
    writer.text(&error.endpoint.route);
    writer.number(outcome_code(error.outcome));
    nanos(writer, error.response_time);
    writer.text(cut(&error.message, MAX_MESSAGE));
}

/// The consumers with the most calls, and the sum of all others as `_other`.
fn top(consumers: &[ConsumerSnapshot]) -> Vec<ConsumerSnapshot> {
    let (mut others, mut top): (Vec<_>, Vec<_>) =
        consumers.iter().cloned().partition(|consumer| *consumer.name == *OTHER);
    top.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.name.cmp(&b.name)));
    others.extend(top.drain(MAX_CONSUMERS.min(top.len())..));
    if others.is_empty() {
        return top;
    }
    let none = ConsumerSnapshot {
        name: OTHER.into(),
        calls: 0,
        errors: 0,
        sum_nanos: 0,
        last_seen: SystemTime::UNIX_EPOCH,
    };
    top.push(others.into_iter().fold(none, |sum, other| ConsumerSnapshot {
        calls: sum.calls.saturating_add(other.calls),
        errors: sum.errors.saturating_add(other.errors),
        sum_nanos: sum.sum_nanos.saturating_add(other.sum_nanos),
        last_seen: sum.last_seen.max(other.last_seen),
        ..sum
    }));
    top
}

fn write_group(writer: &mut ByteWriter, group: &GroupParts) {
    writer.number(group_code(group.group));
    writer.number(group.outcomes.len() as u64);
    for &(outcome, count) in &group.outcomes {
        writer.number(outcome_code(outcome));
        writer.number(count);
    }
    [group.sum_nanos, group.min_nanos, group.max_nanos].into_iter().for_each(|number| writer.number(number));
    let (first, buckets) = group.histogram.counts();
    writer.number(first as u64);
    counts::write(writer, buckets);
    // Most are 0, and left out at the end.
    let rest = [group.clamped, group.request_bytes, group.response_bytes, group.truncated];
    let used = rest.iter().rposition(|&number| number > 0).map_or(0, |last| last + 1);
    rest[..used].iter().for_each(|&number| writer.number(number));
}

fn write_metric(writer: &mut ByteWriter, state: &MetricStateParts) {
    match state {
        MetricStateParts::Counter(count) => {
            writer.byte(0);
            writer.number(*count);
        }
        MetricStateParts::Gauge(value) => {
            writer.byte(1);
            writer.0.extend_from_slice(&value.clamp(-MAX_GAUGE, MAX_GAUGE).to_le_bytes());
        }
        MetricStateParts::Timer(None) => writer.byte(2),
        MetricStateParts::Timer(Some(times)) => {
            writer.byte(3);
            write_group(writer, times);
        }
        MetricStateParts::HitRatio { hits, misses } => {
            writer.byte(4);
            writer.number(*hits);
            writer.number(*misses);
        }
        MetricStateParts::UniqueCount { today, yesterday } => {
            writer.byte(5);
            for registers in [today, yesterday] {
                let registers: Vec<_> = registers.iter().copied().map(u64::from).collect();
                counts::write(writer, &registers);
            }
        }
    }
}

fn fields(health: &Health) -> [u64; 9] {
    [
        health.endpoints,
        health.max_series,
        health.endpoints_refused,
        health.consumers,
        health.max_consumers,
        health.consumers_refused,
        health.shards,
        health.errors_evicted,
        health.errors_thinned,
    ]
}

/// The longest prefix of at most `bytes` bytes that ends at a character.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
