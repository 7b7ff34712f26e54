//! The alerts of a monitor: evaluated by its ticker, sent by the deliveries' threads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics_core::alert::{Alert, Alerts, Burn, BurnRate, FigureSource, Moment, Scope};
use metrics_core::objective::Objectives;
use metrics_core::{Business, History, Summary, TraceId, Window};
use metrics_export::alert::{Delivery, DeliveryCounts, Destination};
use metrics_export::json::AlertsBody;
use metrics_export::{Service, StartError};

use crate::policy::denials::Denials;

/// Where the rules get their figures from.
struct Watched<'a> {
    history: &'a History,
    denials: &'a Denials,
    objectives: &'a Objectives,
}

impl FigureSource for Watched<'_> {
    fn summary(&self, window: Window) -> Summary {
        FigureSource::summary(self.history, window)
    }

    fn endpoints(&self, window: Window) -> Summary {
        FigureSource::endpoints(self.history, window)
    }

    fn matched(&self, window: Window) -> Summary {
        self.history.matched(window)
    }

    fn matched_endpoints(&self, window: Window) -> Summary {
        self.history.matched_endpoints(window)
    }

    fn consecutive_errors(&self, window: Window, recent: Duration) -> u64 {
        FigureSource::consecutive_errors(self.history, window, recent)
    }

    fn own_metrics(&self, window: Window) -> Business {
        self.history.own_metrics(window)
    }

    fn burn_rate(&self, burn: &Burn) -> Option<BurnRate> {
        self.objectives.burn_rate(burn)
    }

    fn trace(&self, alert: &Alert) -> Option<TraceId> {
        match &alert.rule.scope {
            Scope::Burn(burn) => self.objectives.trace(burn, self.history),
            _ => self.history.trace(alert),
        }
    }

    fn wrong_tokens(&self, window: Window) -> u64 {
        self.denials.wrong_tokens(window.length())
    }
}

/// The alerts of a monitor.
#[derive(Debug)]
pub(crate) struct Alerting {
    alerts: Mutex<Alerts>,
    deliveries: Vec<Delivery>,
}

impl Alerting {
    /// Starts a delivery for each destination.
    pub(crate) fn start(
        alerts: Alerts,
        destinations: Vec<Box<dyn Destination>>,
        service: &Service,
    ) -> Result<Self, StartError> {
        let deliveries = destinations.into_iter().map(|destination| Delivery::start(destination, service));
        Ok(Self { alerts: Mutex::new(alerts), deliveries: deliveries.collect::<Result<_, _>>()? })
    }

    /// Evaluates the rules that are due, and hands their notices to the deliveries.
    pub(crate) fn evaluate(&self, history: &History, denials: &Denials, objectives: &Objectives) {
        let mut alerts = self.lock();
        let now = Moment::now();
        let notices = alerts.evaluate(now, &Watched { history, denials, objectives });
        for delivery in &self.deliveries {
            delivery.queue(now, &notices, || alerts.firing());
        }
    }

    /// The states of all rules, firing ones first.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.lock().alerts()
    }

    /// The body of `GET alerts`. `cause` gets why the last attempt of a destination failed, and returns what is shown.
    pub(crate) fn body(&self, cause: impl Fn(String) -> String) -> AlertsBody {
        let alerts = self.lock();
        let counts = |delivery: &Delivery| {
            let counts = delivery.counts();
            DeliveryCounts { last_error: counts.last_error.map(&cause), ..counts }
        };
        let destinations = self.deliveries.iter().map(counts).collect();
        AlertsBody::new(&alerts.alerts(), alerts.rules(), destinations).changes(alerts.changes())
    }

    /// The deliveries, one for each destination.
    #[cfg(feature = "redis")]
    pub(super) fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// What happened to the notices of each destination.
    pub(crate) fn delivery(&self) -> Vec<DeliveryCounts> {
        self.deliveries.iter().map(Delivery::counts).collect()
    }

    /// Tells the deliveries to try waiting notices once more, and to end.
    pub(crate) fn stop(&self) {
        self.deliveries.iter().for_each(Delivery::stop);
    }

    /// Whether the deliveries have ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.deliveries.iter().all(Delivery::is_finished)
    }

    fn lock(&self) -> MutexGuard<'_, Alerts> {
        // A panic while it is locked is a bug of ours, but leaves the states valid.
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
