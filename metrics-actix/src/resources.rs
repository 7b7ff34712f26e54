//! What the process uses, sampled once a second off the request path.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics_export::json::ResourcePoint;
use metrics_export::push;
use sysinfo::{
    Networks, Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind, get_current_pid,
};

use crate::lag::Lags;

/// The samples that are kept: an hour's.
const MAX_POINTS: usize = 3_600;

/// The samples of the last hour.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    points: Mutex<VecDeque<ResourcePoint>>,
    process: Mutex<push::Process>,
    pub(crate) lags: Lags,
}

impl Resources {
    /// The samples of the last `span`, the oldest first.
    pub(crate) fn points(&self, span: Duration) -> Vec<ResourcePoint> {
        let points = self.lock();
        let wanted = usize::try_from(span.as_secs()).unwrap_or(usize::MAX).min(points.len());
        points.range(points.len() - wanted..).cloned().collect()
    }

    /// What the process used at the last sample.
    pub(crate) fn process(&self) -> push::Process {
        // Nothing can panic while it is locked.
        *self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, point: ResourcePoint) {
        let mut points = self.lock();
        if points.len() == MAX_POINTS {
            points.pop_front();
        }
        points.push_back(point);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ResourcePoint>> {
        // Nothing can panic while it is locked.
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    pub(crate) fn new() -> Self {
        let mut sampler = Self {
            pid: get_current_pid().ok(),
            system: System::new(),
            networks: Networks::new_with_refreshed_list(),
            looked: Instant::now(),
            cpu_millis: None,
        };
        sampler.refresh();
        sampler.cpu_millis = sampler.process().map(Process::accumulated_cpu_time);
        sampler
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
        *resources.process.lock().unwrap_or_else(PoisonError::into_inner) = push::Process {
            started: process
                .map(|process| SystemTime::UNIX_EPOCH + Duration::from_secs(process.start_time())),
            cpu_time: self.cpu_millis.map(Duration::from_millis),
            resident_bytes: process.map(Process::memory),
            open_files: process.and_then(Process::open_files).map(|files| files as u64),
            threads: process.and_then(Process::tasks).map(|tasks| tasks.len() as u64),
        };
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
        let (resources, mut sampler) = (Resources::default(), Sampler::new());
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
