//! A window that waits: its end, and what was logged in it.

use std::sync::Arc;

use metrics_core::{RecentError, RecentRequest, Snapshot};

use super::entries::Entries;
use super::exporter::{Process, Window};

/// A window without its beginning, which is the end of the window before it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) until: Arc<Snapshot>,
    pub(super) logged: Logged,
    pub(super) process: Process,
    /// Whether it failed before, and must be sent again unchanged.
    pub(super) is_kept: bool,
}

impl Part {
    /// Merges the part that follows into this one.
    pub(super) fn absorb(&mut self, next: Self) {
        self.until = next.until;
        self.logged.errors.absorb(next.logged.errors);
        self.logged.requests.absorb(next.logged.requests);
        self.process = next.process;
    }
}

/// What was logged in a window.
#[derive(Debug, Clone, Default)]
pub(super) struct Logged {
    pub(super) errors: Entries<RecentError>,
    pub(super) requests: Entries<RecentRequest>,
}

/// A window to send, whose figures are not computed yet.
#[derive(Debug)]
pub(super) struct Job {
    base: Arc<Snapshot>,
    part: Part,
}

impl Job {
    /// The window from `base` to the end of `part`.
    pub(super) fn new(base: Arc<Snapshot>, part: Part) -> Self {
        Self { base, part }
    }

    /// Computes the window. Takes as long as the difference of two snapshots, so it is not called under the queue's
    /// lock.
    pub(super) fn window(self) -> Window {
        let Part { until, logged: Logged { errors, requests }, process, .. } = self.part;
        Window {
            figures: until.difference(&self.base),
            total: until,
            errors: errors.list.into(),
            errors_missed: errors.missed,
            requests: requests.list.into(),
            requests_missed: requests.missed,
            process,
        }
    }
}
