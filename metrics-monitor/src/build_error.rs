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
    /// The system has no thread to spare for the history, for alert notices, for exporters or for the fleet.
    #[error("the system has no thread to spare: {reason}")]
    Thread {
        /// The system's error.
        reason: String,
    },
}

impl From<StartError> for BuildError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Setting(setting) => Self::Setting(setting),
            StartError::Thread(error) => Self::Thread { reason: error.to_string() },
            other => Self::Thread { reason: other.to_string() },
        }
    }
}
