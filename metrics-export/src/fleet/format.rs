//! The order of what is in a report. `docs/fleet-format.md` tells the same in words.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{
    ConsumerSnapshot, EndpointName, Granularity, GroupParts, Health, MAX_NAME_BYTES, MetricParts,
    MetricStateParts, Outcome, RecentError, SnapshotParts, StatusGroup, UNIQUE_REGISTERS,
};

use super::bytes::{Reader, Writer};
use super::counts::{self, Counts};
use super::decoded::{Decoded, SparseEndpoint};
use super::error::DecodeError;
use super::report::{Instance, MAX_REPORT_CONSUMERS, MAX_REPORT_ERRORS};
use super::sparse::Histograms;

const MAGIC: &[u8] = b"MFLT";

/// A reader refuses every other version.
const VERSION: u8 = 1;

/// The most endpoints of a report.
const MAX_ENDPOINTS: usize = 20_000;

/// The most groups of statuses of an endpoint: one for each status and ending.
const MAX_GROUPS: usize = 503;

/// The most metrics of the application's own.
const MAX_METRICS: usize = 1_000;

/// The longest message of an error, in bytes.
const MAX_MESSAGE: usize = metrics_core::MAX_MESSAGE_BYTES;

/// What stands for the consumers that are not named.
pub(super) const OTHER: &str = "_other";

/// The largest number in a gauge, so that those of a whole fleet can be added.
const MAX_GAUGE: f64 = 1e300;

pub(super) fn write(
    writer: &mut Writer,
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
    let errors = &errors[..errors.len().min(MAX_REPORT_ERRORS)];
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

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Decoded, DecodeError> {
    if reader.bytes(MAGIC.len()) != Ok(MAGIC) {
        return Err(DecodeError::Magic);
    }
    let found = reader.byte()?;
    if found != VERSION {
        return Err(DecodeError::Version { found, known: VERSION });
    }
    let instance = Instance {
        service: reader.text("bytes of a name", MAX_NAME_BYTES)?.to_owned(),
        name: reader.text("bytes of a name", MAX_NAME_BYTES)?.to_owned(),
        version: reader.text("bytes of a name", MAX_NAME_BYTES)?.to_owned(),
        started: read_time(reader)?,
        written: read_time(reader)?,
        interval: Duration::from_nanos(reader.number()?),
        epoch: reader.number()?,
        stopped: flag(reader)?,
    };
    let (since, taken) = (read_time(reader)?, read_time(reader)?);
    let span = Duration::from_nanos(reader.number()?);
    let significant_digits = reader.byte()?;
    let granularity = match reader.byte()? {
        0 => Granularity::Outcome,
        1 => Granularity::Class,
        2 => Granularity::Exact,
        code => return Err(DecodeError::Code { what: "granularity", code: code.into() }),
    };
    let (in_flight, open_streams) = (reader.number()?, reader.number()?);
    let health = read_health(reader)?;

    let mut histograms = Histograms::new(significant_digits, reader.left())?;
    let endpoints = list(reader, "endpoints", MAX_ENDPOINTS, |reader| {
        let name = read_name(reader)?;
        let in_flight = reader.number()?;
        let groups = list(reader, "groups", MAX_GROUPS, |reader| histograms.read(reader, granularity))?;
        Ok(SparseEndpoint { name, in_flight, groups })
    })?;
    // `_other` is beside them.
    let consumers = list(reader, "consumers", MAX_REPORT_CONSUMERS + 1, |reader| {
        Ok(ConsumerSnapshot {
            name: reader.text("bytes of a name", MAX_NAME_BYTES)?.into(),
            calls: reader.number()?,
            errors: reader.number()?,
            sum_nanos: reader.number()?,
            last_seen: read_time(reader)?,
        })
    })?;
    let metrics = list(reader, "metrics", MAX_METRICS, |reader| read_metric(reader, &mut histograms))?;
    let errors = list(reader, "errors", MAX_REPORT_ERRORS, |reader| {
        Ok(RecentError {
            time: read_time(reader)?,
            endpoint: read_name(reader)?,
            outcome: read_outcome(reader)?,
            response_time: Duration::from_nanos(reader.number()?),
            message: reader.text("bytes of a message", MAX_MESSAGE)?.to_owned(),
            // Not sent: it is for whoever looks at this instance.
            trace: None,
        })
    })?;
    let rest = SnapshotParts {
        since,
        taken,
        span,
        significant_digits,
        granularity,
        endpoints: Vec::new(),
        consumers,
        metrics,
        in_flight,
        open_streams,
        health,
    };
    Ok(Decoded { instance, rest, endpoints, buckets: histograms.into_buckets(), errors })
}

/// The consumers with the most calls, and what the others did as one.
fn top(consumers: &[ConsumerSnapshot]) -> Vec<ConsumerSnapshot> {
    let (mut others, mut top): (Vec<_>, Vec<_>) =
        consumers.iter().cloned().partition(|consumer| *consumer.name == *OTHER);
    top.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.name.cmp(&b.name)));
    others.extend(top.drain(MAX_REPORT_CONSUMERS.min(top.len())..));
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

fn write_group(writer: &mut Writer, group: &GroupParts) {
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

fn write_metric(writer: &mut Writer, metric: &MetricParts) {
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

fn read_metric(reader: &mut Reader<'_>, histograms: &mut Histograms) -> Result<MetricParts, DecodeError> {
    let name = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    let state = match reader.byte()? {
        0 => MetricStateParts::Counter(reader.number()?),
        1 => {
            let value = f64::from_le_bytes(reader.bytes(8)?.try_into().unwrap_or_default());
            if value.is_nan() || value.abs() > MAX_GAUGE {
                return Err(metrics_core::PartsError::Gauge.into());
            }
            MetricStateParts::Gauge(value)
        }
        2 => MetricStateParts::Timer(None),
        // Timers count by class, whatever endpoints do.
        3 => MetricStateParts::Timer(Some(Box::new(histograms.read_whole(reader, Granularity::Class)?))),
        4 => MetricStateParts::HitRatio { hits: reader.number()?, misses: reader.number()? },
        5 => MetricStateParts::UniqueCount {
            today: read_registers(reader)?,
            yesterday: read_registers(reader)?,
        },
        code => return Err(DecodeError::Code { what: "kind of metric", code: code.into() }),
    };
    Ok(MetricParts { name, state })
}

fn read_registers(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let found = Counts::begin(reader, UNIQUE_REGISTERS)?;
    let length = found.length();
    let (mut places, mut counts) = (vec![0; length], vec![0; length]);
    let read = found.read(&mut places, &mut counts)?;
    let mut registers = vec![0; length];
    for (&place, &register) in places.iter().zip(&counts).take(read) {
        registers[usize::from(place)] = u8::try_from(register).map_err(|_| DecodeError::Counts)?;
    }
    Ok(registers)
}

/// Reads a number, and as many of something. Each takes a byte or more, so that no more room is made than the bytes can fill.
fn list<T>(
    reader: &mut Reader<'_>,
    what: &'static str,
    allowed: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(what, allowed)?;
    // It grows as it is read: an element takes more room than its shortest bytes.
    let mut read_ones = Vec::new();
    for _ in 0..count {
        read_ones.push(read(reader)?);
    }
    Ok(read_ones)
}

fn time(writer: &mut Writer, time: SystemTime) {
    nanos(writer, time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
}

fn nanos(writer: &mut Writer, duration: Duration) {
    writer.number(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

fn read_time(reader: &mut Reader<'_>) -> Result<SystemTime, DecodeError> {
    let since = Duration::from_nanos(reader.number()?);
    // Up to the year 2262, which is as far as texts of times go without trouble.
    if since.as_nanos() > i64::MAX as u128 {
        return Err(DecodeError::Time);
    }
    SystemTime::UNIX_EPOCH.checked_add(since).ok_or(DecodeError::Time)
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        code => Err(DecodeError::Code { what: "flag", code: code.into() }),
    }
}

fn read_name(reader: &mut Reader<'_>) -> Result<Arc<EndpointName>, DecodeError> {
    let method = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    let route = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    Ok(Arc::new(EndpointName { method, route }))
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

fn read_health(reader: &mut Reader<'_>) -> Result<Health, DecodeError> {
    Ok(Health {
        endpoints: reader.number()?,
        max_series: reader.number()?,
        endpoints_refused: reader.number()?,
        consumers: reader.number()?,
        max_consumers: reader.number()?,
        consumers_refused: reader.number()?,
        shards: reader.number()?,
        errors_evicted: reader.number()?,
        errors_thinned: reader.number()?,
    })
}

fn outcome_code(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Status(status @ 100..=599) => status.into(),
        Outcome::Status(_) | Outcome::Other => 0,
        Outcome::Aborted => 1,
        Outcome::Panicked => 2,
    }
}

/// Reads how often which outcome occurred.
pub(super) fn read_outcomes(reader: &mut Reader<'_>) -> Result<Vec<(Outcome, u64)>, DecodeError> {
    list(reader, "outcomes", MAX_GROUPS, |reader| Ok((read_outcome(reader)?, reader.number()?)))
}

fn read_outcome(reader: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
    match reader.number()? {
        0 => Ok(Outcome::Other),
        1 => Ok(Outcome::Aborted),
        2 => Ok(Outcome::Panicked),
        status @ 100..=599 => Ok(Outcome::Status(status as u16)),
        code => Err(DecodeError::Code { what: "outcome", code }),
    }
}

fn group_code(group: StatusGroup) -> u64 {
    match group {
        StatusGroup::Other => 0,
        StatusGroup::Aborted => 1,
        StatusGroup::Panicked => 2,
        StatusGroup::Success => 3,
        StatusGroup::Error => 4,
        StatusGroup::Class(class) => 10 + u64::from(class),
        StatusGroup::Status(status) => status.into(),
    }
}

pub(super) fn read_group_code(reader: &mut Reader<'_>) -> Result<StatusGroup, DecodeError> {
    match reader.number()? {
        0 => Ok(StatusGroup::Other),
        1 => Ok(StatusGroup::Aborted),
        2 => Ok(StatusGroup::Panicked),
        3 => Ok(StatusGroup::Success),
        4 => Ok(StatusGroup::Error),
        class @ 11..=15 => Ok(StatusGroup::Class((class - 10) as u8)),
        status @ 100..=599 => Ok(StatusGroup::Status(status as u16)),
        code => Err(DecodeError::Code { what: "group of statuses", code }),
    }
}

/// The longest beginning of at most `bytes` bytes that ends at a character.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
