//! The body of `GET resources`.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::time::Time;

/// The body of `GET resources`: what the process used, second by second, or in longer steps where these are too many.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourcesBody {
    points: Vec<ResourcePoint>,
}

impl ResourcesBody {
    /// Samples, the oldest first.
    pub fn new(points: Vec<ResourcePoint>) -> Self {
        Self { points }
    }
}

/// What a process used in a second, or in several. `None` is what the system did not tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourcePoint {
    /// When the second ended.
    #[serde(serialize_with = "time")]
    pub time: SystemTime,
    /// How long it was: longer where a look came late, and where several are one point. Rates are per second of this.
    pub seconds: f64,
    /// The processor's time, in per cent of one processor.
    pub cpu_percent: Option<f64>,
    /// The memory that is resident, in bytes.
    pub resident_bytes: Option<u64>,
    /// Files, sockets included, that are open.
    pub open_files: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Bytes a second that the host received, over all its networks.
    pub network_received_per_second: f64,
    /// Bytes a second that the host sent.
    pub network_sent_per_second: f64,
    /// The longest time that the event loop of each worker was late, in seconds.
    #[serde(serialize_with = "seconds")]
    pub worker_lags: Vec<Duration>,
    /// The share of the time in which the event loop of each worker ran tasks, in per cent, in the order of `worker_lags`.
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
