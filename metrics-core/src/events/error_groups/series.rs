//! Counts over the last day, in steps that fit each window. Bounded, and small enough for a thousand of them.

use std::time::Duration;

use crate::sync::Mutex;
use crate::sync::lock;

/// The length of a step in seconds, and how many whole steps there are: of the windows up to five minutes, of an hour
/// and of a day. One more step is under way.
const TIERS: [(u64, usize); 3] = [(10, 30), (60, 60), (1_800, 48)];

/// How often something happened in each step of the last day.
#[derive(Debug, Default)]
pub(crate) struct Series(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How much is in the steps.
    counted: u64,
    /// Allocated when the first count is added.
    tiers: Option<Box<Steps>>,
}

#[derive(Debug)]
struct Steps {
    short: [u32; TIERS[0].1 + 1],
    middle: [u32; TIERS[1].1 + 1],
    long: [u32; TIERS[2].1 + 1],
    /// The second that the steps end with.
    now: u64,
}

impl Steps {
    fn tiers(&mut self) -> [(&mut [u32], u64); 3] {
        [(&mut self.short, TIERS[0].0), (&mut self.middle, TIERS[1].0), (&mut self.long, TIERS[2].0)]
    }
}

impl Series {
    /// Puts what was counted since the last call into the step of `now`, in seconds since some fixed moment. Called about
    /// once a second, with a total that never falls.
    pub(crate) fn advance(&self, now: u64, total: u64) {
        let inner = &mut *lock(&self.0);
        if total == inner.counted && inner.tiers.is_none() {
            return;
        }
        let more = u32::try_from(total.saturating_sub(inner.counted)).unwrap_or(u32::MAX);
        inner.counted = total;
        let steps = inner
            .tiers
            .get_or_insert_with(|| Box::new(Steps { short: [0; 31], middle: [0; 61], long: [0; 49], now }));
        let (before, now) = (steps.now, now.max(steps.now));
        steps.now = now;
        for (counts, every) in steps.tiers() {
            let (len, newest) = (counts.len() as u64, now / every);
            for step in (before / every + 1..=newest).rev().take(counts.len()) {
                counts[(step % len) as usize] = 0;
            }
            let count = &mut counts[(newest % len) as usize];
            *count = count.saturating_add(more);
        }
    }

    /// The counts of the steps of a window, the oldest first, and the length of a step. The last step is under way.
    pub(crate) fn steps(&self, window: Duration) -> (Vec<u32>, Duration) {
        let window = window.as_secs();
        let tier = TIERS.iter().position(|&(every, steps)| window <= every * steps as u64).unwrap_or(2);
        let (every, steps) = TIERS[tier];
        let wanted = (window.div_ceil(every) as usize).clamp(1, steps) + 1;
        let step = Duration::from_secs(every);
        let inner = &mut *lock(&self.0);
        let Some(kept) = &mut inner.tiers else { return (vec![0; wanted], step) };
        let newest = kept.now / every;
        let (counts, _) = &kept.tiers()[tier];
        let at = |back: usize| {
            let step = newest.checked_sub(back as u64)?;
            Some(counts[(step % counts.len() as u64) as usize])
        };
        ((0..wanted).rev().map(|back| at(back).unwrap_or(0)).collect(), step)
    }

    /// The heap memory, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        lock(&self.0).tiers.as_ref().map_or(0, |_| size_of::<Steps>())
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_count_is_in_one_step_of_each_length_until_it_is_too_old() {
        let series = Series::default();
        let sum = |seconds| {
            let (steps, _) = series.steps(Duration::from_secs(seconds));
            steps.iter().map(|&count| u64::from(count)).sum::<u64>()
        };
        let mut total = 0;
        // Two days, a count a second: whole steps, and the one that is under way.
        for now in 0..172_800 {
            total += 1;
            series.advance(now, total);
        }
        assert_eq!([60, 300, 3_600, 86_400].map(sum), [70, 310, 3_660, 88_200]);
        series.advance(172_805, total);
        assert_eq!(sum(60), 60);
        // After a day without any, none is left.
        series.advance(172_800 + 90_000, total);
        assert_eq!([60, 300, 3_600, 86_400].map(sum), [0; 4]);
        // A clock that steps back adds to the newest step.
        series.advance(5, total + 2);
        assert_eq!([60, 86_400].map(sum), [2, 2]);
    }

    #[test]
    fn a_window_has_steps_that_fit_it() {
        let series = Series::default();
        let shape = |seconds| {
            let (steps, step) = series.steps(Duration::from_secs(seconds));
            (steps.len() - 1, step.as_secs())
        };
        let shapes = [0, 7, 60, 300, 301, 3_600, 3_601, 86_400, 1 << 40].map(shape);
        let expected =
            [(1, 10), (1, 10), (6, 10), (30, 10), (6, 60), (60, 60), (3, 1_800), (48, 1_800), (48, 1_800)];
        assert_eq!(shapes, expected);
    }
}
