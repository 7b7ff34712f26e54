//! Reads a saved history, which anybody may have written, and continues it. [`save`](super::save) has the format.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::coding::Untrusted;
use super::metrics::{Counted as CountedMetric, PackedMetrics, SeriesName};
use super::packed::Packed;
use super::save::MAX_NAMES;
use super::saved_error::{MAX_VERSION, SavedError, WITHOUT_LABELS};
use super::tiers::Frame;
use super::timeline::{BY_ENDPOINT, ByEndpoint, Counted, Gap, MAX_MARKS, Timeline, push_bounded};
use crate::histogram::{Histogram, Layout};
use crate::labels::endpoint::{EndpointName, MAX_NAME_BYTES};
use crate::labels::label_set::{LabelSet, MAX_LABEL_NAME_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS};
use crate::labels::metric_kind::MetricValue;
use crate::labels::metric_room::{MAX_COUNTER_ROWS, MAX_TIMERS, MAX_UNIQUE_ROWS};
use crate::text::visible;

/// The latest time, as nanoseconds since a clock's beginning: 146 years. So sums of a few do not overflow.
const MAX_NANOS: u64 = 1 << 62;

/// The most series of metrics of a frame: those of two processes, counters and hit ratios each at most as many as there
/// are rows of counters, and gauges as many as these.
const MAX_METRICS: u64 = 2 * (2 * MAX_COUNTER_ROWS + MAX_TIMERS + MAX_UNIQUE_ROWS) as u64;

/// After this time nothing of a history is left.
const FORGOTTEN: Duration = Duration::from_secs(2 * 86_400);

/// A saved history, by a clock that begins at most [`FORGOTTEN`] and a step before its end.
pub(super) struct Saved {
    /// The time by the history's clock.
    end: Duration,
    saved_at: SystemTime,
    gaps: Vec<Gap>,
    resets: Vec<SystemTime>,
    total: Vec<Frame<Counted>>,
    endpoints: Vec<Arc<EndpointName>>,
    by_endpoint: Vec<Frame<ByEndpoint>>,
    metric_names: Vec<SeriesName>,
    metrics: Vec<Frame<PackedMetrics>>,
}

impl Saved {
    /// Reads it, for a registry with this precision.
    pub(super) fn read(bytes: &[u8], ours: Layout) -> Result<Self, SavedError> {
        let (&version, rest) = bytes.split_first().ok_or(SavedError::Damaged("it is empty"))?;
        match version {
            1..=MAX_VERSION => {}
            0 => return Err(SavedError::Damaged("no version has the number 0")),
            newer => return Err(SavedError::Newer(newer)),
        }
        let mut from = Untrusted::new(rest);
        let theirs = u8::try_from(from.number()?).ok().and_then(Layout::for_digits);
        let theirs = theirs.ok_or(SavedError::Damaged("its precision is none of 1 to 3 digits"))?;
        let (end, saved_at) = (span(&mut from)?, time(&mut from)?);
        let gaps = marks(&mut from, |from| Ok(Gap { from: time(from)?, until: time(from)? }))?;
        let resets = marks(&mut from, time)?;
        let total = frames(&mut from, end, |from| {
            let matched = Packed::restore(from, theirs, ours)?;
            Ok(Counted { matched, probes: Packed::restore(from, theirs, ours)?, streak: from.number()? })
        })?;
        let endpoints = names(&mut from, MAX_NAMES, |from| {
            Ok(Arc::new(EndpointName { method: name(from)?, route: name(from)? }))
        })?;
        let by_endpoint = frames(&mut from, end, |from| {
            rows(from, endpoints.len(), endpoints.len() as u64, |from| Packed::restore(from, theirs, ours))
        })?;
        let metric_names = names(&mut from, MAX_NAMES, |from| {
            let name = name(from)?;
            Ok((name, if version > WITHOUT_LABELS { labels(from)? } else { LabelSet::default() }))
        })?;
        let metrics = frames(&mut from, end, |from| {
            let counted = rows(from, metric_names.len(), MAX_METRICS, |from| metric(from, theirs, ours))?;
            Ok(PackedMetrics::new(&counted))
        })?;
        if !from.is_empty() {
            return Err(SavedError::Damaged("there is something after its end"));
        }
        let end = end - forgotten(end);
        Ok(Self { end, saved_at, gaps, resets, total, endpoints, by_endpoint, metric_names, metrics })
    }

    /// As if it had been saved so much earlier.
    #[cfg(test)]
    pub(super) fn move_back(&mut self, by: Duration) {
        self.saved_at -= by;
    }

    /// As if it had just been saved.
    #[cfg(test)]
    pub(super) fn save_now(&mut self) {
        self.saved_at = SystemTime::now();
    }

    /// As if the wall clock had been so much ahead.
    #[cfg(test)]
    pub(super) fn move_ahead(&mut self, by: Duration) {
        self.saved_at += by;
        self.total.iter_mut().for_each(|frame| frame.taken += by);
    }

    /// Makes it the past of a new timeline. The process before may have ended after that began.
    pub(super) fn add_to(self, timeline: &mut Timeline) {
        let (span, taken) = (timeline.total_until.snapshot.span, timeline.total_until.snapshot.taken);
        let away = taken.duration_since(self.saved_at).unwrap_or_default().min(FORGOTTEN);
        // What the wall clock was set back by.
        let back = self.saved_at.duration_since(SystemTime::now()).unwrap_or_default();
        let wall = |time: SystemTime| time.checked_sub(back).unwrap_or(SystemTime::UNIX_EPOCH);
        let later = later(self.end + away, span);
        let ahead = self.end + away + later - span;
        timeline.total_until.snapshot.span += ahead;
        timeline.by_endpoint_until.span += ahead;
        timeline.metrics.until.span += ahead;
        timeline.window_began += ahead;
        timeline.ahead = ahead;

        let now = span + ahead;
        fn moved<T>(frame: Frame<T>, later: Duration, wall: impl Fn(SystemTime) -> SystemTime) -> Frame<T> {
            let Frame { start, end, taken, content } = frame;
            Frame { start: start + later, end: end + later, taken: wall(taken), content }
        }
        self.total.into_iter().for_each(|frame| timeline.total.restore(moved(frame, later, wall), now));
        // The first numbers are those of these names, in their order.
        for name in &self.endpoints {
            timeline.numbers.number(name);
        }
        for frame in self.by_endpoint {
            timeline.by_endpoint.restore(moved(frame, later, wall), now);
        }
        timeline.metrics.numbers = self.metric_names.into_iter().zip(0..).collect();
        for frame in self.metrics {
            timeline.metrics.frames.restore(moved(frame, later, wall), now);
            timeline.metrics.limit();
        }
        timeline.resets.extend(self.resets.into_iter().map(wall));
        timeline
            .gaps
            .extend(self.gaps.into_iter().map(|gap| Gap { from: wall(gap.from), until: wall(gap.until) }));
        let from = wall(self.saved_at);
        push_bounded(&mut timeline.gaps, Gap { from, until: taken.max(from) });
    }
}

/// How much later the frames of a history that ends at `end` are on the clock of a registry of age `span`. The clock
/// goes on, so that frames stay in the slots that they are in. But it never runs behind the registry's: a registry may
/// be older than its history.
fn later(end: Duration, span: Duration) -> Duration {
    let [.., longest] = BY_ENDPOINT;
    let steps = span.saturating_sub(end).as_nanos().div_ceil(longest.step.as_nanos());
    longest.step * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// How much of a clock is left out, since nothing that is kept is so old. Otherwise the clock of a service that goes on
/// for ever, or that somebody made up, would reach a time that can no longer be saved. Whole steps, so that frames stay
/// in the slots that they are in.
fn forgotten(end: Duration) -> Duration {
    let [.., longest] = BY_ENDPOINT;
    let steps = end.saturating_sub(FORGOTTEN).as_nanos() / longest.step.as_nanos();
    longest.step * u32::try_from(steps).unwrap_or(u32::MAX)
}

fn span(from: &mut Untrusted<'_>) -> Result<Duration, SavedError> {
    from.at_most(MAX_NANOS).map(Duration::from_nanos)
}

fn time(from: &mut Untrusted<'_>) -> Result<SystemTime, SavedError> {
    Ok(SystemTime::UNIX_EPOCH + span(from)?)
}

fn marks<'a, T>(
    from: &mut Untrusted<'a>,
    read: impl Fn(&mut Untrusted<'a>) -> Result<T, SavedError>,
) -> Result<Vec<T>, SavedError> {
    let count = from.at_most(MAX_MARKS as u64)?;
    (0..count).map(|_| read(from)).collect()
}

/// Frames in the order of time, none of them after `end`, by the clock without what is [`forgotten`].
fn frames<'a, T>(
    from: &mut Untrusted<'a>,
    end: Duration,
    read: impl Fn(&mut Untrusted<'a>) -> Result<T, SavedError>,
) -> Result<Vec<Frame<T>>, SavedError> {
    let (count, mut last, before) = (from.count()?, Duration::ZERO, forgotten(end));
    let frame = |_| {
        let frame = Frame { start: span(from)?, end: span(from)?, taken: time(from)?, content: read(from)? };
        if frame.start < last || frame.end < frame.start || frame.end > end {
            return Err(SavedError::Damaged("its frames are not in the order of time"));
        }
        last = frame.end;
        Ok(Frame {
            start: frame.start.saturating_sub(before),
            end: frame.end.saturating_sub(before),
            ..frame
        })
    };
    (0..count).map(frame).collect()
}

/// Names, each of them once.
fn names<'a, T: Clone + Eq + std::hash::Hash>(
    from: &mut Untrusted<'a>,
    most: usize,
    read: impl Fn(&mut Untrusted<'a>) -> Result<T, SavedError>,
) -> Result<Vec<T>, SavedError> {
    let count = from.at_most(most as u64)?;
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for _ in 0..count {
        let name = read(from)?;
        if !known.insert(name.clone()) {
            return Err(SavedError::Damaged("a name is there twice"));
        }
        names.push(name);
    }
    Ok(names)
}

fn name(from: &mut Untrusted<'_>) -> Result<Arc<str>, SavedError> {
    let name = from.text(MAX_NAME_BYTES)?;
    if *visible(name, MAX_NAME_BYTES) != *name {
        return Err(SavedError::Damaged("a name has invisible characters"));
    }
    Ok(name.into())
}

fn labels(from: &mut Untrusted<'_>) -> Result<LabelSet, SavedError> {
    let count = from.at_most(MAX_LABELS as u64)?;
    let mut pair = || Ok((from.text(MAX_LABEL_NAME_BYTES)?, from.text(MAX_LABEL_VALUE_BYTES)?));
    let read = (0..count).map(|_| pair()).collect::<Result<Vec<_>, SavedError>>()?;
    let labels = LabelSet::new(read.iter().copied());
    if !labels.iter().eq(read) {
        return Err(SavedError::Damaged("labels are not valid, or not in order"));
    }
    Ok(labels)
}

/// What a frame has of each endpoint or series of a metric, by its place among `names` names.
fn rows<'a, T>(
    from: &mut Untrusted<'a>,
    names: usize,
    most: u64,
    read: impl Fn(&mut Untrusted<'a>) -> Result<T, SavedError>,
) -> Result<BTreeMap<u32, T>, SavedError> {
    let (count, mut rows) = (from.at_most(most)?, BTreeMap::new());
    for _ in 0..count {
        let at = from.number()?;
        let at = u32::try_from(at).ok().filter(|&at| (at as usize) < names);
        let at = at.ok_or(SavedError::Damaged("a frame has a name that is not there"))?;
        if rows.insert(at, read(from)?).is_some() {
            return Err(SavedError::Damaged("a name is in a frame twice"));
        }
    }
    Ok(rows)
}

fn metric(from: &mut Untrusted<'_>, theirs: Layout, ours: Layout) -> Result<CountedMetric, SavedError> {
    Ok(match from.number()? {
        0 => MetricValue::Counter(from.number()?),
        1 => {
            let value = f64::from_bits(from.number()?);
            MetricValue::Gauge(if value.is_finite() {
                value
            } else {
                return Err(SavedError::Damaged("a gauge is no number"));
            })
        }
        2 => {
            let packed = Packed::restore(from, theirs, ours)?;
            let mut groups = packed.groups();
            let (Some((mut group, buckets)), None) = (groups.next(), groups.next()) else {
                return Err(SavedError::Damaged("the times of a timer are not one group"));
            };
            let used: Vec<_> = buckets.into_iter().collect();
            if let (Some(&(first, _)), Some(&(last, _))) = (used.first(), used.last()) {
                let mut counts = vec![0; last - first + 1];
                used.iter().for_each(|&(at, count)| counts[at - first] = count);
                group.histogram = Histogram::from_counts(ours, first, &counts);
            } else {
                group.histogram = Histogram::empty(ours);
            }
            MetricValue::Timer(Box::new(group))
        }
        3 => MetricValue::HitRatio { hits: from.number()?, misses: from.number()? },
        4 => MetricValue::UniqueCount { today: from.number()?, yesterday: from.number()? },
        _ => return Err(SavedError::Damaged("no kind of metric has such a code")),
    })
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::history::coding::put;
    use crate::registry::Registry;

    #[test]
    fn the_clock_goes_on_from_the_end_of_the_process_before() {
        let before = History::new(Registry::new());
        std::thread::sleep(Duration::from_millis(20));
        before.tick();
        let (bytes, registry) = (before.save(usize::MAX), Registry::new());
        // So that the clock of the later process does not begin with 0.
        std::thread::sleep(Duration::from_millis(30));
        let Saved { end, saved_at, .. } = Saved::read(&bytes, registry.layout()).unwrap();
        let history = History::resume(registry, &bytes).unwrap();
        let timeline = history.timeline();
        let now = &timeline.total_until.snapshot;
        assert_eq!(now.span, end + now.taken.duration_since(saved_at).unwrap());
    }

    #[test]
    fn frames_of_a_history_that_is_younger_than_its_registry_stay_in_their_slots_and_end_before_the_next_one()
    {
        let step = BY_ENDPOINT.map(|tier| tier.step).into_iter().max().unwrap();
        assert!(BY_ENDPOINT.iter().all(|tier| step.as_nanos() % tier.step.as_nanos() == 0));
        for end in [0, 1, 5_000, 7_199, 7_200, 100_000].map(Duration::from_secs) {
            for span in [0, 1, 5_000, 7_199, 7_200, 7_201, 14_401, 21_600, 100_000, 1_000_000] {
                let span = Duration::from_millis(1 + span * 1_000);
                let later = later(end, span);
                let slots = later.as_nanos() / step.as_nanos();
                assert_eq!(later, step * slots as u32, "whole steps");
                assert!(end + later >= span, "{end:?} {span:?}");
                // No later than it must be.
                assert!(slots == 0 || end + later - step < span, "{end:?} {span:?}");
            }
        }
    }

    #[test]
    fn a_history_with_any_clock_can_be_saved_and_continued_again_and_its_frames_stay_in_their_slots() {
        const SECOND: u64 = 1_000_000_000;
        let step = BY_ENDPOINT.map(|tier| tier.step).into_iter().max().unwrap().as_nanos() as u64;
        let days = FORGOTTEN.as_nanos() as u64;
        for end in
            [0, SECOND, days, days + step - 1, days + step, 3 * days + 7, MAX_NANOS - SECOND, MAX_NANOS]
        {
            // Version, precision, clock, wall clock, no gaps, no resets, and one frame of a second without requests.
            let (mut bytes, start) = (vec![MAX_VERSION], end.saturating_sub(SECOND));
            [2, end, 0, 0, 0, 1, start, end, 0, 0, 0, 0]
                .into_iter()
                .for_each(|number| put(&mut bytes, number));
            // No endpoints and their frames, and no metrics and theirs.
            bytes.extend([0; 4]);
            let read = |bytes: &[u8]| Saved::read(bytes, Layout::TWO_DIGITS).unwrap();
            let saved = read(&bytes);
            let [frame] = &saved.total[..] else { panic!("{} frames", saved.total.len()) };
            assert_eq!((frame.end, frame.end - frame.start), (saved.end, Duration::from_nanos(end - start)));
            assert_eq!(saved.end.as_nanos() as u64 % step, end % step, "{end}");
            assert!(saved.end < FORGOTTEN + Duration::from_nanos(step), "{end}: {:?}", saved.end);
            let later = History::resume(Registry::new(), &bytes).unwrap().save(usize::MAX);
            assert!(read(&later).end <= FORGOTTEN * 2, "{end}");
        }
    }
}
