//! Notices as lines of the `log` crate.

use log::Level;
use metrics_core::InvalidSetting;
use metrics_core::alert::{Alert, Change, Notice, Severity};

use super::destination::{Destination, SendError};
use crate::service::Service;

/// The log target.
const TARGET: &str = "metrics::alerts";

/// Writes notices to the log, under the target `metrics::alerts`.
///
/// The level is error, warn or info, by the alert's severity; resolved alerts are info. A subscriber of `tracing`
/// receives them through `tracing-log`. A line ends with the link to a trace if there is a
/// [URL of traces](Service::trace_url).
#[derive(Debug, Default)]
pub struct Log {
    /// As people read it.
    sentence: String,
    sentence_of_fleet: String,
    service: Option<Service>,
}

impl Log {
    /// Creates a destination that writes to the log.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Destination for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.sentence = service.sentence();
        self.sentence_of_fleet = service.sentence_of_fleet();
        self.service = Some(service.clone());
        Ok(())
    }

    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError> {
        let sentence = |alert: &Alert| if alert.of_fleet { &self.sentence_of_fleet } else { &self.sentence };
        for Notice { change, alert, .. } in notices {
            let level = match (change, alert.rule.severity) {
                (Change::Resolved, _) | (_, Severity::Info) => Level::Info,
                (_, Severity::Warning) => Level::Warn,
                (_, Severity::Critical) => Level::Error,
            };
            let name = &alert.rule.name;
            let link = alert.trace.and_then(|trace| self.service.as_ref()?.trace_link(trace));
            let link = link.map(|link| format!(" {link}")).unwrap_or_default();
            log::log!(target: TARGET, level, "[{change}] {}: {name}: {alert}{link}", sentence(alert));
        }
        Ok(())
    }
}
