//! What writing and reading a report share: the codes of outcomes, groups and times, and the limits of a report.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointName, Granularity, Health, MAX_NAME_BYTES, Outcome, PartsError, StatusGroup};

use super::bytes::{ByteReader, ByteWriter};
use super::error::DecodeError;

/// The longest report, in bytes.
pub const MAX_REPORT_BYTES: usize = 4 << 20;

/// How a report begins.
pub(super) const MAGIC: &[u8] = b"MFLT";

/// The version of the format that is written. A reader refuses later ones.
pub(super) const VERSION: u8 = 2;

/// The sections of a report. Tags are never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Instance,
    Window,
    Settings,
    Brief,
    State,
    Endpoints,
    Consumers,
    Metrics,
    Errors,
    /// Series of metrics with labels. Missing if there are none.
    Labelled,
}

impl Section {
    /// All of them, in the order in which they are written.
    pub(super) const ALL: [Self; 10] = [
        Self::Instance,
        Self::Window,
        Self::Settings,
        Self::Brief,
        Self::State,
        Self::Endpoints,
        Self::Consumers,
        Self::Metrics,
        Self::Errors,
        Self::Labelled,
    ];

    pub(super) const fn tag(self) -> u64 {
        self as u64 + 1
    }
}

/// The most endpoints of a report.
pub(super) const MAX_ENDPOINTS: usize = 20_000;

/// The most groups of statuses of an endpoint: one for each status, and for the other three outcomes.
pub(super) const MAX_GROUPS: usize = 503;

/// The most consumers that a report names; the others are summed as `_other`.
pub(super) const MAX_CONSUMERS: usize = 50;

/// The most errors of a report.
pub(super) const MAX_ERRORS: usize = 32;

/// The most metrics of the application's own in a report.
pub(super) const MAX_METRICS: usize = 1_000;

/// The most series of these with labels in a report.
pub(super) const MAX_LABELLED: usize = 4_096;

/// The longest message of an error, in bytes.
pub(super) const MAX_MESSAGE: usize = metrics_core::MAX_MESSAGE_BYTES;

/// The name of the sum of all consumers without a name of their own.
pub(super) const OTHER: &str = "_other";

/// The largest absolute value of a gauge, so that gauges of a whole fleet can be added.
pub(super) const MAX_GAUGE: f64 = 1e300;

pub(super) fn outcome_code(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Status(status @ 100..=599) => status.into(),
        Outcome::Status(_) | Outcome::Other => 0,
        Outcome::Aborted => 1,
        Outcome::Panicked => 2,
    }
}

pub(super) fn outcome_of(code: u64) -> Option<Outcome> {
    match code {
        0 => Some(Outcome::Other),
        1 => Some(Outcome::Aborted),
        2 => Some(Outcome::Panicked),
        status @ 100..=599 => Some(Outcome::Status(status as u16)),
        _ => None,
    }
}

pub(super) fn group_code(group: StatusGroup) -> u64 {
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

pub(super) fn group_of(code: u64) -> Option<StatusGroup> {
    match code {
        0 => Some(StatusGroup::Other),
        1 => Some(StatusGroup::Aborted),
        2 => Some(StatusGroup::Panicked),
        3 => Some(StatusGroup::Success),
        4 => Some(StatusGroup::Error),
        class @ 11..=15 => Some(StatusGroup::Class((class - 10) as u8)),
        status @ 100..=599 => Some(StatusGroup::Status(status as u16)),
        _ => None,
    }
}

pub(super) fn granularity_code(granularity: Granularity) -> u8 {
    match granularity {
        Granularity::Outcome => 0,
        Granularity::Class => 1,
        Granularity::Exact => 2,
    }
}

/// Another granularity, as another precision, would be another version: nothing could be added to it.
pub(super) fn read_granularity(reader: &mut ByteReader<'_>) -> Result<Granularity, DecodeError> {
    match reader.byte()? {
        0 => Ok(Granularity::Outcome),
        1 => Ok(Granularity::Class),
        2 => Ok(Granularity::Exact),
        code => Err(DecodeError::Code { what: "granularity", code: code.into() }),
    }
}

/// Reads a length, and then as many elements.
pub(super) fn list<'a, T>(
    reader: &mut ByteReader<'a>,
    what: &'static str,
    allowed: usize,
    mut read: impl FnMut(&mut ByteReader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(what, allowed)?;
    // Not allocated at once: an element in memory is larger than its shortest bytes.
    let mut read_ones = Vec::new();
    for _ in 0..count {
        read_ones.push(read(reader)?);
    }
    Ok(read_ones)
}

pub(super) fn time(writer: &mut ByteWriter, time: SystemTime) {
    nanos(writer, time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
}

pub(super) fn nanos(writer: &mut ByteWriter, duration: Duration) {
    writer.number(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

pub(super) fn read_time(reader: &mut ByteReader<'_>) -> Result<SystemTime, DecodeError> {
    let since = Duration::from_nanos(reader.number()?);
    // Up to the year 2262; later times cannot be shown as text everywhere.
    if since.as_nanos() > i64::MAX as u128 {
        return Err(DecodeError::Time);
    }
    SystemTime::UNIX_EPOCH.checked_add(since).ok_or(DecodeError::Time)
}

pub(super) fn flag(reader: &mut ByteReader<'_>) -> Result<bool, DecodeError> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        code => Err(DecodeError::Code { what: "flag", code: code.into() }),
    }
}

pub(super) fn read_health(reader: &mut ByteReader<'_>) -> Result<Health, DecodeError> {
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
        // Not in version 1, and left out if it is 0.
        label_sets_refused: 0,
    })
}

pub(super) fn read_gauge(reader: &mut ByteReader<'_>) -> Result<f64, DecodeError> {
    let value = f64::from_le_bytes(reader.bytes(8)?.try_into().unwrap_or_default());
    if value.is_nan() || value.abs() > MAX_GAUGE {
        return Err(PartsError::Gauge.into());
    }
    Ok(value)
}

/// The registers of a count of distinct values, which are written as counts.
pub(super) fn registers(counts: &[u64]) -> Result<Vec<u8>, DecodeError> {
    counts.iter().map(|&register| u8::try_from(register).map_err(|_| DecodeError::Counts)).collect()
}

pub(super) fn read_name(reader: &mut ByteReader<'_>) -> Result<Arc<EndpointName>, DecodeError> {
    let method = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    let route = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    Ok(Arc::new(EndpointName { method, route }))
}
