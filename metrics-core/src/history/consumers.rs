//! Consumers over time: calls, errors and durations of each, without percentiles.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::period::Frames;
use super::tiers::{Content, Frame, Span, Tier, Tiers, slot};
use super::trend::CountPoint;
use crate::read::snapshot::consumers::{ConsumerSnapshot, consumers_since};

/// At most 140 frames.
pub(super) const TIERS: [Tier; 3] = [
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(60), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(1_800), keep: Duration::from_secs(86_400) },
];

/// The consumers of a frame at most: those with the most calls.
const MAX_CONSUMERS: usize = 1_000;

/// The most bytes that all frames take: about 100 consumers that call all the time for a day. With more of them, the
/// oldest frames are dropped early.
const MAX_BYTES: usize = 256 << 10;

/// The last 24 hours of a registry's consumers, by its own clock: they are never saved, so none are older than it. A
/// history that inherits an earlier one's clock thus leaves each frame in the step that it is in.
#[derive(Debug, Default)]
pub(super) struct ConsumersTimeline {
    /// `None` before the first consumer was seen.
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    frames: Tiers<PackedConsumers>,
    /// The state at the end of the last frame.
    until: Duration,
    consumers: Vec<ConsumerSnapshot>,
    /// The numbers that stand for consumers in frames. As many as the registry has names.
    numbers: HashMap<Arc<str>, u32>,
}

/// What consumers counted in a frame, by number, in postcard's format.
#[derive(Debug, Clone)]
struct PackedConsumers(Box<[u8]>);

/// What all consumers counted in a frame.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Counts {
    by_consumer: BTreeMap<u32, Counted>,
    /// Whether there were more consumers than fit.
    is_cut: bool,
}

/// Calls, errors, and the sum of durations in nanoseconds.
type Counted = (u64, u64, u64);

impl ConsumersTimeline {
    /// Whether a frame is over, so that the consumers must be read.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let [Tier { step, .. }, ..] = TIERS;
        self.kept.as_ref().is_none_or(|kept| slot(now, step) > slot(kept.until, step))
    }

    /// Keeps what was counted since the last frame, where `now` is by the registry's clock and by the wall clock.
    pub(super) fn push(&mut self, (now, taken): (Duration, SystemTime), consumers: Vec<ConsumerSnapshot>) {
        let kept = match &mut self.kept {
            Some(kept) => kept,
            // What was counted before the first frame has no beginning.
            None if consumers.is_empty() => return,
            none => none.insert(Kept {
                frames: Tiers::new(&TIERS),
                until: now.saturating_sub(TIERS[0].step),
                consumers: Vec::new(),
                numbers: HashMap::new(),
            }),
        };
        // Another thread has pushed since this reading.
        if now <= kept.until {
            return;
        }
        let mut counted = consumers_since(&consumers, &kept.consumers);
        counted.sort_unstable_by_key(|consumer| std::cmp::Reverse(consumer.calls));
        let mut counts = Counts { is_cut: counted.len() > MAX_CONSUMERS, ..Counts::default() };
        for consumer in counted.into_iter().take(MAX_CONSUMERS) {
            let next = kept.numbers.len() as u32;
            let number = *kept.numbers.entry(consumer.name).or_insert(next);
            counts.by_consumer.insert(number, (consumer.calls, consumer.errors, consumer.sum_nanos));
        }
        let content = PackedConsumers::new(&counts);
        kept.frames.push(Frame { start: kept.until, end: now, taken, content });
        while kept.frames.heap_bytes() > MAX_BYTES && kept.frames.drop_oldest() {}
        (kept.until, kept.consumers) = (now, consumers);
    }

    /// What a consumer counted in each step. Steps in which it may have been among those that did not fit are missing.
    pub(super) fn steps(&self, frames: Frames, step: Duration, name: &str) -> Vec<CountPoint> {
        let Some(kept) = &self.kept else { return Vec::new() };
        let number = kept.numbers.get(name);
        let mut steps: Vec<(Span, Counted)> = Vec::new();
        for frame in kept.frames.all().filter(|frame| frames.have(frame)) {
            let Counts { by_consumer, is_cut } = frame.content.unpack();
            let counted = match number.and_then(|number| by_consumer.get(number)) {
                Some(&counted) => counted,
                None if is_cut => continue,
                None => (0, 0, 0),
            };
            match steps.last_mut() {
                Some((span, sum)) if slot(span.end, step) == slot(frame.end, step) => {
                    span.widen(frame);
                    add(sum, counted);
                }
                _ => steps.push((Span::of_frame(frame), counted)),
            }
        }
        let point = |(span, (calls, errors, nanos)): (Span, Counted)| CountPoint {
            time: span.until,
            span: span.length(),
            calls,
            errors,
            sum: Some(Duration::from_nanos(nanos)),
        };
        steps.into_iter().map(point).collect()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let Some(kept) = &self.kept else { return 0 };
        let names = kept.numbers.capacity() * size_of::<(Arc<str>, u32)>();
        kept.frames.heap_bytes() + names + kept.consumers.capacity() * size_of::<ConsumerSnapshot>()
    }
}

fn add(sum: &mut Counted, more: Counted) {
    sum.0 = sum.0.saturating_add(more.0);
    sum.1 = sum.1.saturating_add(more.1);
    sum.2 = sum.2.saturating_add(more.2);
}

impl PackedConsumers {
    fn new(counts: &Counts) -> Self {
        let bytes = postcard::to_allocvec(counts).expect("plain numbers can be serialised");
        Self(bytes.into_boxed_slice())
    }

    fn unpack(&self) -> Counts {
        postcard::from_bytes(&self.0).expect("these bytes were packed by `PackedConsumers::new`")
    }
}

impl Content for PackedConsumers {
    fn absorb(&mut self, later: Self) {
        let (mut sum, later) = (self.unpack(), later.unpack());
        for (number, more) in later.by_consumer {
            add(sum.by_consumer.entry(number).or_default(), more);
        }
        sum.is_cut |= later.is_cut;
        *self = Self::new(&sum);
    }

    fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

#[cfg(all(test, not(miri), not(metrics_loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn consumer(name: &str, calls: u64) -> ConsumerSnapshot {
        let (name, last_seen) = (Arc::from(name), SystemTime::UNIX_EPOCH);
        ConsumerSnapshot { name, calls, errors: calls / 2, sum_nanos: calls * 1_000, last_seen }
    }

    fn at(second: u64) -> (Duration, SystemTime) {
        (SECOND * second as u32, SystemTime::UNIX_EPOCH + SECOND * second as u32)
    }

    fn steps(timeline: &ConsumersTimeline, since: u64, step: u64, name: &str) -> Vec<(u64, u64, u64)> {
        let steps = timeline.steps(Frames::Since(SECOND * since as u32), SECOND * step as u32, name);
        steps.into_iter().map(|point| (point.span.as_secs(), point.calls, point.errors)).collect()
    }

    #[test]
    fn each_call_is_in_one_step_and_a_consumer_without_calls_has_zeros() {
        let mut timeline = ConsumersTimeline::default();
        assert!(timeline.is_due(SECOND));
        timeline.push(at(1), Vec::new());
        assert_eq!(timeline.heap_bytes(), 0);
        for turn in 1..=12 {
            assert!(timeline.is_due(SECOND * (10 * turn)));
            timeline.push(
                at(10 * u64::from(turn)),
                vec![consumer("ann", 4 * u64::from(turn)), consumer("bob", 2)],
            );
            assert!(!timeline.is_due(SECOND * (10 * turn)));
        }
        assert_eq!(steps(&timeline, 0, 10, "ann"), [(10, 4, 2); 12]);
        assert_eq!(steps(&timeline, 60, 60, "ann"), [(60, 24, 12)]);
        assert_eq!(steps(&timeline, 0, 60, "bob"), [(60, 2, 1), (60, 0, 0)]);
        assert_eq!(steps(&timeline, 0, 60, "eve"), [(60, 0, 0), (60, 0, 0)]);
        let between = Frames::Between(at(50).1, at(80).1);
        assert_eq!(timeline.steps(between, SECOND * 10, "ann").len(), 3);
    }

    #[test]
    fn of_very_many_consumers_the_busiest_are_kept_and_the_others_unknown() {
        let mut timeline = ConsumersTimeline::default();
        let names = 3 * MAX_CONSUMERS as u64;
        for turn in 1..=200 {
            let all = (1..=names).map(|i| consumer(&i.to_string(), i * turn)).collect();
            timeline.push(at(10 * turn), all);
        }
        assert!(timeline.kept.as_ref().unwrap().frames.heap_bytes() <= MAX_BYTES);
        assert_eq!(steps(&timeline, 1_990, 10, "3000"), [(10, 3_000, 1_500)]);
        assert_eq!(steps(&timeline, 1_990, 10, "7"), []);
    }
}
