//! Who sends.

/// What all that is sent has in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    pub(super) release: Option<String>,
    /// Sentry takes `production` for none.
    pub(super) env: Option<String>,
    pub(super) server_name: Option<String>,
}

/// What Sentry is told of the sender.
pub(super) const SDK_NAME: &str = "metrics-export";

/// Its version.
pub(super) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The sender's name and version in one.
pub(super) const AGENT: &str = concat!("metrics-export/", env!("CARGO_PKG_VERSION"));
