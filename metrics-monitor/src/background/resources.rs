//! What the process uses, sampled once a second off the request path.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics_export::json::ResourcePoint;
use metrics_export::prometheus::Resources as Exposed;
use metrics_export::push;
use sysinfo::{
    NetworkData, Networks, Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind,
    get_current_pid,
};

use crate::event_loops::EventLoops;

/// The samples that are kept: an hour's.
const MAX_POINTS: usize = 3_600;

/// The most points that are shown; more samples are made fewer.
const MAX_SHOWN: usize = 400;

/// How many samples can become one point.
const STEPS: [usize; 4] = [1, 2, 5, 10];
/// Over how many samples the longest lag of the event loops is exposed: a minute's, so that a scraper sees each.
const LAG_POINTS: usize = 60;

/// The samples of the last hour.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    samples: Mutex<Samples>,
    /// The last sample as Prometheus gets it: totals, where a point has rates.
    exposed: Mutex<Exposed>,
    pub(crate) event_loops: EventLoops,
}

#[derive(Debug, Default)]
struct Samples {
    kept: VecDeque<ResourcePoint>,
    /// How many there were before those that are kept.
    dropped: usize,
}

impl Resources {
    /// The samples of the last `span`, the oldest first; several in a row as one where there are more than 400, or nearly.
    pub(crate) fn points(&self, span: Duration) -> Vec<ResourcePoint> {
        let samples = self.lock();
        // A sample belongs to the span by its greater part, and one that came late covers more of it.
        let middles = samples.kept.iter().rev().scan(0.0, |age, sample| {
            *age += sample.seconds;
            Some(*age - sample.seconds / 2.0)
        });
        let wanted = middles.take_while(|middle| *middle <= span.as_secs_f64()).count();
        // The first and the last point can be of fewer samples.
        let fits = |step: &usize| wanted / step + 2 <= MAX_SHOWN;
        let [.., longest] = STEPS;
        let step = STEPS.into_iter().find(fits).unwrap_or(longest);
        let oldest = samples.kept.len() - wanted;
        let mut points: Vec<Vec<&ResourcePoint>> = Vec::new();
        for (at, sample) in samples.kept.range(oldest..).enumerate() {
            // By their numbers, so that the same samples make a point however often somebody asks.
            match points.last_mut() {
                Some(point) if !(samples.dropped + oldest + at).is_multiple_of(step) => point.push(sample),
                _ => points.push(vec![sample]),
            }
        }
        points.iter().filter_map(|samples| merged(samples)).collect()
    }

    /// What the samples take, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let samples = self.lock();
        let workers = |sample: &ResourcePoint| {
            sample.worker_lags.capacity() * size_of::<Duration>()
                + sample.worker_busy_percent.capacity() * size_of::<f64>()
        };
        samples.kept.capacity() * size_of::<ResourcePoint>() + samples.kept.iter().map(workers).sum::<usize>()
    }

    /// What there is for Prometheus.
    pub(crate) fn exposed(&self) -> Exposed {
        let event_loop_lag = {
            let samples = self.lock();
            let points = samples.kept.iter().rev().take(LAG_POINTS);
            points.flat_map(|point| point.worker_lags.iter().copied()).max()
        };
        Exposed { event_loop_lag, ..*lock(&self.exposed) }
    }

    /// Counts a turn of the monitor's thread, and the time that it took.
    pub(crate) fn count_tick(&self, took: Duration) {
        let mut exposed = lock(&self.exposed);
        exposed.ticks = Some(exposed.ticks.unwrap_or(0) + 1);
        exposed.tick_time = Some(exposed.tick_time.unwrap_or_default().saturating_add(took));
    }

    /// What the process used at the last sample, for exporters.
    pub(crate) fn process(&self) -> push::Process {
        let Exposed { started, cpu_time, resident_bytes, open_files, threads, .. } = *lock(&self.exposed);
        push::Process { started, cpu_time, resident_bytes, open_files, threads }
    }

    fn push(&self, point: ResourcePoint) {
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

/// Samples in a row as one: shares and rates are averaged over their time, so that they add up to the same, and of all else
/// the highest is kept.
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
    // Nothing can panic while it is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the process. What the system does not tell is left out.
#[derive(Debug)]
pub(crate) struct Sampler {
    pid: Option<Pid>,
    system: System,
    networks: Networks,
    /// Bytes over all interfaces. Those of one that goes away stay in it: what is exposed never goes down.
    network_received_bytes: u64,
    network_sent_bytes: u64,
    looked: Instant,
    /// The processor's time that the process had taken then, in milliseconds.
    cpu_millis: Option<u64>,
}

impl Sampler {
    /// Looks for the first time, so that a scrape finds something before the first second is over.
    pub(crate) fn new(resources: &Resources) -> Self {
        let mut sampler = Self {
            pid: get_current_pid().ok(),
            system: System::new(),
            networks: Networks::new_with_refreshed_list(),
            network_received_bytes: 0,
            network_sent_bytes: 0,
            looked: Instant::now(),
            cpu_millis: None,
        };
        sampler.refresh();
        sampler.network_received_bytes = sampler.all_networks(NetworkData::total_received);
        sampler.network_sent_bytes = sampler.all_networks(NetworkData::total_transmitted);
        sampler.cpu_millis = sampler.process().map(Process::accumulated_cpu_time);
        sampler.expose(resources);
        sampler
    }

    fn expose(&self, resources: &Resources) {
        let process = self.process();
        let mut exposed = lock(&resources.exposed);
        *exposed = Exposed {
            cpu_time: self.cpu_millis.map(Duration::from_millis),
            resident_bytes: process.map(Process::memory),
            virtual_bytes: process.map(Process::virtual_memory),
            open_files: process.and_then(Process::open_files).map(|files| files as u64),
            max_files: process.and_then(Process::open_files_limit).map(|files| files as u64),
            threads: process.and_then(Process::tasks).map(|tasks| tasks.len() as u64),
            started: process
                .map(|process| SystemTime::UNIX_EPOCH + Duration::from_secs(process.start_time())),
            network_received_bytes: Some(self.network_received_bytes),
            network_sent_bytes: Some(self.network_sent_bytes),
            ..*exposed
        };
    }

    /// Adds a sample of now.
    pub(crate) fn sample(&mut self, resources: &Resources) {
        self.refresh();
        let seconds = self.looked.elapsed().as_secs_f64().max(1e-3);
        self.looked = Instant::now();
        let before = self.cpu_millis;
        self.cpu_millis = self.process().map(Process::accumulated_cpu_time);
        let cpu_millis = self.cpu_millis.zip(before).map(|(now, before)| now.saturating_sub(before));
        let process = self.process();
        let received = self.all_networks(NetworkData::received);
        let sent = self.all_networks(NetworkData::transmitted);
        let (worker_lags, worker_busy_percent) =
            resources.event_loops.take().into_iter().map(|load| (load.lag, load.busy_percent)).unzip();
        resources.push(ResourcePoint {
            time: SystemTime::now(),
            seconds,
            cpu_percent: cpu_millis.map(|millis| millis as f64 / 10.0 / seconds),
            resident_bytes: process.map(|process| process.memory()),
            open_files: process.and_then(|process| process.open_files()).map(|files| files as u64),
            threads: process.and_then(|process| process.tasks()).map(|tasks| tasks.len() as u64),
            network_received_per_second: received as f64 / seconds,
            network_sent_per_second: sent as f64 / seconds,
            worker_lags,
            worker_busy_percent,
        });
        self.network_received_bytes = self.network_received_bytes.saturating_add(received);
        self.network_sent_bytes = self.network_sent_bytes.saturating_add(sent);
        self.expose(resources);
    }

    /// A figure of the interfaces that there are, added up.
    fn all_networks(&self, bytes: fn(&NetworkData) -> u64) -> u64 {
        self.networks.values().map(bytes).fold(0, u64::saturating_add)
    }

    fn process(&self) -> Option<&Process> {
        self.system.process(self.pid?)
    }

    fn refresh(&mut self) {
        self.networks.refresh(true);
        let Some(pid) = self.pid else { return };
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().with_tasks();
        let what = what.without_exe().with_cmd(UpdateKind::Never);
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_tells_what_this_process_uses() {
        let resources = Resources::default();
        let mut sampler = Sampler::new(&resources);
        let first = resources.exposed();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(300) {
            std::hint::spin_loop();
        }
        sampler.sample(&resources);
        let points = resources.points(Duration::from_secs(60));
        let [point] = points.as_slice() else { panic!("{points:?}") };
        assert!(point.resident_bytes > Some(1 << 20), "{point:?}");
        assert!(point.cpu_percent > Some(1.0), "{point:?}");
        if cfg!(target_os = "linux") {
            assert!(point.threads >= Some(1) && point.open_files >= Some(1), "{point:?}");
        }
        resources.count_tick(Duration::from_millis(3));
        resources.count_tick(Duration::from_millis(4));
        let exposed = resources.exposed();
        assert_eq!((exposed.ticks, exposed.tick_time), (Some(2), Some(Duration::from_millis(7))));
        assert_eq!(exposed.resident_bytes, point.resident_bytes);
        assert!(
            first.cpu_time < exposed.cpu_time && first.started == exposed.started,
            "{first:?} {exposed:?}"
        );
        assert!(exposed.started < Some(SystemTime::now()), "{exposed:?}");
        assert_eq!(exposed.event_loop_lag, None);
        if cfg!(target_os = "linux") {
            assert!(exposed.max_files > exposed.open_files && exposed.virtual_bytes > exposed.resident_bytes);
        }
    }

    #[test]
    fn an_interface_that_goes_away_takes_nothing_from_the_bytes_of_all() {
        let resources = Resources::default();
        let mut sampler = Sampler::new(&resources);
        let first = resources.exposed();
        sampler.networks = Networks::new();
        sampler.expose(&resources);
        let exposed = resources.exposed();
        assert_eq!(exposed.network_received_bytes, first.network_received_bytes);
        assert_eq!(exposed.network_sent_bytes, first.network_sent_bytes);
        // Those that are there again have nothing that came since they were looked at first.
        sampler.sample(&resources);
        assert_eq!(resources.exposed().network_received_bytes, first.network_received_bytes);
    }

    #[test]
    fn the_longest_lag_of_the_last_minute_is_exposed() {
        let resources = Resources::default();
        let point = |lags: &[u64]| {
            let worker_lags = lags.iter().copied().map(Duration::from_millis).collect();
            ResourcePoint { worker_lags, ..ResourcePoint::default() }
        };
        resources.push(point(&[900, 3]));
        (1..LAG_POINTS).for_each(|_| resources.push(point(&[1, 5])));
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
    fn a_span_is_as_long_as_it_says_however_late_the_samples_came() {
        let resources = Resources::default();
        // Half of the time nobody looked.
        (0..600).for_each(|i| resources.push(ResourcePoint { seconds: 2.0, ..sample(i) }));
        for seconds in [60, 300, 1_000] {
            let points = resources.points(Duration::from_secs(seconds));
            let shown: f64 = points.iter().map(|point| point.seconds).sum();
            assert!((shown - seconds as f64).abs() <= 2.0, "{seconds}: {shown}");
        }
    }

    #[test]
    fn an_hour_of_samples_is_kept_and_shown_as_few_points_with_the_same_totals() {
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
        // Another sample changes no other point but the last one.
        let before = resources.points(Duration::MAX);
        resources.push(sample(all));
        let after = resources.points(Duration::MAX);
        assert_eq!(before[1..before.len() - 1], after[1..before.len() - 1]);
        assert!(resources.heap_bytes() > MAX_POINTS * size_of::<ResourcePoint>());
    }
}
