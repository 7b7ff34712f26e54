//! The trait that a destination implements, and what it receives.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::{InvalidSetting, RecentError, RecentRequest, Snapshot};

use super::settings::PushSettings;
use crate::service::Service;

/// Sends windows to one destination, on its own thread.
pub trait Exporter: Send + 'static {
    /// Returns the name in the [counts](super::ExporterCounts), such as `otlp`.
    fn name(&self) -> &str;

    /// Returns how often windows are sent, and how much may wait meanwhile. Must not change after the start.
    fn settings(&self) -> PushSettings {
        PushSettings::default()
    }

    /// Returns why nothing is sent, such as an environment variable that turns the destination off or cannot be used;
    /// default: `None`, it is on. Must not change after the start.
    ///
    /// While it is off, no window is made for it, and [`ExporterCounts::off`](super::ExporterCounts::off) has the
    /// reason. It is logged, and shown to those who may see why a destination failed, so it must not contain secrets.
    fn off(&self) -> Option<&str> {
        None
    }

    /// Receives the identity of the service. Called once, also if the destination is off, before the
    /// first window; default: does nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the destination does not accept the service's name, version or the like. The engine does not
    /// start then.
    fn start(&mut self, _service: &Service) -> Result<(), InvalidSetting> {
        Ok(())
    }

    /// Returns whether a window has nothing for this destination; default: `false`.
    ///
    /// Such a window is not [exported](Exporter::export), and does not tell whether the destination is reachable.
    fn is_idle(&mut self, _window: &Window) -> bool {
        false
    }

    /// Sends a window. Called once per interval, also without requests in the window, unless it is
    /// [idle](Exporter::is_idle).
    ///
    /// May block until the deadline, which is at most [`PushSettings::timeout`] away, and less during a shutdown. A
    /// panic counts as [`Failed::permanent`].
    ///
    /// # Errors
    ///
    /// Returns an error if the destination did not accept the window. Unless the error is permanent, the window is sent
    /// again, alone or merged into a longer one: see [`PushSettings::max_windows`].
    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed>;
}

impl<E: Exporter + ?Sized> Exporter for Box<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn settings(&self) -> PushSettings {
        (**self).settings()
    }

    fn off(&self) -> Option<&str> {
        (**self).off()
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        (**self).start(service)
    }

    fn is_idle(&mut self, window: &Window) -> bool {
        (**self).is_idle(window)
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        (**self).export(window, deadline)
    }
}

/// What happened between two moments, and the state at the second one.
#[derive(Debug, Clone)]
pub struct Window {
    /// The state at the end, since the registry's start; for destinations of cumulative figures.
    pub total: Arc<Snapshot>,
    /// The figures since the last window that was accepted or dropped. Each request is in exactly one window that is
    /// accepted or dropped. [`Snapshot::since`], [`Snapshot::taken`] and [`Snapshot::span`] are its beginning, end and
    /// length.
    pub figures: Snapshot,
    /// The window's errors, the oldest first; at most [`PushSettings::max_errors`].
    pub errors: Vec<RecentError>,
    /// Errors of the window that are missing here. The figures count all of them.
    pub errors_missed: u64,
    /// Single requests that [`PushSettings::slow`] or [`PushSettings::sample_rate`] selected, failed ones included, the
    /// oldest first; at most [`PushSettings::max_requests`].
    pub requests: Vec<RecentRequest>,
    /// Requests that were logged and lost before they could be selected, or were selected and are missing here. The
    /// figures count all of them.
    pub requests_missed: u64,
    /// What the process used at the end, if known.
    pub process: Process,
}

impl Window {
    /// Returns the number of requests that ended in the window.
    pub fn calls(&self) -> u64 {
        calls(&self.figures)
    }
}

pub(super) fn calls(figures: &Snapshot) -> u64 {
    figures.endpoints().fold(0, |sum, endpoint| sum.saturating_add(endpoint.calls()))
}

/// What the process uses. Unknown values are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    /// When it started, according to the system.
    pub started: Option<SystemTime>,
    /// The processor time used since the start.
    pub cpu_time: Option<Duration>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

/// The result of a window that a destination accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Data points or documents that the destination refused for good.
    pub rejected: u64,
    /// Why, if the destination says so. Shown to everyone who may read the metrics, so it must not contain secrets.
    pub reason: Option<String>,
}

/// Why a window was not accepted.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failed {
    /// What happened. Shown to everyone who may read the metrics, so it must not contain secrets.
    pub reason: String,
    /// How long the destination asks to wait. The pause is at least this long, up to
    /// [`PushSettings::max_pause`] or five minutes, whichever is more.
    pub retry_after: Option<Duration>,
    /// Whether sending the same again is useless, so that the window is dropped.
    pub permanent: bool,
}

metrics_core::debug_as_display!(Failed);

impl Failed {
    /// Creates a temporary failure: the window is sent again.
    pub fn temporary(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, permanent: false }
    }

    /// Creates a permanent failure: the window is dropped.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, permanent: true }
    }
}
