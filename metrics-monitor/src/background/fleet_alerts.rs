//! The alerts of a fleet: its rules are evaluated by the one instance that holds the lease.
//!
//! A thread asks for the lease twice in an interval of the fleet. The holder reads the fleet's figures, evaluates the
//! rules that are due, writes the states and the new notices to Redis, and only then hands the notices to the
//! deliveries. These ask it before each attempt, and report what became of each notice, which it writes at once. So a
//! successor continues with the same states and the same notices.
//!
//! The other instances show what the holder wrote.

mod budgets;
mod figures;
mod outbox;
mod part;
mod record;
mod size;
mod times;
mod watch;

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use metrics_core::InvalidSetting;
use metrics_core::alert::{Alerts, Rule};
use metrics_core::objective::Objective;
use metrics_export::fleet::redis::Member;
use metrics_export::json::FleetAlertsBody;

use self::watch::{Watch, locked};
use super::alerting::Alerting;

/// What a fleet is watched by.
#[derive(Debug, Default)]
pub(crate) struct FleetRules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) objectives: Vec<Objective>,
}

/// The alerts of a fleet, and the thread that evaluates them. Dropping it ends the thread and gives the lease up.
#[derive(Debug)]
pub(crate) struct FleetAlerts {
    watch: Arc<Watch>,
    /// Nothing is ever sent. The thread ends when this is dropped.
    stop: Mutex<Option<Sender<()>>>,
    thread: JoinHandle<()>,
}

impl FleetRules {
    /// The alerts of these rules and objectives, evaluated at most once in an interval.
    ///
    /// # Errors
    ///
    /// Returns an error if a rule or an objective is not one that a fleet can have.
    pub(crate) fn alerts(&self, interval: Duration) -> Result<Alerts, InvalidSetting> {
        self.objectives.iter().try_for_each(Objective::check)?;
        let burns = self.objectives.iter().flat_map(Objective::burn_rules);
        // Those over longer windows need minutes that a fleet does not keep.
        let burns = burns.filter(|burn| burn.check_of_fleet().is_ok());
        let burns = burns.filter(|burn| self.rules.iter().all(|rule| rule.name != burn.name));
        let alerts = Alerts::of_fleet(burns.chain(self.rules.iter().cloned()), interval)?;
        Ok(alerts.limited_to(size::MAX_ALERT_BYTES, size::of_alert))
    }
}

impl FleetAlerts {
    /// Starts the thread.
    pub(crate) fn start(
        member: Arc<Member>,
        alerts: Alerts,
        objectives: Vec<Objective>,
        alerting: Arc<Alerting>,
        service: &str,
    ) -> io::Result<Self> {
        let lease = member.alert_lease();
        let interval = lease.interval();
        let watch = Arc::new(Watch::new(lease, alerts, objectives, alerting, service));
        let (stop, stopped) = channel::<()>();
        let run = {
            let watch = Arc::clone(&watch);
            move || {
                while stopped.recv_timeout(interval / 2) == Err(RecvTimeoutError::Timeout) {
                    watch.turn(&member);
                }
                watch.end();
            }
        };
        let thread = thread::Builder::new().name("metrics-fleet-alerts".to_owned()).spawn(run)?;
        Ok(Self { watch, stop: Mutex::new(Some(stop)), thread })
    }

    /// The fleet's part of the body of `GET alerts`. `cause` gets what went wrong, and returns what is shown.
    pub(crate) fn body(&self, cause: impl Fn(String) -> String) -> FleetAlertsBody {
        let shown = locked(&self.watch.shown);
        FleetAlertsBody::new(&shown.alerts, shown.holder.clone(), shown.token, shown.evaluated)
            .notices(shown.waiting, shown.dropped)
            .left_out(shown.left_out)
            .changes(shown.changes.iter())
            .objectives(&shown.objectives)
            .error(shown.error.clone().map(cause))
    }

    /// Ends the thread, after its current turn, and gives the lease up. Does not wait for that.
    pub(crate) fn stop(&self) {
        locked(&self.stop).take();
    }

    /// Whether the thread has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}
