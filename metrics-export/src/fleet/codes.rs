//! What writing and reading a report share: the codes of outcomes, groups and times, and the limits of a report.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointName, MAX_NAME_BYTES, Outcome, StatusGroup};

use super::bytes::{ByteReader, ByteWriter};
use super::error::DecodeError;

/// The longest report, in bytes.
pub const MAX_REPORT_BYTES: usize = 4 << 20;

/// How a report begins.
pub(super) const MAGIC: &[u8] = b"MFLT";

/// The version of the format. A reader refuses all others.
pub(super) const VERSION: u8 = 1;

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

/// Reads the counts of outcomes.
pub(super) fn read_outcomes(reader: &mut ByteReader<'_>) -> Result<Vec<(Outcome, u64)>, DecodeError> {
    list(reader, "outcomes", MAX_GROUPS, |reader| Ok((read_outcome(reader)?, reader.number()?)))
}

pub(super) fn read_outcome(reader: &mut ByteReader<'_>) -> Result<Outcome, DecodeError> {
    match reader.number()? {
        0 => Ok(Outcome::Other),
        1 => Ok(Outcome::Aborted),
        2 => Ok(Outcome::Panicked),
        status @ 100..=599 => Ok(Outcome::Status(status as u16)),
        code => Err(DecodeError::Code { what: "outcome", code }),
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

pub(super) fn read_group_code(reader: &mut ByteReader<'_>) -> Result<StatusGroup, DecodeError> {
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

/// Reads a length, and then as many elements.
pub(super) fn list<T>(
    reader: &mut ByteReader<'_>,
    what: &'static str,
    allowed: usize,
    mut read: impl FnMut(&mut ByteReader<'_>) -> Result<T, DecodeError>,
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

pub(super) fn read_name(reader: &mut ByteReader<'_>) -> Result<Arc<EndpointName>, DecodeError> {
    let method = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    let route = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    Ok(Arc::new(EndpointName { method, route }))
}
