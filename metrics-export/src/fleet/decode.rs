//! Reads a report. `docs/fleet-format.md` describes the same in words.

use std::time::{Duration, SystemTime};

use metrics_core::{
    ConsumerSnapshot, Granularity, Health, MAX_NAME_BYTES, MetricParts, MetricStateParts, RecentError,
    SnapshotParts, UNIQUE_REGISTERS,
};

use super::bytes::ByteReader;
use super::codes::{
    MAGIC, MAX_CONSUMERS, MAX_ENDPOINTS, MAX_ERRORS, MAX_GAUGE, MAX_GROUPS, MAX_MESSAGE, MAX_METRICS,
    MAX_REPORT_BYTES, VERSION, flag, list, read_name, read_outcome, read_time,
};
use super::counts::CountList;
use super::decoded::{Decoded, SparseEndpoint};
use super::error::DecodeError;
use super::instance::{Instance, Presence};
use super::sparse::HistogramReader;

impl Decoded {
    /// Reads a whole report, and checks that nothing is in it twice.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_REPORT_BYTES {
            return Err(DecodeError::TooLong { length: bytes.len(), allowed: MAX_REPORT_BYTES });
        }
        let mut reader = ByteReader::new(bytes);
        let read = read(&mut reader)?;
        match reader.left() {
            0 => read.check_repeats().map(|()| read),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    /// Like [`Decoded::read`], but without what no longer holds at `now`: see `Report::decode_at`.
    pub(super) fn read_at(bytes: &[u8], now: SystemTime) -> Result<Self, DecodeError> {
        let mut read = Self::read(bytes)?;
        read.rest.age_to(now);
        // An instance whose clock is ahead must not move the days of others.
        read.rest.taken = read.rest.taken.min(now);
        if read.instance.presence(now) != Presence::Up {
            read.drop_current();
        }
        Ok(read)
    }
}

fn read(reader: &mut ByteReader<'_>) -> Result<Decoded, DecodeError> {
    if reader.bytes(MAGIC.len()) != Ok(MAGIC) {
        return Err(DecodeError::Magic);
    }
    let found = reader.byte()?;
    if found != VERSION {
        return Err(DecodeError::Version { found, known: VERSION });
    }
    let instance = Instance {
        service: reader.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        name: reader.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        version: reader.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
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

    let mut histograms = HistogramReader::new(significant_digits, reader.left())?;
    let endpoints = list(reader, "endpoints", MAX_ENDPOINTS, |reader| {
        let name = read_name(reader)?;
        let in_flight = reader.number()?;
        let groups = list(reader, "groups", MAX_GROUPS, |reader| histograms.read(reader, granularity))?;
        Ok(SparseEndpoint { name, in_flight, groups })
    })?;
    // And `_other`.
    let consumers = list(reader, "consumers", MAX_CONSUMERS + 1, |reader| {
        Ok(ConsumerSnapshot {
            name: reader.text("bytes of a name", MAX_NAME_BYTES)?.into(),
            calls: reader.number()?,
            errors: reader.number()?,
            sum_nanos: reader.number()?,
            last_seen: read_time(reader)?,
        })
    })?;
    let metrics = list(reader, "metrics", MAX_METRICS, |reader| read_metric(reader, &mut histograms))?;
    let errors = list(reader, "errors", MAX_ERRORS, |reader| {
        Ok(RecentError {
            time: read_time(reader)?,
            endpoint: read_name(reader)?,
            outcome: read_outcome(reader)?,
            response_time: Duration::from_nanos(reader.number()?),
            message: reader.text("bytes of a message", MAX_MESSAGE)?.into_owned(),
            // Not sent, since it only helps at the instance itself.
            trace: None,
            details: Default::default(),
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

fn read_metric(
    reader: &mut ByteReader<'_>,
    histograms: &mut HistogramReader,
) -> Result<MetricParts, DecodeError> {
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
        // Timers always count by class.
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

fn read_registers(reader: &mut ByteReader<'_>) -> Result<Vec<u8>, DecodeError> {
    let found = CountList::begin(reader, UNIQUE_REGISTERS)?;
    let length = found.length();
    let (mut places, mut counts) = (vec![0; length], vec![0; length]);
    let read = found.read(&mut places, &mut counts)?;
    let mut registers = vec![0; length];
    for (&place, &register) in places.iter().zip(&counts).take(read) {
        registers[usize::from(place)] = u8::try_from(register).map_err(|_| DecodeError::Counts)?;
    }
    Ok(registers)
}

fn read_health(reader: &mut ByteReader<'_>) -> Result<Health, DecodeError> {
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
