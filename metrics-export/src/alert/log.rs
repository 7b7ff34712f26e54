//! Notices as lines of the `log` crate.

use log::Level;
use metrics_core::InvalidSetting;
use metrics_core::alert::{Change, Notice, Severity};

use super::destination::{Destination, SendError};
use crate::service::Service;

/// The target of the lines.
const TARGET: &str = "metrics::alerts";

/// Writes notices to the log, under the target `metrics::alerts`.
///
/// At the level error if the alert is critical, else warn, or info; and info for what is resolved. A subscriber of
/// `tracing` gets them through `tracing-log`.
#[derive(Debug, Default)]
pub struct Log {
    service: String,
}

impl Log {
    /// A log of notices.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Destination for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.service.clone_from(&service.name);
        Ok(())
    }

    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError> {
        for Notice { change, alert } in notices {
            let level = match (change, alert.rule.severity) {
                (Change::Resolved, _) | (_, Severity::Info) => Level::Info,
                (_, Severity::Warning) => Level::Warn,
                (_, Severity::Critical) => Level::Error,
            };
            let name = &alert.rule.name;
            log::log!(target: TARGET, level, "[{change}] {}: {name}: {alert}", self.service);
        }
        Ok(())
    }
}
