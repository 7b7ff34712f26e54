//! Third floor: what all parts of a monitor share.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use metrics_core::objective::Objectives;
use metrics_core::{History, Registry};
use metrics_export::Service;
#[cfg(feature = "redis")]
use metrics_export::fleet::redis::Member;
use metrics_export::push::Engine;

use crate::background::alerting::Alerting;
use crate::background::cost::Cost;
#[cfg(feature = "redis")]
use crate::background::fleet_alerts::FleetAlerts;
use crate::background::history_writer::HistoryWriter;
use crate::background::joined::Joined;
use crate::background::lanes::Lanes;
use crate::background::live::Live;
use crate::background::resources::Resources;
use crate::background::sampler::Sampler;
use crate::background::scrapes::Scrapes;
use crate::background::ticker::Ticker;
use crate::policy::Policy;
use crate::policy::access::AccessRules;

/// The parts of one monitor.
pub(crate) struct State {
    pub(crate) service: Service,
    pub(crate) registry: Registry,
    pub(crate) history: Arc<History>,
    pub(crate) history_writer: Option<HistoryWriter>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) sampler: Arc<Sampler>,
    pub(crate) cost: Cost,
    pub(crate) alerting: Arc<Alerting>,
    pub(crate) objectives: Arc<Objectives>,
    pub(crate) exporting: Engine,
    #[cfg(feature = "redis")]
    pub(crate) fleet: Option<Arc<Member>>,
    #[cfg(feature = "redis")]
    pub(crate) fleet_alerts: Option<FleetAlerts>,
    pub(crate) ticker: Ticker,
    pub(crate) lanes: Lanes,
    /// What requests wait for in the lanes of scrapes and of local answers.
    pub(crate) joined: Joined<WholeAnswer>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) access: AccessRules,
    pub(crate) scrapes: Scrapes,
    pub(crate) live: Arc<Live>,
    /// Whether a shutdown has begun. Relaxed: it is read when nobody else has the state any more.
    pub(crate) has_ended: AtomicBool,
}

/// An answer that several requests can share, since all of it is there.
#[derive(Debug, Clone)]
pub(crate) struct WholeAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, Cow<'static, str>)>,
    pub(crate) body: Bytes,
}

impl Drop for State {
    /// Says if what the exporters were to send last is lost.
    fn drop(&mut self) {
        if self.has_ended.load(Ordering::Relaxed) {
            return;
        }
        let exporters = self.exporting.counts();
        let names: Vec<_> =
            exporters.iter().filter(|counts| counts.off.is_none()).map(|counts| &*counts.exporter).collect();
        if !names.is_empty() {
            log::warn!(
                target: "metrics_monitor",
                "{} ended without a shutdown, so the last window was not sent to {}; end with metrics.run(server), or \
                 await metrics.shutdown(timeout) after the server",
                self.service.name,
                names.join(", ")
            );
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("service", &self.service.name).finish_non_exhaustive()
    }
}
