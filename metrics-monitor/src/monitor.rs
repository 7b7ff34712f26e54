//! The monitor of one service, as a framework's integration holds it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::alert::Alert;
use metrics_core::{History, InvalidSetting, Registry};
use metrics_export::Service;
use metrics_export::prometheus::objective_rules;
use metrics_export::push::ExporterCounts;
use tokio::sync::oneshot;

use crate::endpoints::accept::Sender;
use crate::endpoints::answer::Answer;
use crate::endpoints::request::Request;
use crate::endpoints::work::Answering;
use crate::endpoints::{self, Endpoint};
use crate::policy::Policy;
use crate::policy::headers::Headers;
use crate::shutdown::{Unsent, wind_down};
use crate::state::State;

/// The monitor of one service. Cheap to clone; clones are the same monitor.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) state: Arc<State>,
}

impl Monitor {
    pub(crate) fn new(state: State) -> Self {
        Self { state: Arc::new(state) }
    }

    /// Returns the registry with all figures.
    pub fn registry(&self) -> &Registry {
        &self.state.registry
    }

    /// Returns the history of the last 24 hours. A thread of the monitor updates it until the
    /// [shutdown](Monitor::shutdown), or until the monitor's last clone is dropped.
    pub fn history(&self) -> &History {
        &self.state.history
    }

    /// Returns the states of the alerts, firing ones first. A rule without an alert appears once, as inactive.
    pub fn alerts(&self) -> Vec<Alert> {
        self.state.alerting.alerts()
    }

    /// Returns a rule file for Prometheus: recording rules and alerts of the objectives over 30 days. `job` is the job
    /// under which Prometheus scrapes this service: see [`objective_rules`].
    ///
    /// # Errors
    ///
    /// Returns an error if `job` has characters other than letters, digits, `-`, `_` and `.`.
    pub fn objective_rules(&self, job: &str) -> Result<String, InvalidSetting> {
        let objectives: Vec<_> = self.state.objectives.objectives().map(|known| (**known).clone()).collect();
        objective_rules(&objectives, job)
    }

    /// Returns what each exporter sent and dropped.
    pub fn exporters(&self) -> Vec<ExporterCounts> {
        self.state.exporting.counts()
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        &self.state.service.name
    }

    /// Returns the service's name, version, environment and instance.
    pub fn identity(&self) -> &Service {
        &self.state.service
    }

    /// Returns the settings that a framework's middleware follows for each request.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.state.policy
    }

    /// Returns all endpoints, for a framework's router. Those that this monitor does not have answer 404.
    pub fn endpoints(&self) -> impl Iterator<Item = &'static Endpoint> {
        endpoints::all()
    }

    /// Returns the endpoint for Prometheus, which can be mounted by itself.
    pub fn prometheus_endpoint(&self) -> &'static Endpoint {
        endpoints::scrapes()
    }

    /// Returns the kind of client that sent a request, by its `Accept` headers. For adapters whose endpoints share a
    /// path: a scraper wants the [endpoint for Prometheus](Monitor::prometheus_endpoint), a browser the page.
    pub fn sender(&self, headers: &dyn Headers) -> Sender {
        Sender::of(headers)
    }

    /// Checks the token of a request and where it comes from, before its body is read.
    ///
    /// # Errors
    ///
    /// Returns the refusal to send, if the request is not allowed.
    pub fn admit(&self, endpoint: &'static Endpoint, request: &Request<'_>) -> Result<Admitted, Answer> {
        match endpoint.refusal(&self.state, request) {
            Some(refusal) => Err(refusal),
            None => Ok(Admitted { state: Arc::clone(&self.state), endpoint }),
        }
    }

    /// Ends server-sent events and answers that wait for a fleet; new requests to the endpoints get 503.
    ///
    /// Call it when a server starts to stop, so that it does not wait for open dashboards. Otherwise, server-sent
    /// events end after ten seconds at most. [`Monitor::shutdown`] does it, too.
    pub fn stop_answering(&self) {
        #[cfg(feature = "redis")]
        self.state.fleet.iter().for_each(|fleet| fleet.stop_answering());
        self.state.lanes.close();
    }

    /// Ends the monitor's background work and sends what it measured. Call it after the server's last answer. Returns
    /// whether everything was sent in time.
    ///
    /// In this order:
    ///
    /// 1. [`Monitor::stop_answering`]; then waits for answers that are being computed.
    /// 2. Waits for requests in progress, for at most half of the timeout.
    /// 3. The last windows of [exporters](crate::Builder::exporter), the last report to the fleet, and waiting alerts
    ///    are sent. What is left after the timeout is dropped, and counted by the exporter.
    ///
    /// It returns false if anything was dropped, or if requests are still in progress. These are still measured, and
    /// the registry can still be read: call it again to send what has ended since.
    pub async fn shutdown(&self, timeout: Duration) -> bool {
        self.finish(timeout).await.is_in_time()
    }

    /// Like [`Monitor::shutdown`], but returns what could not be sent. If there is anything, it also logs a warning
    /// with the target `metrics_monitor`.
    pub async fn finish(&self, timeout: Duration) -> Unsent {
        let begun = Instant::now();
        self.stop_answering();
        // ORDERING: Relaxed; only the drop of the state reads it.
        self.state.has_ended.store(true, Ordering::Relaxed);
        let state = Arc::clone(&self.state);
        let (done, ended) = oneshot::channel();
        // The receiver is gone if the shutdown was given up; the thread still ends everything.
        let end = move || {
            let _ = done.send(wind_down(&state, begun, timeout));
        };
        let thread = thread::Builder::new().name("metrics-shutdown".to_owned()).spawn(end);
        let unsent = match thread {
            Ok(_) => ended.await.ok(),
            Err(_) => None,
        };
        let unsent = unsent.unwrap_or_else(|| Unsent::unknown("cannot start a thread for the shutdown"));
        if !unsent.is_empty() {
            log::warn!(target: "metrics_monitor", "{}, at shutdown: {unsent}", self.service());
        }
        unsent
    }
}

/// A request that may be answered.
#[derive(Debug)]
pub struct Admitted {
    state: Arc<State>,
    endpoint: &'static Endpoint,
}

impl Admitted {
    /// Answers the request, which must be the one that was admitted.
    pub fn answer(self, request: &Request<'_>) -> Answering {
        self.endpoint.answer(&self.state, request)
    }
}
