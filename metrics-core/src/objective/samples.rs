//! What an objective counted over the last day: cumulative counts, of which any two give a window.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples are kept every ten seconds up to this age, and every minute after it.
const FINE: Duration = Duration::from_secs(35 * 60);
const COARSE_EVERY: Duration = Duration::from_secs(60);

/// How far back samples reach, so that a window of a day begins before the oldest one is dropped.
const KEPT: Duration = Duration::from_secs(86_400 + 60);

/// Cumulative counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sample {
    /// Since the registry was made.
    pub(super) at: Duration,
    pub(super) valid: u64,
    pub(super) good: u64,
}

/// Samples of each kind at most, and one that is added before another one goes.
const MAX_COARSE: usize = (KEPT.as_secs() / COARSE_EVERY.as_secs()) as usize + 3;
const MAX_FINE: usize = (FINE.as_secs() / 10) as usize + 3;

/// Samples, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Samples {
    coarse: VecDeque<Kept>,
    fine: VecDeque<Kept>,
}

/// A sample in 24 bytes.
#[derive(Debug, Clone, Copy)]
struct Kept {
    nanos: u64,
    valid: u64,
    good: u64,
}

impl From<Sample> for Kept {
    fn from(Sample { at, valid, good }: Sample) -> Self {
        // 584 years.
        Self { nanos: u64::try_from(at.as_nanos()).unwrap_or(u64::MAX), valid, good }
    }
}

impl From<Kept> for Sample {
    fn from(Kept { nanos, valid, good }: Kept) -> Self {
        Self { at: Duration::from_nanos(nanos), valid, good }
    }
}

impl Samples {
    /// Adds the newest sample.
    pub(super) fn push(&mut self, sample: Sample) {
        // No more than they need: a queue that grows by itself doubles.
        self.fine.reserve_exact(MAX_FINE.saturating_sub(self.fine.len()));
        self.fine.push_back(sample.into());
        let at = |kept: &Kept| Sample::from(*kept).at;
        while let Some(&oldest) = self.fine.front().filter(|oldest| at(oldest) + FINE < sample.at) {
            self.fine.pop_front();
            // One a minute, and the first one after a gap.
            if self.coarse.back().is_none_or(|last| at(&oldest) >= at(last) + COARSE_EVERY) {
                self.coarse.reserve_exact(MAX_COARSE.saturating_sub(self.coarse.len()));
                self.coarse.push_back(oldest);
            }
        }
        // The newest sample that is old enough for the longest window stays.
        while self.coarse.get(1).is_some_and(|second| at(second) + KEPT < sample.at) {
            self.coarse.pop_front();
        }
    }

    /// The newest counts.
    pub(super) fn newest(&self) -> Sample {
        self.fine.back().copied().map_or_else(Sample::default, Sample::from)
    }

    /// What was counted in a window that ends with the newest sample. It begins with the newest sample that is old
    /// enough, or with the start of the registry. Its `at` is its length.
    pub(super) fn window(&self, length: Duration) -> Sample {
        let newest = self.newest();
        let Some(since) = newest.at.checked_sub(length) else { return newest };
        let begins = |samples: &VecDeque<Kept>| {
            let after = samples.partition_point(|kept| Sample::from(*kept).at <= since);
            after.checked_sub(1).and_then(|before| samples.get(before)).copied().map(Sample::from)
        };
        let first = begins(&self.fine).or_else(|| begins(&self.coarse)).unwrap_or_default();
        Sample { at: newest.at - first.at, valid: newest.valid - first.valid, good: newest.good - first.good }
    }

    /// The heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        (self.fine.capacity() + self.coarse.capacity()) * size_of::<Kept>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_exact_to_ten_seconds_for_half_an_hour_and_to_a_minute_for_a_day() {
        let mut samples = Samples::default();
        // Two days: a valid call a second, one of ten good.
        for at in (10..=172_800).step_by(10) {
            samples.push(Sample { at: Duration::from_secs(at), valid: at, good: at / 10 });
            for (minutes, exact) in [(5, 10), (30, 10), (60, 60), (120, 60), (360, 60), (1_440, 60)] {
                let window = samples.window(Duration::from_secs(minutes * 60));
                let length = (minutes * 60).min(at);
                assert!(
                    (length..length + exact).contains(&window.valid),
                    "{minutes} min at {at}: {window:?}"
                );
                assert_eq!(window.at, Duration::from_secs(window.valid));
                assert!(window.good.abs_diff(window.valid / 10) <= 1);
            }
        }
        assert!(samples.heap_bytes() <= 40 << 10, "{}", samples.heap_bytes());
        assert!(samples.coarse.len() + samples.fine.len() < 1_700);
    }

    #[test]
    fn a_gap_in_the_samples_is_part_of_the_window_that_it_is_in() {
        let mut samples = Samples::default();
        let sample = |at, valid| Sample { at: Duration::from_secs(at), valid, good: valid };
        samples.push(sample(10, 1));
        samples.push(sample(7_210, 2));
        assert_eq!(samples.window(Duration::from_secs(300)), sample(7_200, 1));
        samples.push(sample(7_220, 5));
        assert_eq!(samples.window(Duration::from_secs(10)), sample(10, 3));
    }
}
