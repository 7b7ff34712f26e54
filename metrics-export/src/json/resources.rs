//! The body of `GET resources`.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::time::Time;

/// The body of `GET resources`: what the process used, in steps of a second, or longer ones if the list would be too
/// long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourcesBody {
    points: Vec<ResourcePoint>,
}

impl ResourcesBody {
    /// Creates the body from samples, the oldest first.
    pub fn new(points: Vec<ResourcePoint>) -> Self {
        Self { points }
    }
}

/// What a process used in a step of a second or more. `None` if the system does not report it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourcePoint {
    /// When the step ended.
    #[serde(serialize_with = "time")]
    pub time: SystemTime,
    /// How long the step took: more than 1 if a sample was late or several were merged. Rates refer to it.
    pub seconds: f64,
    /// CPU time, in per cent of one CPU.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// Open files, including sockets.
    pub open_files: Option<u64>,
    /// The number of threads.
    pub threads: Option<u64>,
    /// Bytes a second that the host received over all interfaces.
    pub network_received_per_second: f64,
    /// Bytes a second that the host sent over all interfaces.
    pub network_sent_per_second: f64,
    /// The longest delay of each worker's event loop; written in seconds.
    #[serde(serialize_with = "seconds")]
    pub worker_lags: Vec<Duration>,
    /// The share of time that each worker's event loop spent running tasks, in per cent, in the order of `worker_lags`.
    pub worker_busy_percent: Vec<f64>,
}

impl Default for ResourcePoint {
    fn default() -> Self {
        Self {
            time: SystemTime::UNIX_EPOCH,
            seconds: 1.0,
            cpu_percent: None,
            resident_bytes: None,
            open_files: None,
            threads: None,
            network_received_per_second: 0.0,
            network_sent_per_second: 0.0,
            worker_lags: Vec::new(),
            worker_busy_percent: Vec::new(),
        }
    }
}

fn time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    Time(*time).serialize(serializer)
}

fn seconds<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(durations.iter().map(Duration::as_secs_f64))
}
