//! Why something that runs in a thread was not started.

use std::io;

use metrics_core::InvalidSetting;

/// Why a destination or an engine was not started.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A destination cannot use the name of the service, or a setting is out of range.
    #[error("{0}")]
    Setting(#[from] InvalidSetting),
    /// The system could not start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

metrics_core::debug_as_display!(StartError);
