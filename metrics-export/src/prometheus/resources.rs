//! What is exposed beside a snapshot: what the process uses, as somebody who may ask the system found it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::families::{Encoder, Value, single};
use super::names;

/// What the process and its host use, and what the monitor takes itself. What is not known is not exposed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Resources {
    /// Processor time since the process began.
    pub cpu_time: Option<Duration>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// Virtual memory, in bytes.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// File descriptors that may be open.
    pub max_files: Option<u64>,
    /// Threads of the process.
    pub threads: Option<u64>,
    /// When the process began.
    pub started: Option<SystemTime>,
    /// Bytes that the host received, over all of its interfaces, since it began.
    pub network_received_bytes: Option<u64>,
    /// Bytes that the host sent, over all of its interfaces, since it began.
    pub network_sent_bytes: Option<u64>,
    /// The longest by which a worker's event loop was late within the last minute.
    pub event_loop_lag: Option<Duration>,
    /// Times that the history was kept and the process looked at.
    pub ticks: Option<u64>,
    /// How long that took, in all.
    pub tick_time: Option<Duration>,
}

impl Resources {
    pub(crate) fn write<'a>(&self, to: &mut impl Encoder<'a>) {
        let count = |count: Option<u64>| count.map(Value::Count);
        let seconds = |time: Option<Duration>| {
            time.map(|time| Value::Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
        };
        let since_1970 = self.started.and_then(|started| started.duration_since(UNIX_EPOCH).ok());
        for (family, value) in [
            (&names::CPU_SECONDS, seconds(self.cpu_time)),
            (&names::RESIDENT_BYTES, count(self.resident_bytes)),
            (&names::VIRTUAL_BYTES, count(self.virtual_bytes)),
            (&names::OPEN_FILES, count(self.open_files)),
            (&names::MAX_FILES, count(self.max_files)),
            (&names::THREADS, count(self.threads)),
            (&names::START_TIME, seconds(since_1970)),
            (&names::NETWORK_RECEIVED, count(self.network_received_bytes)),
            (&names::NETWORK_SENT, count(self.network_sent_bytes)),
            (&names::EVENT_LOOP_LAG, seconds(self.event_loop_lag)),
            (&names::TICKS, count(self.ticks)),
            (&names::TICK_SECONDS, seconds(self.tick_time)),
        ] {
            if let Some(value) = value {
                single(family, value, to);
            }
        }
    }
}
