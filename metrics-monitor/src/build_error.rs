//! The error of a monitor that cannot be built.

use metrics_core::InvalidSetting;
use metrics_export::StartError;

/// A monitor that cannot be built, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting was refused.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// Alert rules could not be read.
    #[error("alerts_toml: {reason}")]
    AlertsToml {
        /// The line, what is wrong there, and what is allowed.
        reason: String,
    },
    /// The instance cannot join a fleet.
    #[error("fleet: {reason}")]
    Fleet {
        /// The setting, and what is allowed.
        reason: String,
    },
    /// The system has no thread to spare for the history, for alert notices or for exporters.
    #[error("no thread for the history, for alerts or for exporters: {reason}")]
    Thread {
        /// The system's error.
        reason: String,
    },
}

impl From<StartError> for BuildError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Setting(setting) => Self::Setting(setting),
            other => Self::Thread { reason: other.to_string() },
        }
    }
}
