//! The body of `GET exporters`.

use serde::Serialize;

use super::time::Time;
use crate::push::ExporterCounts;

/// The body of `GET exporters`: how many windows, errors and requests each exporter has sent, dropped and queued.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportersBody {
    exporters: Vec<ExporterBody>,
}

impl ExportersBody {
    /// Creates the body from [`Engine::counts`](crate::push::Engine::counts).
    pub fn new(counts: Vec<ExporterCounts>) -> Self {
        Self { exporters: counts.into_iter().map(ExporterBody::from).collect() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ExporterBody {
    exporter: String,
    state: State,
    /// Why it is off.
    reason: Option<String>,
    /// Each window is sent, idle, dropped, merged into another one, or waiting.
    windows: WindowsBody,
    errors: EntriesBody,
    /// Captured requests, for traces.
    requests: EntriesBody,
    calls_dropped: u64,
    rejected: u64,
    attempts_failed: u64,
    /// Failed attempts in a row.
    failing: u64,
    last_error: Option<String>,
    last_sent: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    On,
    /// Nothing is sent, because an environment variable turns the exporter off or is invalid.
    Off,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WindowsBody {
    made: u64,
    sent: u64,
    /// Not sent, because they had nothing for the destination.
    idle: u64,
    dropped: u64,
    merged: u64,
    waiting: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct EntriesBody {
    sent: u64,
    dropped: u64,
    missed: u64,
    waiting: u64,
}

impl From<ExporterCounts> for ExporterBody {
    fn from(counts: ExporterCounts) -> Self {
        Self {
            exporter: counts.exporter,
            state: if counts.off.is_some() { State::Off } else { State::On },
            reason: counts.off,
            windows: WindowsBody {
                made: counts.windows,
                sent: counts.windows_sent,
                idle: counts.windows_idle,
                dropped: counts.windows_dropped,
                merged: counts.windows_merged,
                waiting: counts.windows_waiting,
            },
            errors: EntriesBody {
                sent: counts.errors_sent,
                dropped: counts.errors_dropped,
                missed: counts.errors_missed,
                waiting: counts.errors_waiting,
            },
            requests: EntriesBody {
                sent: counts.requests_sent,
                dropped: counts.requests_dropped,
                missed: counts.requests_missed,
                waiting: counts.requests_waiting,
            },
            calls_dropped: counts.calls_dropped,
            rejected: counts.rejected,
            attempts_failed: counts.attempts_failed,
            failing: counts.failing,
            last_error: counts.last_error,
            last_sent: counts.last_sent.map(Time),
        }
    }
}
