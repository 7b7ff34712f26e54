//! Notices as lines of the `log` crate.

use log::Level;
use metrics_core::alert::{Change, Notice, Severity};

use super::{Destination, SendError};

/// The target of the lines.
const TARGET: &str = "metrics::alerts";

/// Writes notices to the log, under the target `metrics::alerts`.
///
/// At the level error if the alert is critical, else warn, or info; and info for what is resolved. A subscriber of
/// `tracing` gets them through `tracing-log`.
#[derive(Debug)]
pub struct Log {
    service: String,
}

impl Log {
    /// In the name of this service.
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into() }
    }
}

impl Destination for Log {
    fn name(&self) -> &'static str {
        "log"
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
