//! The last hour of what the process uses, a sample a second, or a longer one while it is idle.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics_export::json::ResourcePoint;
use metrics_export::prometheus::Resources as Exposed;
use metrics_export::push;

/// The samples that are kept: those of an hour, or of more if they are longer than a second.
const MAX_POINTS: usize = 3_600;

/// The most points that are shown. More samples are merged.
const MAX_SHOWN: usize = 400;

/// How many samples are merged into one point.
const STEPS: [usize; 4] = [1, 2, 5, 10];

/// The longest lag of the event loops is exposed over this time, so that a scraper misses none.
const LAG_TIME: Duration = Duration::from_secs(60);

/// The samples of the last hour.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    samples: Mutex<Samples>,
    /// The last sample for Prometheus: totals, where a point has rates.
    exposed: Mutex<Exposed>,
}

#[derive(Debug, Default)]
struct Samples {
    kept: VecDeque<ResourcePoint>,
    /// How many were dropped before the oldest kept one.
    dropped: usize,
}

impl Resources {
    /// The samples of the last `span`, oldest first, in at most 400 points: consecutive samples are merged where there
    /// are more.
    pub(crate) fn points(&self, span: Duration) -> Vec<ResourcePoint> {
        let samples = self.lock();
        let wanted = samples.newest(span).count();
        // The first and the last point may have fewer samples.
        let fits = |step: &usize| wanted / step + 2 <= MAX_SHOWN;
        let [.., longest] = STEPS;
        let step = STEPS.into_iter().find(fits).unwrap_or(longest);
        let oldest = samples.kept.len() - wanted;
        let mut points: Vec<Vec<&ResourcePoint>> = Vec::new();
        for (at, sample) in samples.kept.range(oldest..).enumerate() {
            // Grouped by their numbers, so that the same samples always make the same point.
            match points.last_mut() {
                Some(point) if !(samples.dropped + oldest + at).is_multiple_of(step) => point.push(sample),
                _ => points.push(vec![sample]),
            }
        }
        points.iter().filter_map(|samples| merged(samples)).collect()
    }

    /// The memory of the samples, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let samples = self.lock();
        let workers = |sample: &ResourcePoint| {
            sample.worker_lags.capacity() * size_of::<Duration>()
                + sample.worker_busy_percent.capacity() * size_of::<f64>()
        };
        samples.kept.capacity() * size_of::<ResourcePoint>() + samples.kept.iter().map(workers).sum::<usize>()
    }

    /// The figures for Prometheus.
    pub(crate) fn exposed(&self) -> Exposed {
        let event_loop_lag = {
            let samples = self.lock();
            let points = samples.newest(LAG_TIME);
            points.flat_map(|point| point.worker_lags.iter().copied()).max()
        };
        Exposed { event_loop_lag, ..*lock(&self.exposed) }
    }

    /// Replaces the figures for Prometheus.
    pub(crate) fn expose(&self, new: impl FnOnce(&Exposed) -> Exposed) {
        let mut exposed = lock(&self.exposed);
        *exposed = new(&exposed);
    }

    /// Counts a turn of the ticker and the time it took.
    pub(crate) fn count_tick(&self, took: Duration) {
        let mut exposed = lock(&self.exposed);
        exposed.ticks = Some(exposed.ticks.unwrap_or(0) + 1);
        exposed.tick_time = Some(exposed.tick_time.unwrap_or_default().saturating_add(took));
    }

    /// The last sample for exporters.
    pub(crate) fn process(&self) -> push::Process {
        let Exposed { started, cpu_time, resident_bytes, open_files, threads, .. } = *lock(&self.exposed);
        push::Process { started, cpu_time, resident_bytes, open_files, threads }
    }

    /// Adds a sample.
    pub(crate) fn push(&self, point: ResourcePoint) {
        let mut samples = self.lock();
        if samples.kept.len() == MAX_POINTS {
            samples.kept.pop_front();
            samples.dropped += 1;
        }
        samples.kept.push_back(point);
    }

    fn lock(&self) -> MutexGuard<'_, Samples> {
        lock(&self.samples)
    }
}

impl Samples {
    /// The samples of the last `span`, newest first. One belongs to it if most of it does.
    fn newest(&self, span: Duration) -> impl Iterator<Item = &ResourcePoint> {
        let mut age = 0.0;
        self.kept.iter().rev().take_while(move |sample| {
            age += sample.seconds;
            age - sample.seconds / 2.0 <= span.as_secs_f64()
        })
    }
}

/// Merges consecutive samples: shares and rates are averaged over their time, so that totals stay the same; of all
/// other figures the highest is kept.
fn merged(samples: &[&ResourcePoint]) -> Option<ResourcePoint> {
    let last = match samples {
        [one] => return Some((*one).clone()),
        _ => samples.last()?,
    };
    let mean = |value: &dyn Fn(&ResourcePoint) -> Option<f64>| {
        let known = samples.iter().filter_map(|sample| Some((value(sample)?, sample.seconds)));
        let (sum, seconds) =
            known.fold((0.0, 0.0), |(sum, all), (value, seconds)| (sum + value * seconds, all + seconds));
        (seconds > 0.0).then(|| sum / seconds)
    };
    let highest = |value: fn(&ResourcePoint) -> Option<u64>| samples.iter().filter_map(|s| value(s)).max();
    let workers = samples.iter().map(|sample| sample.worker_lags.len()).max().unwrap_or(0);
    Some(ResourcePoint {
        time: last.time,
        seconds: samples.iter().map(|sample| sample.seconds).sum(),
        cpu_percent: mean(&|sample| sample.cpu_percent),
        resident_bytes: highest(|sample| sample.resident_bytes),
        open_files: highest(|sample| sample.open_files),
        threads: highest(|sample| sample.threads),
        network_received_per_second: mean(&|sample| Some(sample.network_received_per_second))
            .unwrap_or_default(),
        network_sent_per_second: mean(&|sample| Some(sample.network_sent_per_second)).unwrap_or_default(),
        worker_lags: (0..workers)
            .filter_map(|worker| samples.iter().filter_map(|s| s.worker_lags.get(worker)).max().copied())
            .collect(),
        worker_busy_percent: (0..workers)
            .filter_map(|worker| mean(&|sample| sample.worker_busy_percent.get(worker).copied()))
            .collect(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_longest_lag_of_the_last_minute_is_exposed() {
        let resources = Resources::default();
        let point = |lags: &[u64]| {
            let worker_lags = lags.iter().copied().map(Duration::from_millis).collect();
            ResourcePoint { worker_lags, ..ResourcePoint::default() }
        };
        resources.push(point(&[900, 3]));
        (1..60).for_each(|_| resources.push(point(&[1, 5])));
        assert_eq!(resources.exposed().event_loop_lag, Some(Duration::from_millis(900)));
        resources.push(point(&[2]));
        assert_eq!(resources.exposed().event_loop_lag, Some(Duration::from_millis(5)));
    }

    fn sample(i: u64) -> ResourcePoint {
        ResourcePoint {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(i),
            // Every tenth came late.
            seconds: if i.is_multiple_of(10) { 2.0 } else { 1.0 },
            cpu_percent: Some(i as f64 % 100.0),
            resident_bytes: Some(i),
            network_sent_per_second: i as f64,
            worker_lags: vec![Duration::from_micros(i), Duration::from_micros(2 * i)],
            worker_busy_percent: vec![50.0, i as f64 % 100.0],
            ..ResourcePoint::default()
        }
    }

    #[test]
    fn a_span_has_its_full_length_however_late_its_samples_came() {
        let resources = Resources::default();
        // Every second sample was missed.
        (0..600).for_each(|i| resources.push(ResourcePoint { seconds: 2.0, ..sample(i) }));
        for seconds in [60, 300, 1_000] {
            let points = resources.points(Duration::from_secs(seconds));
            let shown: f64 = points.iter().map(|point| point.seconds).sum();
            assert!((shown - seconds as f64).abs() <= 2.0, "{seconds}: {shown}");
        }
    }

    #[test]
    fn long_samples_count_for_their_time() {
        let resources = Resources::default();
        let long = |lag| ResourcePoint {
            seconds: 10.0,
            worker_lags: vec![Duration::from_millis(lag)],
            ..ResourcePoint::default()
        };
        resources.push(long(900));
        (0..6).for_each(|_| resources.push(long(5)));
        assert_eq!(resources.exposed().event_loop_lag, Some(Duration::from_millis(5)));
        assert_eq!(resources.points(Duration::from_secs(60)).len(), 6);
    }

    #[test]
    fn an_hour_of_samples_is_kept_and_shown_in_few_points_with_the_same_totals() {
        let resources = Resources::default();
        let all = MAX_POINTS as u64 + 17;
        (0..all).for_each(|i| resources.push(sample(i)));
        let sum = |points: &[ResourcePoint], value: fn(&ResourcePoint) -> f64| -> f64 {
            points.iter().map(|point| value(point) * point.seconds).sum()
        };
        for count in [1, 60, 300, 398, 399, 600, 1_000, 3_600] {
            let samples: Vec<_> = (all - count..all).map(sample).collect();
            let points = resources.points(samples.iter().map(|s| Duration::from_secs_f64(s.seconds)).sum());
            assert!(points.len() <= MAX_SHOWN, "{count}: {}", points.len());
            for value in [
                |_: &ResourcePoint| 1.0,
                |point: &ResourcePoint| point.cpu_percent.unwrap(),
                |point: &ResourcePoint| point.network_sent_per_second,
                |point: &ResourcePoint| point.worker_busy_percent[1],
            ] {
                let (shown, true_sum) = (sum(&points, value), sum(&samples, value));
                assert!((shown / true_sum - 1.0).abs() < 1e-9, "{count}: {shown} {true_sum}");
            }
            let last = points.last().unwrap();
            assert_eq!((last.time, last.resident_bytes), (sample(all - 1).time, Some(all - 1)));
            assert_eq!(last.worker_lags[1], Duration::from_micros(2 * (all - 1)));
        }
        // One more sample changes only the last point.
        let before = resources.points(Duration::MAX);
        resources.push(sample(all));
        let after = resources.points(Duration::MAX);
        assert_eq!(before[1..before.len() - 1], after[1..before.len() - 1]);
        assert!(resources.heap_bytes() > MAX_POINTS * size_of::<ResourcePoint>());
    }
}
