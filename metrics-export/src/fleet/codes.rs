//! Codes that writing and reading a report share: numbers for outcomes, groups and times, and the limits of a report.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointName, MAX_NAME_BYTES, Outcome, StatusGroup};

use super::bytes::{Reader, Writer};
use super::error::DecodeError;

/// The longest report, in bytes.
pub const MAX_REPORT_BYTES: usize = 4 << 20;

pub(super) const MAGIC: &[u8] = b"MFLT";

/// A reader refuses every other version.
pub(super) const VERSION: u8 = 1;

/// The most endpoints of a report.
pub(super) const MAX_ENDPOINTS: usize = 20_000;

/// The most groups of statuses of an endpoint: one for each status and ending.
pub(super) const MAX_GROUPS: usize = 503;

/// The most consumers that a report names; the others are added up as `_other`.
pub(super) const MAX_CONSUMERS: usize = 50;

/// The most errors of a report.
pub(super) const MAX_ERRORS: usize = 32;

/// The most metrics of the application's own.
pub(super) const MAX_METRICS: usize = 1_000;

/// The longest message of an error, in bytes.
pub(super) const MAX_MESSAGE: usize = metrics_core::MAX_MESSAGE_BYTES;

/// What stands for the consumers that are not named.
pub(super) const OTHER: &str = "_other";

/// The largest number in a gauge, so that those of a whole fleet can be added.
pub(super) const MAX_GAUGE: f64 = 1e300;

pub(super) fn outcome_code(outcome: Outcome) -> u64 {
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

pub(super) fn read_outcome(reader: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
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

/// Reads a number, and as many of something. Each takes a byte or more, so that no more room is made than the bytes can fill.
pub(super) fn list<T>(
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

pub(super) fn time(writer: &mut Writer, time: SystemTime) {
    nanos(writer, time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
}

pub(super) fn nanos(writer: &mut Writer, duration: Duration) {
    writer.number(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

pub(super) fn read_time(reader: &mut Reader<'_>) -> Result<SystemTime, DecodeError> {
    let since = Duration::from_nanos(reader.number()?);
    // Up to the year 2262, which is as far as texts of times go without trouble.
    if since.as_nanos() > i64::MAX as u128 {
        return Err(DecodeError::Time);
    }
    SystemTime::UNIX_EPOCH.checked_add(since).ok_or(DecodeError::Time)
}

pub(super) fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        code => Err(DecodeError::Code { what: "flag", code: code.into() }),
    }
}

pub(super) fn read_name(reader: &mut Reader<'_>) -> Result<Arc<EndpointName>, DecodeError> {
    let method = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    let route = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    Ok(Arc::new(EndpointName { method, route }))
}
