//! A history as bytes. [`resume`](super::resume) reads them.
//!
//! [Numbers and texts](super::coding), in this order. Times of the history's clock and of the wall clock are
//! nanoseconds, the latter since 1970.
//!
//! | what | as |
//! |---|---|
//! | the version of the format, 1 or 2 | a byte |
//! | significant digits; the time by the history's clock; the time by the wall clock | numbers |
//! | gaps | their number; when each began and ended |
//! | resets | their number; when each was |
//! | frames of all requests | their number; of each its head, its requests but probes, its probes, and the longest streak |
//! | names of endpoints | their number; of each method and route |
//! | frames by endpoint | their number; of each its head, the number of endpoints, and of each its place among the names and its figures |
//! | names of series of metrics | their number; each; in version 2 also the number of its labels, and of each name and value |
//! | frames of metrics | their number; of each its head, the number of metrics, and of each its place among the names, its kind and its values |
//!
//! A frame's head is its start and its end by the history's clock, and its end by the wall clock. Frames are in the
//! order of time, and do not overlap. Figures are their length in bytes, and [packed groups](super::packed::Packed). A
//! version cannot skip what it does not know, so any change makes a new version. Each version reads those before it.
//! Without labels, version 1 is written.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::coding::{put, put_text};
use super::endpoint_numbers::EndpointNumbers;
use super::metrics::{Counted as CountedMetric, MetricsTimeline, PackedMetrics, SeriesName};
use super::packed::Packed;
use super::saved_error::{MAX_VERSION, WITHOUT_LABELS};
use super::tiers::{Frame, Tier, Tiers};
use super::timeline::{ByEndpoint, Counted, Timeline};
use crate::labels::metric_kind::MetricValue;

/// The most names of endpoints, which all rows of two registries fit into.
pub(super) const MAX_NAMES: usize = 2 << 16;

/// What is saved of all requests if their frames do not fit as they are: longer ones, of which the coarsest tiers have
/// fewer than 40.
const COARSER: [[Tier; 3]; 3] = [
    [tier(10, 300), tier(60, 3_600), tier(600, 172_800)],
    [tier(60, 300), tier(300, 3_600), tier(1_800, 172_800)],
    [tier(300, 300), tier(1_800, 3_600), tier(7_200, 172_800)],
];

const fn tier(step: u64, keep: u64) -> Tier {
    Tier { step: Duration::from_secs(step), keep: Duration::from_secs(keep) }
}

pub(super) fn save(timeline: &Timeline, max_bytes: usize) -> Vec<u8> {
    let now = &timeline.total_until.snapshot;
    let has_labels = timeline.metrics.numbers.keys().any(|(_, labels)| !labels.is_empty());
    let version = if has_labels { MAX_VERSION } else { WITHOUT_LABELS };
    let mut bytes = vec![version];
    put(&mut bytes, now.significant_digits().into());
    // The three are read one after the other.
    let end = now.span.max(timeline.by_endpoint_until.span).max(timeline.metrics.until.span);
    put(&mut bytes, nanos(end));
    put_time(&mut bytes, now.taken);
    put(&mut bytes, timeline.gaps.len() as u64);
    for gap in &timeline.gaps {
        put_time(&mut bytes, gap.from);
        put_time(&mut bytes, gap.until);
    }
    put(&mut bytes, timeline.resets.len() as u64);
    timeline.resets.iter().for_each(|&reset| put_time(&mut bytes, reset));

    // The numbers of the five lists take up to ten bytes each.
    let mut left = max_bytes.saturating_sub(bytes.len() + 50);
    let total = save_totals(&timeline.total, end, &mut left);
    let (metric_names, metrics) = save_metrics(&timeline.metrics, version, &mut left);
    let (names, by_endpoint) = save_endpoints(timeline, &mut left);
    for part in [total, names, by_endpoint, metric_names, metrics] {
        put(&mut bytes, part.len() as u64);
        part.iter().for_each(|item| bytes.extend_from_slice(item));
    }
    bytes
}

/// The newest frames that fit into the bytes that are left, the oldest first. `save` takes a frame and the bytes that
/// are left.
fn newest<'a, T: 'a>(
    frames: impl DoubleEndedIterator<Item = &'a Frame<T>>,
    left: &mut usize,
    mut save: impl FnMut(&'a Frame<T>, &mut usize) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for frame in frames.rev() {
        let mut after = *left;
        let bytes = save(frame, &mut after);
        let Some(after) = after.checked_sub(bytes.len()) else { break };
        *left = after;
        kept.push(bytes);
    }
    kept.reverse();
    kept
}

/// All frames, as they are if they fit. Otherwise in the finest tiers in which they take at most half of the bytes that
/// are left, so that there is room for endpoints and metrics; of the coarsest tiers, the newest that fit into all of
/// them.
fn save_totals(frames: &Tiers<Counted>, now: Duration, left: &mut usize) -> Vec<Vec<u8>> {
    let mut merged = None;
    let mut coarser = COARSER.iter();
    loop {
        let frames = merged.as_ref().unwrap_or(frames);
        let next = coarser.next();
        let room = if merged.is_some() && next.is_some() { *left / 2 } else { *left };
        let mut after = room;
        let saved = newest(frames.all(), &mut after, |frame, _| save_total(frame));
        match next {
            Some(tiers) if saved.len() < frames.all().count() => merged = Some(frames.in_tiers(tiers, now)),
            _ => {
                *left -= room - after;
                return saved;
            }
        }
    }
}

fn save_total(frame: &Frame<Counted>) -> Vec<u8> {
    let mut bytes = head(frame);
    frame.content.matched.save(&mut bytes);
    frame.content.probes.save(&mut bytes);
    put(&mut bytes, frame.content.streak);
    bytes
}

/// Names, and frames.
type NamesAndFrames = (Vec<Vec<u8>>, Vec<Vec<u8>>);

fn save_endpoints(timeline: &Timeline, left: &mut usize) -> NamesAndFrames {
    let mut names = Names::default();
    let frames = newest(timeline.by_endpoint.all(), left, |frame, left| {
        let known = names.written.len();
        let bytes = save_by_endpoint(frame, &timeline.numbers, &mut names);
        let new: usize = names.written[known..].iter().map(Vec::len).sum();
        match left.checked_sub(new + bytes.len()) {
            Some(_) if names.written.len() <= MAX_NAMES => *left -= new,
            // Neither the frame nor its names.
            _ => {
                names.written.truncate(known);
                *left = 0;
            }
        }
        bytes
    });
    (names.written, frames)
}

fn save_by_endpoint(frame: &Frame<ByEndpoint>, numbers: &EndpointNumbers, names: &mut Names) -> Vec<u8> {
    let mut bytes = head(frame);
    put(&mut bytes, frame.content.len() as u64);
    for (&number, packed) in &frame.content {
        let at = names.at(number, |bytes| {
            let name = numbers.name(number).expect("each endpoint in a frame has a number");
            put_text(bytes, &name.method);
            put_text(bytes, &name.route);
        });
        put(&mut bytes, at);
        packed.save(&mut bytes);
    }
    bytes
}

fn save_metrics(timeline: &MetricsTimeline, version: u8, left: &mut usize) -> NamesAndFrames {
    let numbers: HashMap<u32, &SeriesName> =
        timeline.numbers.iter().map(|(name, &number)| (number, name)).collect();
    let mut names = Names::default();
    let frames = newest(timeline.frames.all(), left, |frame, left| {
        let known = names.written.len();
        let bytes = save_metric_frame(frame, &numbers, version, &mut names);
        let new: usize = names.written[known..].iter().map(Vec::len).sum();
        match left.checked_sub(new + bytes.len()) {
            Some(_) => *left -= new,
            None => {
                names.written.truncate(known);
                *left = 0;
            }
        }
        bytes
    });
    (names.written, frames)
}

fn save_metric_frame(
    frame: &Frame<PackedMetrics>,
    numbers: &HashMap<u32, &SeriesName>,
    version: u8,
    names: &mut Names,
) -> Vec<u8> {
    let (mut bytes, counted) = (head(frame), frame.content.unpack());
    put(&mut bytes, counted.len() as u64);
    for (number, what) in counted {
        let (name, labels) = numbers.get(&number).expect("each series in a frame has a number");
        let at = names.at(number, |bytes| {
            put_text(bytes, name);
            if version > WITHOUT_LABELS {
                put(bytes, labels.len() as u64);
                labels.iter().flat_map(|(name, value)| [name, value]).for_each(|text| put_text(bytes, text));
            }
        });
        put(&mut bytes, at);
        save_metric(&mut bytes, &what);
    }
    bytes
}

/// The kind of a metric, and its values.
fn save_metric(bytes: &mut Vec<u8>, what: &CountedMetric) {
    match what {
        &MetricValue::Counter(count) => [0, count].into_iter().for_each(|number| put(bytes, number)),
        &MetricValue::Gauge(value) => [1, value.to_bits()].into_iter().for_each(|number| put(bytes, number)),
        MetricValue::Timer(times) => {
            put(bytes, 2);
            Packed::new(std::slice::from_ref(times)).save(bytes);
        }
        &MetricValue::HitRatio { hits, misses } => {
            [3, hits, misses].into_iter().for_each(|number| put(bytes, number));
        }
        &MetricValue::UniqueCount { today, yesterday } => {
            [4, today, yesterday].into_iter().for_each(|number| put(bytes, number));
        }
    }
}

/// The names in the order in which they are written, each with its number in the history.
#[derive(Default)]
struct Names {
    written: Vec<Vec<u8>>,
    places: HashMap<u32, usize>,
}

impl Names {
    /// The place of a name, which is written the first time.
    fn at(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let known = self.places.get(&number).filter(|&&place| place < self.written.len());
        let place = known.copied().unwrap_or_else(|| {
            let mut name = Vec::new();
            write(&mut name);
            self.written.push(name);
            self.written.len() - 1
        });
        self.places.insert(number, place);
        place as u64
    }
}

fn head<T>(frame: &Frame<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, nanos(frame.start));
    put(&mut bytes, nanos(frame.end));
    put_time(&mut bytes, frame.taken);
    bytes
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// A time before 1970 is 1970.
fn put_time(bytes: &mut Vec<u8>, time: SystemTime) {
    put(bytes, nanos(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()));
}
