//! Frames that become coarser as they get older.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// How long the frames of one tier are, and up to which age it keeps them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tier {
    /// Frames that end within the same multiple of this are merged.
    pub(super) step: Duration,
    /// The age at which a frame moves to the next tier, or is dropped after the last one.
    pub(super) keep: Duration,
}

/// What was counted in a span of time.
#[derive(Debug, Clone)]
pub(super) struct Frame<T> {
    /// By the registry's monotonic clock, as is `end`.
    pub(super) start: Duration,
    pub(super) end: Duration,
    /// When it ended, by the wall clock. For display.
    pub(super) taken: SystemTime,
    pub(super) content: T,
}

/// A span of time by the registry's monotonic clock, and its end by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) start: Duration,
    pub(super) end: Duration,
    pub(super) until: SystemTime,
}

/// What frames can hold.
pub(super) trait Content {
    /// Adds later content.
    fn absorb(&mut self, later: Self);

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;
}

/// Frames in the order of time. They do not overlap. Time between two frames is a gap in which no
/// process counted.
#[derive(Debug)]
pub(super) struct Tiers<T> {
    tiers: Vec<(Tier, VecDeque<Frame<T>>)>,
}

impl<T: Content> Tiers<T> {
    /// Takes the tiers in order, the finest first.
    pub(super) fn new(tiers: &[Tier]) -> Self {
        Self { tiers: tiers.iter().map(|&tier| (tier, VecDeque::new())).collect() }
    }

    /// Adds the newest frame, and moves frames that are too old for their tier to the next one.
    pub(super) fn push(&mut self, frame: Frame<T>) {
        let now = frame.end;
        self.add(0, frame);
        for i in 0..self.tiers.len() {
            let (Tier { keep, .. }, frames) = &mut self.tiers[i];
            let keep = *keep;
            let old = frames.partition_point(|frame| frame.end + keep < now);
            let old: Vec<_> = frames.drain(..old).collect();
            old.into_iter().for_each(|frame| self.add(i + 1, frame));
        }
    }

    /// Adds a frame that is older than all others but later than those that were restored before it, as it is at `now`.
    pub(super) fn restore(&mut self, frame: Frame<T>, now: Duration) {
        let tier = self.tiers.iter().position(|(Tier { keep, .. }, _)| frame.end + *keep >= now);
        self.add(tier.unwrap_or(self.tiers.len()), frame);
    }

    /// The same frames in other tiers, as they are at `now`.
    pub(super) fn in_tiers(&self, tiers: &[Tier], now: Duration) -> Self
    where
        T: Clone,
    {
        let mut others = Self::new(tiers);
        self.all().for_each(|frame| others.restore(frame.clone(), now));
        others
    }

    fn add(&mut self, tier: usize, frame: Frame<T>) {
        let Some((Tier { step, .. }, frames)) = self.tiers.get_mut(tier) else { return };
        match frames.back_mut() {
            Some(last) if slot(last.end, *step) == slot(frame.end, *step) => last.absorb(frame),
            _ => frames.push_back(frame),
        }
    }

    /// The frames that are at least half after `since`, the oldest first.
    pub(super) fn since(&self, since: Duration) -> impl Iterator<Item = &Frame<T>> {
        self.all().filter(move |frame| frame.start + (frame.end - frame.start) / 2 >= since)
    }

    /// All frames, the oldest first.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Frame<T>> {
        self.tiers.iter().rev().flat_map(|(_, frames)| frames)
    }

    /// The frame that was pushed last, or the one it was merged into.
    pub(super) fn newest(&self) -> Option<&Frame<T>> {
        self.tiers.first()?.1.back()
    }

    /// Drops the oldest frame, unless it is the only one. Returns whether it did.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let frames: usize = self.tiers.iter().map(|(_, frames)| frames.len()).sum();
        let oldest = self.tiers.iter_mut().rev().find(|(_, frames)| !frames.is_empty());
        frames > 1 && oldest.and_then(|(_, frames)| frames.pop_front()).is_some()
    }

    /// Bytes that all frames take on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let of = |(_, frames): &(Tier, VecDeque<Frame<T>>)| {
            let contents: usize = frames.iter().map(|frame| frame.content.heap_bytes()).sum();
            frames.capacity() * size_of::<Frame<T>>() + contents
        };
        self.tiers.iter().map(of).sum()
    }
}

impl<T: Content> Frame<T> {
    fn absorb(&mut self, later: Self) {
        self.end = later.end;
        self.taken = later.taken;
        self.content.absorb(later.content);
    }
}

impl Span {
    pub(super) fn of_frame<T>(frame: &Frame<T>) -> Self {
        Self { start: frame.start, end: frame.end, until: frame.taken }
    }

    /// Extends it to cover a frame.
    pub(super) fn widen<T>(&mut self, frame: &Frame<T>) {
        self.start = self.start.min(frame.start);
        self.end = self.end.max(frame.end);
        self.until = self.until.max(frame.taken);
    }

    pub(super) fn length(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// The number of the multiple of `step` that a moment falls into. The end of a multiple belongs to it.
pub(super) fn slot(end: Duration, step: Duration) -> u128 {
    end.as_nanos().div_ceil(step.as_nanos().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Content for u64 {
        fn absorb(&mut self, later: Self) {
            *self += later;
        }

        fn heap_bytes(&self) -> usize {
            0
        }
    }

    const SECOND: Duration = Duration::from_secs(1);
    const TIERS: [Tier; 3] = [
        Tier { step: SECOND, keep: Duration::from_secs(30) },
        Tier { step: Duration::from_secs(10), keep: Duration::from_secs(120) },
        Tier { step: Duration::from_secs(60), keep: Duration::from_secs(600) },
    ];

    fn frame(start: u64, end: u64, content: u64) -> Frame<u64> {
        let (start, end) = (Duration::from_millis(start), Duration::from_millis(end));
        Frame { start, end, taken: SystemTime::UNIX_EPOCH + end, content }
    }

    proptest! {
        #[test]
        fn no_count_is_lost_or_doubled_at_any_ticks(
            ticks in prop::collection::vec((1_u64..3_000, 0_u64..100), 1..400)
        ) {
            let mut tiers = Tiers::new(&TIERS);
            let (mut now, mut all) = (0, Vec::new());
            for (length, count) in ticks {
                tiers.push(frame(now, now + length, count));
                all.push((now + length, count));
                now += length;
            }
            let frames: Vec<_> = tiers.since(Duration::ZERO).collect();
            for pair in frames.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start, "{:?}", pair);
            }
            let sum: u64 = frames.iter().map(|frame| frame.content).sum();
            let oldest = frames[0].start.as_millis() as u64;
            let kept: u64 = all.iter().filter(|(end, _)| *end > oldest).map(|(_, count)| count).sum();
            prop_assert_eq!(sum, kept);
            // Frames are dropped neither early nor much too late.
            prop_assert!(oldest == 0 || now - oldest >= 600_000);
            prop_assert!(frames.len() <= 32 + 14 + 12, "{}", frames.len());
        }
    }

    #[test]
    fn the_oldest_frames_are_dropped_first_and_the_last_one_never() {
        let mut tiers = Tiers::new(&TIERS);
        assert!(!tiers.drop_oldest());
        (0..200).for_each(|i| tiers.push(frame(i * 1_000, (i + 1) * 1_000, 1)));
        let starts =
            |tiers: &Tiers<u64>| tiers.since(Duration::ZERO).map(|frame| frame.start).collect::<Vec<_>>();
        let mut left = starts(&tiers);
        assert!(left.len() > 40 && tiers.heap_bytes() >= left.len() * size_of::<Frame<u64>>());
        while left.len() > 1 {
            assert!(tiers.drop_oldest());
            left.remove(0);
            assert_eq!(starts(&tiers), left);
        }
        assert!(!tiers.drop_oldest());
        assert_eq!(starts(&tiers), left);
    }

    #[test]
    fn a_late_tick_is_merged_into_one_long_frame() {
        let mut tiers = Tiers::new(&TIERS);
        tiers.push(frame(0, 1_000, 1));
        tiers.push(frame(1_000, 21_500, 7));
        tiers.push(frame(21_500, 22_000, 1));
        let spans: Vec<_> = tiers.since(Duration::ZERO).map(|f| (f.start.as_millis(), f.content)).collect();
        assert_eq!(spans, [(0, 1), (1_000, 8)]);
    }

    #[test]
    fn a_frame_belongs_to_a_window_if_at_least_half_of_it_does() {
        let mut tiers = Tiers::new(&TIERS);
        tiers.push(frame(0, 1_000, 1));
        tiers.push(frame(1_000, 2_000, 2));
        let since = |millis| -> u64 { tiers.since(Duration::from_millis(millis)).map(|f| f.content).sum() };
        assert_eq!((since(0), since(400), since(600), since(1_500), since(1_501)), (3, 3, 2, 2, 0));
    }
}
