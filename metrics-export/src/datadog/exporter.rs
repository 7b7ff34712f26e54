//! The exporter: figures first, then traces, and what the Agent says of them.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_core::Snapshot;

use super::builder::Builder;
use super::service::Service;
use super::{stats, traces};
use crate::http::Client;
use crate::push::{Accepted, Exporter, Failed, Settings, Window, post};

const MSGPACK: &str = "application/msgpack";

/// Sends figures and traces to a Datadog Agent.
#[derive(Debug)]
pub struct Datadog {
    pub(super) service: Service,
    pub(super) settings: Settings,
    pub(super) stats: Client,
    pub(super) traces: Client,
    /// At most so many in a window.
    pub(super) max_traces: usize,
    /// From when on a 4xx is traced, too.
    pub(super) slow: Option<Duration>,
    /// What ids of traces are made with.
    pub(super) ids: RandomState,
    pub(super) attempt: Attempt,
}

/// What was tried last. A window is sent again as it was, since [`Settings::max_windows`] is above 1.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The number of the window, as the Agent is told.
    sequence: u64,
    /// The end of a window that has to be sent again.
    until: Option<Arc<Snapshot>>,
    /// Whether its figures were taken, so that only its traces are left.
    stats_taken: bool,
}

impl Attempt {
    /// Begins with a window, or goes on with it.
    fn begin(&mut self, window: &Window) {
        if self.until.as_ref().is_some_and(|until| Arc::ptr_eq(until, &window.total)) {
            return;
        }
        *self =
            Self { sequence: self.sequence + 1, until: Some(Arc::clone(&window.total)), stats_taken: false };
    }
}

impl Datadog {
    /// Begins an exporter.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn send_stats(&mut self, window: &Window, deadline: Instant) -> Result<(), Failed> {
        if self.attempt.stats_taken {
            return Ok(());
        }
        let body = stats::payload(&self.service, window, self.settings.interval, self.attempt.sequence);
        post(&self.stats, MSGPACK, None, &body, deadline)?;
        self.attempt.stats_taken = true;
        Ok(())
    }

    /// Sends traces, and says how many are not taken. A refusal is no failure: the figures are there already.
    fn send_traces(&self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        let mut errors = traces::worth(&window.errors, self.slow);
        let left_out = errors.len().saturating_sub(self.max_traces);
        // Those that came first stay.
        errors.truncate(self.max_traces);
        if errors.is_empty() {
            return Ok(Accepted::default());
        }
        let body = traces::payload(&self.service, &errors, &self.ids, self.attempt.sequence);
        let count = errors.len().to_string();
        let client = self.traces.clone().header("X-Datadog-Trace-Count", &count);
        let client = client.expect("a number can be a header's value");
        let rejected =
            |count: usize, reason: String| Accepted { rejected: count as u64, reason: Some(reason) };
        match post(&client, MSGPACK, None, &body, deadline) {
            Ok(_) if left_out == 0 => Ok(Accepted::default()),
            Ok(_) => Ok(rejected(left_out, format!("{left_out} traces were over the {count} of a window"))),
            Err(failed) if failed.permanent => {
                Ok(rejected(errors.len() + left_out, format!("traces: {}", failed.reason)))
            }
            Err(failed) => Err(failed),
        }
    }
}

impl Exporter for Datadog {
    fn name(&self) -> &str {
        "datadog"
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        self.attempt.begin(window);
        let sent = self.send_stats(window, deadline).and_then(|()| self.send_traces(window, deadline));
        if sent.is_ok() {
            // Holds no snapshot for longer than it is of use.
            self.attempt.until = None;
        }
        sent
    }
}
