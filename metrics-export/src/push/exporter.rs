//! What a destination is: the trait, and what it is given.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::{InvalidSetting, RecentError, RecentRequest, Snapshot};

use super::settings::Settings;
use crate::service::Service;

/// Sends windows to one destination, on a thread that does nothing else.
pub trait Exporter: Send + 'static {
    /// What it is called among the [counts](super::Counts), such as `otlp`.
    fn name(&self) -> &str;

    /// How often it is called, and what waits for it meanwhile. Asked for at the start, and the same each time.
    fn settings(&self) -> Settings {
        Settings::default()
    }

    /// Takes over which service this is. Called once, before the first window; default: of no interest.
    ///
    /// # Errors
    ///
    /// When the destination cannot take the service's name, version or the like. The engine does not start then.
    fn start(&mut self, _service: &Service) -> Result<(), InvalidSetting> {
        Ok(())
    }

    /// Whether there is nothing in a window for this destination; default: there always is something.
    ///
    /// Such a window is not [exported](Exporter::export), and says nothing of whether the destination can be reached.
    fn is_idle(&mut self, _window: &Window) -> bool {
        false
    }

    /// Sends a window. Called once an interval, also with windows in which nothing happened, unless they are
    /// [idle](Exporter::is_idle).
    ///
    /// May block until the deadline, which is never later than [`Settings::timeout`] from now, and at a shutdown sooner. A
    /// panic counts as [`Failed::permanent`].
    ///
    /// # Errors
    ///
    /// When the destination did not take it. What is not permanent comes again, as part of a longer window or by itself: see
    /// [`Settings::max_windows`].
    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed>;
}

impl<E: Exporter + ?Sized> Exporter for Box<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn settings(&self) -> Settings {
        (**self).settings()
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

/// What came between two moments, and the state at the later one.
#[derive(Debug, Clone)]
pub struct Window {
    /// The state at the end, since the registry's start; for destinations that take cumulative figures.
    pub total: Arc<Snapshot>,
    /// What came on top since the last window that was accepted or dropped. Windows touch each other, so each request is in
    /// exactly one of those that are accepted or dropped. [`Snapshot::since`], [`Snapshot::taken`] and [`Snapshot::span`]
    /// say from when until when.
    pub figures: Snapshot,
    /// Errors that were logged meanwhile, the oldest first; at most [`Settings::max_errors`].
    pub errors: Vec<RecentError>,
    /// Errors that happened meanwhile and are not among them. All of them are in the figures.
    pub errors_missed: u64,
    /// Single requests that were wanted by [`Settings::slow`] or [`Settings::sample_rate`], the oldest first; at most
    /// [`Settings::max_requests`]. Those that failed are among them as any others.
    pub requests: Vec<RecentRequest>,
    /// Requests that were logged for somebody meanwhile, and got lost before anybody could tell for whom, or are wanted and not
    /// among them. All of them are in the figures.
    pub requests_missed: u64,
    /// What the process used at the end, if somebody says so.
    pub process: Process,
}

impl Window {
    /// Requests that ended in the window.
    pub fn calls(&self) -> u64 {
        calls(&self.figures)
    }
}

pub(super) fn calls(figures: &Snapshot) -> u64 {
    figures.endpoints().fold(0, |sum, endpoint| sum.saturating_add(endpoint.calls()))
}

/// What the process uses. What is not known is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    /// When it was started, as far as anybody can tell.
    pub started: Option<SystemTime>,
    /// The processor's time that it has taken since then.
    pub cpu_time: Option<Duration>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

/// What a destination says of a window that it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Data points, documents or the like that it did not take, and never will.
    pub rejected: u64,
    /// Why, if it says so. Shown to whoever may read the metrics, so without secrets.
    pub reason: Option<String>,
}

/// Why a window was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What happened. Shown to whoever may read the metrics, so without secrets.
    pub reason: String,
    /// How long the destination asks to be left alone. The pause is at least as long, up to
    /// [`Settings::max_pause`] or five minutes, whichever is more.
    pub retry_after: Option<Duration>,
    /// Whether it is of no use to send the same again; the window is dropped then.
    pub permanent: bool,
}

impl Failed {
    /// Something that passes: the window is sent again.
    pub fn temporary(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, permanent: false }
    }

    /// Something that does not pass: the window is dropped.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, permanent: true }
    }
}
