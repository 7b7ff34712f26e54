//! The families of what the process, its host and the monitor itself use. The caller measures them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::catalog;
use super::encoder::{Encoder, Value, single};

/// What the process, its host and the monitor itself use. A field that is `None` is not exposed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Resources {
    /// CPU time since the process started.
    pub cpu_time: Option<Duration>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// Virtual memory, in bytes.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// The limit of open file descriptors.
    pub max_files: Option<u64>,
    /// The number of threads.
    pub threads: Option<u64>,
    /// When the process started.
    pub started: Option<SystemTime>,
    /// Bytes that the host received over all interfaces since it started.
    pub network_received_bytes: Option<u64>,
    /// Bytes that the host sent over all interfaces since it started.
    pub network_sent_bytes: Option<u64>,
    /// The longest delay of a worker's event loop in the last minute.
    pub event_loop_lag: Option<Duration>,
    /// How often the monitor sampled the history and the process.
    pub ticks: Option<u64>,
    /// The total time that these samples took.
    pub tick_time: Option<Duration>,
    /// The memory of text that scrapes keep for reuse, in bytes: see
    /// [`Scraper::kept_bytes`](super::Scraper::kept_bytes).
    pub scrapes_kept_bytes: Option<u64>,
    /// The memory of the history and of the samples of resources, in bytes.
    pub history_bytes: Option<u64>,
    /// The memory of all shards, in bytes.
    pub shard_bytes: Option<u64>,
    /// The memory of the groups of errors, in bytes.
    pub error_groups_bytes: Option<u64>,
    /// Requests to the monitor's endpoints that were refused.
    pub denied: Option<Denied>,
}

/// How many requests to the monitor's endpoints were refused, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Denied {
    /// They had no token, but one is required.
    pub no_token: u64,
    /// They had a wrong token.
    pub wrong_token: u64,
    /// They came for a host that is not allowed.
    pub host: u64,
    /// They came from another machine, and only this one may read it.
    pub remote: u64,
    /// Another site's page sent them.
    pub cross_site: u64,
}

impl Resources {
    pub(crate) fn write<'a>(&self, to: &mut impl Encoder<'a>) {
        let count = |count: Option<u64>| count.map(Value::Count);
        let seconds = |time: Option<Duration>| {
            time.map(|time| Value::Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
        };
        let since_1970 = self.started.and_then(|started| started.duration_since(UNIX_EPOCH).ok());
        for (family, value) in [
            (&catalog::CPU_SECONDS, seconds(self.cpu_time)),
            (&catalog::RESIDENT_BYTES, count(self.resident_bytes)),
            (&catalog::VIRTUAL_BYTES, count(self.virtual_bytes)),
            (&catalog::OPEN_FILES, count(self.open_files)),
            (&catalog::MAX_FILES, count(self.max_files)),
            (&catalog::THREADS, count(self.threads)),
            (&catalog::START_TIME, seconds(since_1970)),
            (&catalog::NETWORK_RECEIVED, count(self.network_received_bytes)),
            (&catalog::NETWORK_SENT, count(self.network_sent_bytes)),
            (&catalog::EVENT_LOOP_LAG, seconds(self.event_loop_lag)),
            (&catalog::TICKS, count(self.ticks)),
            (&catalog::TICK_SECONDS, seconds(self.tick_time)),
            (&catalog::SCRAPES_KEPT_BYTES, count(self.scrapes_kept_bytes)),
            (&catalog::HISTORY_BYTES, count(self.history_bytes)),
            (&catalog::SHARD_BYTES, count(self.shard_bytes)),
            (&catalog::ERROR_GROUPS_BYTES, count(self.error_groups_bytes)),
        ] {
            if let Some(value) = value {
                single(family, value, to);
            }
        }
        let Some(Denied { no_token, wrong_token, host, remote, cross_site }) = self.denied else { return };
        to.begin(catalog::DENIED);
        for (reason, count) in [
            ("no_token", no_token),
            ("wrong_token", wrong_token),
            ("host", host),
            ("remote", remote),
            ("cross_site", cross_site),
        ] {
            to.value(&[("reason", reason)], Value::Count(count));
        }
        to.end();
    }
}
