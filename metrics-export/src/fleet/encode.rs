//! Writes a report. `docs/fleet-format.md` describes the same in words.

use std::time::SystemTime;

use metrics_core::{
    ConsumerSnapshot, Granularity, GroupParts, Health, MAX_NAME_BYTES, MetricParts, MetricStateParts,
    RecentError, SnapshotParts,
};

use super::bytes::ByteWriter;
use super::codes::{
    MAGIC, MAX_CONSUMERS, MAX_ENDPOINTS, MAX_ERRORS, MAX_GAUGE, MAX_MESSAGE, MAX_METRICS, OTHER, VERSION,
    group_code, nanos, outcome_code, time,
};
use super::counts;
use super::instance::Instance;

pub(super) fn write(
    writer: &mut ByteWriter,
    instance: &Instance,
    snapshot: &SnapshotParts,
    errors: &[RecentError],
) {
    writer.0.extend_from_slice(MAGIC);
    writer.byte(VERSION);
    for text in [&instance.service, &instance.name, &instance.version] {
        writer.text(cut(text, MAX_NAME_BYTES));
    }
    time(writer, instance.started);
    time(writer, instance.written);
    nanos(writer, instance.interval);
    writer.number(instance.epoch);
    writer.byte(instance.stopped.into());

    time(writer, snapshot.since);
    time(writer, snapshot.taken);
    nanos(writer, snapshot.span);
    writer.byte(snapshot.significant_digits);
    writer.byte(match snapshot.granularity {
        Granularity::Outcome => 0,
        Granularity::Class => 1,
        Granularity::Exact => 2,
    });
    writer.number(snapshot.in_flight);
    writer.number(snapshot.open_streams);
    fields(&snapshot.health).into_iter().for_each(|field| writer.number(field));

    let endpoints = &snapshot.endpoints[..snapshot.endpoints.len().min(MAX_ENDPOINTS)];
    writer.number(endpoints.len() as u64);
    for endpoint in endpoints {
        writer.text(&endpoint.name.method);
        writer.text(&endpoint.name.route);
        writer.number(endpoint.in_flight);
        writer.number(endpoint.groups.len() as u64);
        endpoint.groups.iter().for_each(|each| write_group(writer, each));
    }
    let consumers = top(&snapshot.consumers);
    writer.number(consumers.len() as u64);
    for consumer in &consumers {
        writer.text(&consumer.name);
        writer.number(consumer.calls);
        writer.number(consumer.errors);
        writer.number(consumer.sum_nanos);
        time(writer, consumer.last_seen);
    }
    let metrics = &snapshot.metrics[..snapshot.metrics.len().min(MAX_METRICS)];
    writer.number(metrics.len() as u64);
    metrics.iter().for_each(|each| write_metric(writer, each));
    let errors = &errors[..errors.len().min(MAX_ERRORS)];
    writer.number(errors.len() as u64);
    for error in errors {
        time(writer, error.time);
        writer.text(&error.endpoint.method);
        writer.text(&error.endpoint.route);
        writer.number(outcome_code(error.outcome));
        nanos(writer, error.response_time);
        writer.text(cut(&error.message, MAX_MESSAGE));
    }
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
    let numbers = [
        group.sum_nanos,
        group.min_nanos,
        group.max_nanos,
        group.clamped,
        group.request_bytes,
        group.response_bytes,
        group.truncated,
    ];
    numbers.into_iter().for_each(|number| writer.number(number));
    let (first, buckets) = group.histogram.counts();
    writer.number(first as u64);
    counts::write(writer, buckets);
}

fn write_metric(writer: &mut ByteWriter, metric: &MetricParts) {
    writer.text(&metric.name);
    match &metric.state {
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
