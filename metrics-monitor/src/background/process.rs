//! Reads what the process uses, by way of sysinfo.

use std::time::{Duration, Instant, SystemTime};

use metrics_export::json::ResourcePoint;
use metrics_export::prometheus::Resources as Exposed;
use sysinfo::{
    NetworkData, Networks, Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind,
    get_current_pid,
};

use super::event_loops::Loads;
use super::resources::Resources;

/// Reads what the process uses. Figures that the system does not report are left out.
#[derive(Debug)]
pub(crate) struct ProcessReader {
    pid: Option<Pid>,
    system: System,
    networks: Networks,
    /// Bytes over all interfaces. An interface that disappears keeps its share, so that the exposed counter never goes
    /// down.
    network_received_bytes: u64,
    network_sent_bytes: u64,
    /// When the process started: read once, since the system derives it from the time of its own start, which moves
    /// when the clock is set.
    started: Option<SystemTime>,
    /// The last reading.
    read: Instant,
    /// The processor time of the process at that reading, in milliseconds.
    cpu_millis: Option<u64>,
}

impl ProcessReader {
    /// Reads for the first time, so that a scrape in the first second finds figures.
    pub(crate) fn new(resources: &Resources) -> Self {
        let mut reader = Self {
            pid: get_current_pid().ok(),
            system: System::new(),
            networks: Networks::new_with_refreshed_list(),
            network_received_bytes: 0,
            network_sent_bytes: 0,
            started: None,
            read: Instant::now(),
            cpu_millis: None,
        };
        reader.refresh();
        reader.network_received_bytes = reader.all_networks(NetworkData::total_received);
        reader.network_sent_bytes = reader.all_networks(NetworkData::total_transmitted);
        reader.cpu_millis = reader.process().map(Process::accumulated_cpu_time);
        let started = reader.process().map(|process| Duration::from_secs(process.start_time()));
        reader.started = started.map(|started| no_later(SystemTime::UNIX_EPOCH + started, SystemTime::now()));
        reader.expose(resources);
        reader
    }

    fn expose(&self, resources: &Resources) {
        let process = self.process();
        resources.expose(|exposed| Exposed {
            cpu_time: self.cpu_millis.map(Duration::from_millis),
            resident_bytes: process.map(Process::memory),
            virtual_bytes: process.map(Process::virtual_memory),
            open_files: process.and_then(Process::open_files).map(|files| files as u64),
            max_files: process.and_then(Process::open_files_limit).map(|files| files as u64),
            threads: process.and_then(Process::tasks).map(|tasks| tasks.len() as u64),
            started: self.started,
            network_received_bytes: Some(self.network_received_bytes),
            network_sent_bytes: Some(self.network_sent_bytes),
            ..*exposed
        });
    }

    /// Adds a sample of the time since the last one, in which the event loops did this. Returns its share of a
    /// processor, in per cent.
    pub(crate) fn sample(&mut self, resources: &Resources, loads: Loads) -> Option<f64> {
        self.refresh();
        let seconds = self.read.elapsed().as_secs_f64().max(1e-3);
        self.read = Instant::now();
        let before = self.cpu_millis;
        self.cpu_millis = self.process().map(Process::accumulated_cpu_time);
        let cpu_millis = self.cpu_millis.zip(before).map(|(now, before)| now.saturating_sub(before));
        let process = self.process();
        let received = self.all_networks(NetworkData::received);
        let sent = self.all_networks(NetworkData::transmitted);
        let cpu_percent = cpu_millis.map(|millis| millis as f64 / 10.0 / seconds);
        resources.push(ResourcePoint {
            time: SystemTime::now(),
            seconds,
            cpu_percent,
            resident_bytes: process.map(|process| process.memory()),
            open_files: process.and_then(|process| process.open_files()).map(|files| files as u64),
            threads: process.and_then(|process| process.tasks()).map(|tasks| tasks.len() as u64),
            network_received_per_second: received as f64 / seconds,
            network_sent_per_second: sent as f64 / seconds,
            worker_busy_percent: loads.busy_percent().collect(),
            worker_lags: loads.lags,
        });
        self.network_received_bytes = self.network_received_bytes.saturating_add(received);
        self.network_sent_bytes = self.network_sent_bytes.saturating_add(sent);
        self.expose(resources);
        cpu_percent
    }

    /// The sum of a figure over all present interfaces.
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

/// The time when the process started, which cannot be later than now. In an LXC container the system reports one from
/// its host's view, and it may be rounded up.
fn no_later(started: SystemTime, now: SystemTime) -> SystemTime {
    started.min(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_never_started_in_the_future() {
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3_600));
        assert_eq!([no_later(now + hour, now), no_later(now - hour, now)], [now, now - hour]);
    }

    #[test]
    fn a_sample_holds_what_this_process_uses() {
        let resources = Resources::default();
        let mut reader = ProcessReader::new(&resources);
        let first = resources.exposed();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(300) {
            std::hint::spin_loop();
        }
        reader.sample(&resources, Loads::default());
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
    fn an_interface_that_disappears_takes_nothing_from_the_total_bytes() {
        let resources = Resources::default();
        let mut reader = ProcessReader::new(&resources);
        let first = resources.exposed();
        reader.networks = Networks::new();
        reader.expose(&resources);
        let exposed = resources.exposed();
        assert_eq!(exposed.network_received_bytes, first.network_received_bytes);
        assert_eq!(exposed.network_sent_bytes, first.network_sent_bytes);
        // Interfaces that appear again add nothing before their second reading.
        reader.sample(&resources, Loads::default());
        assert_eq!(resources.exposed().network_received_bytes, first.network_received_bytes);
    }
}
