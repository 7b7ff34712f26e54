//! Reads a report. `docs/fleet-format.md` describes the same in words.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{
    ConsumerSnapshot, EndpointName, Granularity, GroupParts, Health, LabelSet, MAX_LABEL_NAME_BYTES,
    MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_NAME_BYTES, MetricParts, MetricStateParts, Outcome, PartsError,
    RecentError, SnapshotParts, StatusGroup, UNIQUE_REGISTERS, visible,
};

use super::bytes::ByteReader;
use super::codes::{
    MAGIC, MAX_CONSUMERS, MAX_ENDPOINTS, MAX_ERRORS, MAX_GROUPS, MAX_LABELLED, MAX_MESSAGE, MAX_METRICS,
    MAX_REPORT_BYTES, Section, VERSION, flag, group_of, list, outcome_of, read_gauge, read_granularity,
    read_health, read_name, read_time, registers,
};
use super::counts::CountList;
use super::decoded::{Brief, Decoded, ReadEndpoint};
use super::error::DecodeError;
use super::histograms::{HistogramReader, ReadGroup};
use super::instance::{Fingerprints, Form, Instance, MAX_INTERVAL, MAX_SPAN, Presence};
use super::v1;

impl<'a> Decoded<'a> {
    /// Reads a whole report, and checks that nothing is in it twice.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_REPORT_BYTES {
            return Err(DecodeError::TooLong { length: bytes.len(), allowed: MAX_REPORT_BYTES });
        }
        let mut reader = ByteReader::new(bytes);
        if reader.bytes(MAGIC.len()) != Ok(MAGIC) {
            return Err(DecodeError::Magic);
        }
        let read = match reader.byte()? {
            1 => v1::read(&mut reader)?,
            VERSION => Sections::split(&mut reader.part()?)?.read()?,
            found => return Err(DecodeError::Version { found, known: VERSION }),
        };
        if read.instance.interval > MAX_INTERVAL {
            return Err(DecodeError::Interval(read.instance.interval));
        }
        if read.rest.span > MAX_SPAN {
            return Err(DecodeError::Span(read.rest.span));
        }
        match reader.left() {
            0 => read.check_repeats().map(|()| read),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    /// Like [`Decoded::read`], but without what no longer holds at `now`: see `Report::decode_at`.
    pub(super) fn read_at(bytes: &'a [u8], now: SystemTime) -> Result<Self, DecodeError> {
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

/// The sections of a report, unread.
struct Sections<'a> {
    known: [Option<ByteReader<'a>>; Section::ALL.len()],
    /// What was skipped, because a later version of this library wrote it.
    unknown: u64,
}

impl<'a> Sections<'a> {
    fn split(reader: &mut ByteReader<'a>) -> Result<Self, DecodeError> {
        let mut sections = Self { known: [const { None }; Section::ALL.len()], unknown: 0 };
        while reader.left() > 0 {
            let (tag, part) = (reader.number()?, reader.part()?);
            match Section::ALL.iter().position(|section| section.tag() == tag) {
                Some(place) if sections.known[place].is_some() => {
                    return Err(DecodeError::Twice { what: "a section" });
                }
                Some(place) => sections.known[place] = Some(part),
                None => sections.unknown += 1,
            }
        }
        Ok(sections)
    }

    /// Reads a section, if there is one. Fields after those that `read` reads are skipped.
    fn section<T>(
        &mut self,
        section: Section,
        read: impl FnOnce(&mut ByteReader<'a>, &mut u64) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let Some(part) = &mut self.known[section as usize] else { return Ok(None) };
        skipping(part, &mut self.unknown, read).map(Some)
    }

    /// Reads a list of elements that can be skipped. Those for which `read` has nothing are left out.
    fn list<T>(
        &mut self,
        section: Section,
        (what, allowed): (&'static str, usize),
        read: impl FnMut(&mut ByteReader<'a>, &mut u64) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let read = self.section(section, |part, unknown| parts(part, unknown, (what, allowed), read))?;
        Ok(read.unwrap_or_default())
    }

    fn read(mut self) -> Result<Decoded<'a>, DecodeError> {
        let instance = self.section(Section::Instance, |part, _| read_instance(part))?;
        let mut instance = instance.ok_or(DecodeError::Lacks("its instance"))?;
        let window = self.section(Section::Window, |part, _| {
            Ok((read_time(part)?, read_time(part)?, Duration::from_nanos(part.number()?)))
        })?;
        let (since, taken, span) = window.ok_or(DecodeError::Lacks("its window"))?;
        let settings = self.section(Section::Settings, |part, _| {
            let form = (part.byte()?, read_granularity(part)?);
            let fingerprints = Fingerprints {
                rules: NonZeroU64::new(part.number_if_any()?),
                consumer_key: NonZeroU64::new(part.number_if_any()?),
            };
            Ok((form, fingerprints))
        })?;
        let ((digits, granularity), fingerprints) = settings.ok_or(DecodeError::Lacks("its settings"))?;
        instance.fingerprints = fingerprints;
        let brief = self.section(Section::Brief, |part, _| {
            Ok(Brief {
                calls: part.number()?,
                errors: part.number()?,
                p95: Duration::from_nanos(part.number()?),
            })
        })?;
        let brief = brief.ok_or(DecodeError::Lacks("its figures in brief"))?;
        let state = self.section(Section::State, |part, _| {
            let (in_flight, open_streams, health) = (part.number()?, part.number()?, read_health(part)?);
            let label_sets_refused = part.number_if_any()?;
            Ok((in_flight, open_streams, Health { label_sets_refused, ..health }))
        })?;
        let (in_flight, open_streams, health) = state.unwrap_or_default();

        let mut histograms = HistogramReader::new(digits)?;
        let mut route = String::new();
        let endpoints = self.list(Section::Endpoints, ("endpoints", MAX_ENDPOINTS), |part, unknown| {
            let name = read_endpoint_name(part, &mut route)?;
            let in_flight = part.number()?;
            let groups = parts(part, unknown, ("groups", MAX_GROUPS), |part, unknown| {
                read_group(part, unknown, &mut histograms, granularity).map(Some)
            })?;
            Ok(Some(ReadEndpoint { name, in_flight, groups }))
        })?;
        // And `_other`.
        let consumers = self.list(Section::Consumers, ("consumers", MAX_CONSUMERS + 1), |part, _| {
            Ok(Some(ConsumerSnapshot {
                name: part.text("bytes of a name", MAX_NAME_BYTES)?.into(),
                calls: part.number()?,
                errors: part.number()?,
                sum_nanos: part.number()?,
                last_seen: read_time(part)?,
            }))
        })?;
        let mut metrics = self.list(Section::Metrics, ("metrics", MAX_METRICS), |part, unknown| {
            let name = part.text("bytes of a name", MAX_NAME_BYTES)?.into();
            read_metric(part, unknown, &mut histograms, (name, LabelSet::default()))
        })?;
        metrics.extend(self.list(
            Section::Labelled,
            ("labelled metrics", MAX_LABELLED),
            |part, unknown| {
                let name = part.text("bytes of a name", MAX_NAME_BYTES)?.into();
                let labels = read_labels(part)?;
                read_metric(part, unknown, &mut histograms, (name, labels))
            },
        )?);
        let errors = self.list(Section::Errors, ("errors", MAX_ERRORS), |part, unknown| {
            Ok(Some(RecentError {
                time: read_time(part)?,
                endpoint: read_name(part)?,
                outcome: outcome_of(part.number()?).unwrap_or_else(|| skipped(unknown, Outcome::Other)),
                response_time: Duration::from_nanos(part.number()?),
                message: part.text("bytes of a message", MAX_MESSAGE)?.into_owned(),
                // Not sent, since it only helps at the instance itself.
                trace: None,
                details: Default::default(),
            }))
        })?;
        let rest = SnapshotParts {
            since,
            taken,
            span,
            significant_digits: digits,
            granularity,
            endpoints: Vec::new(),
            consumers,
            metrics,
            in_flight,
            open_streams,
            health,
        };
        let form = Form { version: VERSION, digits, granularity, unknown: self.unknown };
        Ok(Decoded { instance, form, brief, rest, endpoints, errors })
    }
}

/// Reads a part; what `read` leaves was written by a later version of this library.
fn skipping<'a, T>(
    part: &mut ByteReader<'a>,
    unknown: &mut u64,
    read: impl FnOnce(&mut ByteReader<'a>, &mut u64) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let read = read(part, unknown)?;
    *unknown += u64::from(part.left() > 0);
    Ok(read)
}

/// Reads a list whose elements are parts.
fn parts<'a, T>(
    reader: &mut ByteReader<'a>,
    unknown: &mut u64,
    (what, allowed): (&'static str, usize),
    mut read: impl FnMut(&mut ByteReader<'a>, &mut u64) -> Result<Option<T>, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let all = list(reader, what, allowed, |reader| skipping(&mut reader.part()?, unknown, &mut read))?;
    Ok(all.into_iter().flatten().collect())
}

/// Counts something that is not known here, and stands in for it.
fn skipped<T>(unknown: &mut u64, instead: T) -> T {
    *unknown += 1;
    instead
}

fn read_instance(part: &mut ByteReader<'_>) -> Result<Instance, DecodeError> {
    Ok(Instance {
        service: part.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        name: part.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        version: part.text("bytes of a name", MAX_NAME_BYTES)?.into_owned(),
        started: read_time(part)?,
        written: read_time(part)?,
        interval: Duration::from_nanos(part.number()?),
        epoch: part.number()?,
        stopped: flag(part)?,
        fingerprints: Fingerprints::default(),
    })
}

/// Reads a method, and a route as what differs from the one before.
fn read_endpoint_name(
    part: &mut ByteReader<'_>,
    route: &mut String,
) -> Result<Arc<EndpointName>, DecodeError> {
    let what = "bytes of a name";
    let method = part.text(what, MAX_NAME_BYTES)?.into();
    let shared = usize::try_from(part.number()?).ok().filter(|&shared| route.is_char_boundary(shared));
    route.truncate(shared.ok_or(DecodeError::Text { what })?);
    route.push_str(part.raw_text(what, MAX_NAME_BYTES - route.len())?);
    Ok(Arc::new(EndpointName { method, route: visible(route, MAX_NAME_BYTES).into() }))
}

/// Reads a group of an endpoint, or of a timer.
fn read_group<'a>(
    part: &mut ByteReader<'a>,
    unknown: &mut u64,
    histograms: &mut HistogramReader,
    granularity: Granularity,
) -> Result<ReadGroup<'a>, DecodeError> {
    let group = group_of(part.number()?);
    let outcomes = list(part, "outcomes", MAX_GROUPS, |part| {
        let (code, count) = (part.number()?, part.number()?);
        let outcome = match group {
            Some(group) => outcome_of(code).unwrap_or_else(|| skipped(unknown, stand_in(group))),
            None => Outcome::Other,
        };
        Ok((outcome, count))
    })?;
    // A group that is not known here counts as other; its outcomes, too, so that they are in their group.
    let instead = || skipped(unknown, StatusGroup::of(granularity, Outcome::Other));
    let group = group.unwrap_or_else(instead);
    let is_misplaced = |&&(outcome, _): &&_| StatusGroup::of(granularity, outcome) != group;
    if let Some(&(outcome, _)) = outcomes.iter().find(is_misplaced) {
        return Err(PartsError::Group { outcome, group, granularity }.into());
    }
    let mut figures = GroupParts {
        group,
        outcomes,
        sum_nanos: part.number()?,
        min_nanos: part.number()?,
        max_nanos: part.number()?,
        clamped: 0,
        request_bytes: 0,
        response_bytes: 0,
        truncated: 0,
        histogram: histograms.empty.clone(),
    };
    let (first, counts) = histograms.read(part, CountList::read)?;
    // Left out at the end if they are 0.
    figures.clamped = part.number_if_any()?;
    figures.request_bytes = part.number_if_any()?;
    figures.response_bytes = part.number_if_any()?;
    figures.truncated = part.number_if_any()?;
    Ok(ReadGroup { figures, first, counts })
}

/// An outcome of a group.
fn stand_in(group: StatusGroup) -> Outcome {
    match group {
        StatusGroup::Success | StatusGroup::Other => Outcome::Other,
        StatusGroup::Error => Outcome::Status(500),
        StatusGroup::Class(class) => Outcome::Status(u16::from(class) * 100),
        StatusGroup::Status(status) => Outcome::Status(status),
        StatusGroup::Aborted => Outcome::Aborted,
        StatusGroup::Panicked => Outcome::Panicked,
    }
}

/// Reads the labels of a series. Those that are not valid become so.
fn read_labels(part: &mut ByteReader<'_>) -> Result<LabelSet, DecodeError> {
    let what = "bytes of a label";
    let labels = list(part, "labels", MAX_LABELS, |part| {
        Ok((part.text(what, MAX_LABEL_NAME_BYTES)?, part.text(what, MAX_LABEL_VALUE_BYTES)?))
    })?;
    Ok(LabelSet::new(labels.iter().map(|(name, value)| (&**name, &**value))))
}

/// Reads the state of a series; one of a kind that is not known here is left out.
fn read_metric(
    part: &mut ByteReader<'_>,
    unknown: &mut u64,
    histograms: &mut HistogramReader,
    (name, labels): (Arc<str>, LabelSet),
) -> Result<Option<MetricParts>, DecodeError> {
    let state = match part.byte()? {
        0 => MetricStateParts::Counter(part.number()?),
        1 => MetricStateParts::Gauge(read_gauge(part)?),
        2 => MetricStateParts::Timer(None),
        // Timers always count by class.
        3 => {
            let times = read_group(part, unknown, histograms, Granularity::Class)?;
            MetricStateParts::Timer(Some(Box::new(times.whole(histograms.digits)?)))
        }
        4 => MetricStateParts::HitRatio { hits: part.number()?, misses: part.number()? },
        5 => {
            let mut read = || registers(&CountList::read(part, UNIQUE_REGISTERS)?.unpacked());
            MetricStateParts::UniqueCount { today: read()?, yesterday: read()? }
        }
        _ => {
            part.bytes(part.left())?;
            return Ok(skipped(unknown, None));
        }
    };
    Ok(Some(MetricParts { name, labels, state }))
}
