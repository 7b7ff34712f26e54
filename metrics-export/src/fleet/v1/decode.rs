//! Reads version 1, the fields of which follow each other without lengths.

use std::time::Duration;

use metrics_core::{
    ConsumerSnapshot, Granularity, GroupParts, Histogram, LabelSet, MAX_NAME_BYTES, MetricParts,
    MetricStateParts, Outcome, PartsError, RecentError, SnapshotParts, StatusGroup, UNIQUE_REGISTERS,
};

use super::counts;
use crate::fleet::bytes::ByteReader;
use crate::fleet::codes::{
    MAX_CONSUMERS, MAX_ENDPOINTS, MAX_ERRORS, MAX_GROUPS, MAX_MESSAGE, MAX_METRICS, flag, group_of, list,
    outcome_of, read_gauge, read_granularity, read_health, read_name, read_time, registers,
};
use crate::fleet::counts::CountList;
use crate::fleet::decoded::{Brief, Decoded, ReadEndpoint};
use crate::fleet::error::DecodeError;
use crate::fleet::histograms::{HistogramReader, ReadGroup};
use crate::fleet::instance::{Fingerprints, Form, Instance};

/// Reads what follows the version.
pub(in crate::fleet) fn read<'a>(reader: &mut ByteReader<'a>) -> Result<Decoded<'a>, DecodeError> {
    let instance = Instance {
        service: reader.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        name: reader.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        version: reader.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        started: read_time(reader)?,
        written: read_time(reader)?,
        interval: Duration::from_nanos(reader.number()?),
        epoch: reader.number()?,
        stopped: flag(reader)?,
        fingerprints: Fingerprints::default(),
    };
    let (since, taken) = (read_time(reader)?, read_time(reader)?);
    let span = Duration::from_nanos(reader.number()?);
    let significant_digits = reader.byte()?;
    let granularity = read_granularity(reader)?;
    let (in_flight, open_streams) = (reader.number()?, reader.number()?);
    let health = read_health(reader)?;

    let mut histograms = HistogramReader::new(significant_digits)?;
    let endpoints = list(reader, "endpoints", MAX_ENDPOINTS, |reader| {
        let name = read_name(reader)?;
        let in_flight = reader.number()?;
        let groups =
            list(reader, "groups", MAX_GROUPS, |reader| read_group(reader, &mut histograms, granularity))?;
        Ok(ReadEndpoint { name, in_flight, groups })
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
    let form = Form { version: 1, digits: significant_digits, granularity, unknown: 0 };
    Ok(Decoded { instance, form, brief: brief(&endpoints, significant_digits), rest, endpoints, errors })
}

fn read_group<'a>(
    reader: &mut ByteReader<'a>,
    histograms: &mut HistogramReader,
    granularity: Granularity,
) -> Result<ReadGroup<'a>, DecodeError> {
    let code = reader.number()?;
    let group = group_of(code).ok_or(DecodeError::Code { what: "group of statuses", code })?;
    let outcomes =
        list(reader, "outcomes", MAX_GROUPS, |reader| Ok((read_outcome(reader)?, reader.number()?)))?;
    let is_misplaced = |&&(outcome, _): &&_| StatusGroup::of(granularity, outcome) != group;
    if let Some(&(outcome, _)) = outcomes.iter().find(is_misplaced) {
        return Err(PartsError::Group { outcome, group, granularity }.into());
    }
    let figures = GroupParts {
        group,
        outcomes,
        sum_nanos: reader.number()?,
        min_nanos: reader.number()?,
        max_nanos: reader.number()?,
        clamped: reader.number()?,
        request_bytes: reader.number()?,
        response_bytes: reader.number()?,
        truncated: reader.number()?,
        histogram: histograms.empty.clone(),
    };
    let repacked = |reader: &mut ByteReader<'a>, allowed| Ok(CountList::of(&counts::read(reader, allowed)?));
    let (first, counts) = histograms.read(reader, repacked)?;
    Ok(ReadGroup { figures, first, counts })
}

fn read_outcome(reader: &mut ByteReader<'_>) -> Result<Outcome, DecodeError> {
    let code = reader.number()?;
    outcome_of(code).ok_or(DecodeError::Code { what: "outcome", code })
}

/// The figures in brief, which version 1 does not write.
fn brief(endpoints: &[ReadEndpoint<'_>], digits: u8) -> Brief {
    let (mut calls, mut errors, mut max) = (0_u64, 0_u64, 0);
    let mut all = vec![0_u64; Histogram::max_buckets(digits).unwrap_or(0)];
    for ReadGroup { figures, first, counts } in endpoints.iter().flat_map(|endpoint| &endpoint.groups) {
        counts.add_to(&mut all[*first..]);
        // Unknown extremes are stored with the minimum above the maximum.
        if counts.length() > 0 {
            max = max.max(if figures.min_nanos <= figures.max_nanos { figures.max_nanos } else { u64::MAX });
        }
        for &(outcome, count) in &figures.outcomes {
            calls = calls.saturating_add(count);
            errors = errors.saturating_add(if Outcome::is_error(outcome) { count } else { 0 });
        }
    }
    let p95 = Histogram::from_buckets(digits, 0, &all).map_or(0, |all| all.value_at_quantile(0.95));
    Brief { calls, errors, p95: Duration::from_nanos(p95.min(max)) }
}

fn read_metric(
    reader: &mut ByteReader<'_>,
    histograms: &mut HistogramReader,
) -> Result<MetricParts, DecodeError> {
    let name = reader.text("bytes of a name", MAX_NAME_BYTES)?.into();
    let state = match reader.byte()? {
        0 => MetricStateParts::Counter(reader.number()?),
        1 => MetricStateParts::Gauge(read_gauge(reader)?),
        2 => MetricStateParts::Timer(None),
        // Timers always count by class.
        3 => {
            let times = read_group(reader, histograms, Granularity::Class)?.whole(histograms.digits)?;
            MetricStateParts::Timer(Some(Box::new(times)))
        }
        4 => MetricStateParts::HitRatio { hits: reader.number()?, misses: reader.number()? },
        5 => {
            let mut read = || registers(&counts::read(reader, UNIQUE_REGISTERS)?);
            MetricStateParts::UniqueCount { today: read()?, yesterday: read()? }
        }
        code => return Err(DecodeError::Code { what: "kind of metric", code: code.into() }),
    };
    Ok(MetricParts { name, labels: LabelSet::default(), state })
}
