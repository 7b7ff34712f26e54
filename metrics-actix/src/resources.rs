//! What the process uses, sampled once a second off the request path.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics_export::json::ResourcePoint;
use metrics_export::prometheus::Resources as Exposed;
use sysinfo::{
    Networks, Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind, get_current_pid,
};

use crate::lag::Lags;

/// The samples that are kept: an hour's.
const MAX_POINTS: usize = 3_600;

/// Over how many samples the longest lag of the event loops is exposed: a minute's, so that a scraper sees each.
const LAG_POINTS: usize = 60;

/// The samples of the last hour.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    points: Mutex<VecDeque<ResourcePoint>>,
    /// The last sample as Prometheus gets it: totals, where a point has rates.
    exposed: Mutex<Exposed>,
    pub(crate) lags: Lags,
}

impl Resources {
    /// The samples of the last `span`, the oldest first.
    pub(crate) fn points(&self, span: Duration) -> Vec<ResourcePoint> {
        let points = self.lock();
        let wanted = usize::try_from(span.as_secs()).unwrap_or(usize::MAX).min(points.len());
        points.range(points.len() - wanted..).cloned().collect()
    }

    /// What there is for Prometheus.
    pub(crate) fn exposed(&self) -> Exposed {
        let lags = |points: &VecDeque<ResourcePoint>| {
            points.iter().rev().take(LAG_POINTS).flat_map(|point| point.worker_lags.iter().copied()).max()
        };
        let event_loop_lag = lags(&self.lock());
        Exposed { event_loop_lag, ..*lock(&self.exposed) }
    }

    /// Counts a turn of the monitor's thread, and the time that it took.
    pub(crate) fn count_tick(&self, took: Duration) {
        let mut exposed = lock(&self.exposed);
        exposed.ticks = Some(exposed.ticks.unwrap_or(0) + 1);
        exposed.tick_time = Some(exposed.tick_time.unwrap_or_default().saturating_add(took));
    }

    fn push(&self, point: ResourcePoint) {
        let mut points = self.lock();
        if points.len() == MAX_POINTS {
            points.pop_front();
        }
        points.push_back(point);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ResourcePoint>> {
        lock(&self.points)
    }
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
            looked: Instant::now(),
            cpu_millis: None,
        };
        sampler.refresh();
        sampler.cpu_millis = sampler.process().map(Process::accumulated_cpu_time);
        sampler.expose(resources);
        sampler
    }

    fn expose(&self, resources: &Resources) {
        let process = self.process();
        let all = |bytes: fn(&sysinfo::NetworkData) -> u64| Some(self.networks.values().map(bytes).sum());
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
            network_received_bytes: all(sysinfo::NetworkData::total_received),
            network_sent_bytes: all(sysinfo::NetworkData::total_transmitted),
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
        let per_second = |bytes: fn(&sysinfo::NetworkData) -> u64| {
            self.networks.values().map(bytes).sum::<u64>() as f64 / seconds
        };
        resources.push(ResourcePoint {
            time: SystemTime::now(),
            cpu_percent: cpu_millis.map(|millis| millis as f64 / 10.0 / seconds),
            resident_bytes: process.map(|process| process.memory()),
            open_files: process.and_then(|process| process.open_files()).map(|files| files as u64),
            threads: process.and_then(|process| process.tasks()).map(|tasks| tasks.len() as u64),
            network_received_per_second: per_second(|network| network.received()),
            network_sent_per_second: per_second(|network| network.transmitted()),
            worker_lags: resources.lags.take(),
        });
        self.expose(resources);
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

    #[test]
    fn an_hour_of_samples_is_kept() {
        let resources = Resources::default();
        for i in 0..MAX_POINTS as u64 + 10 {
            let point = ResourcePoint { resident_bytes: Some(i), ..ResourcePoint::default() };
            resources.push(point);
        }
        let points = resources.points(Duration::from_secs(1 << 40));
        assert_eq!((points.len(), points[0].resident_bytes), (MAX_POINTS, Some(10)));
        assert_eq!(resources.points(Duration::from_secs(2)).len(), 2);
    }
}
