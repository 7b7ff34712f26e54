//! Who sends: the service and this crate.

use metrics_core::{InvalidSetting, is_hidden};

use crate::service::Service;

/// The longest release and the longest environment that Sentry accepts, in characters.
const MAX_RELEASE: usize = 200;
const MAX_ENVIRONMENT: usize = 64;

/// What all events, sessions and transactions have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    pub(super) release: Option<String>,
    /// Sentry uses `production` if there is none.
    pub(super) environment: Option<String>,
    pub(super) server_name: Option<String>,
    /// Where people look at a trace.
    pub(super) trace_url: Option<String>,
}

impl Origin {
    /// Fills what neither the builder nor Sentry's variables set. An instance's name wins over that of its host.
    pub(super) fn fill(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        let of_version = || service.version.as_ref().map(|version| format!("{}@{version}", service.name));
        self.release = self.release.take().or_else(of_version);
        self.environment = self.environment.take().or_else(|| service.environment.clone());
        self.trace_url.clone_from(&service.trace_url);
        self.server_name = service.instance.clone().or(self.server_name.take());
        self.check()
    }

    /// Checks that Sentry accepts release and environment.
    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        if let Some(release) = self.release.as_ref().filter(|name| !is_release(name)) {
            return Err(InvalidSetting::new("release", format!("{release:?}"), RELEASES));
        }
        if let Some(name) = self.environment.as_ref().filter(|name| !is_environment(name)) {
            return Err(InvalidSetting::new("environment", format!("{name:?}"), ENVIRONMENTS));
        }
        Ok(())
    }
}

/// The releases that Sentry accepts.
pub(super) const RELEASES: &str =
    "1 to 200 characters without / \\ and control characters, but not . .. latest";

/// The environments that Sentry accepts.
pub(super) const ENVIRONMENTS: &str =
    "1 to 64 characters without / \\ and control characters, but not . .. none";

/// Whether Sentry accepts a release.
pub(super) fn is_release(name: &str) -> bool {
    is_name(name, MAX_RELEASE, "latest")
}

/// Whether Sentry accepts an environment.
pub(super) fn is_environment(name: &str) -> bool {
    is_name(name, MAX_ENVIRONMENT, "none")
}

/// Whether Sentry accepts a text of up to `longest` characters as the name of a release or an environment. One word is
/// reserved.
fn is_name(text: &str, longest: usize, reserved: &str) -> bool {
    let is_reserved = [".", "..", reserved].iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_allowed = |c: char| !is_hidden(c) && !matches!(c, '/' | '\\');
    !is_reserved && (1..=longest).contains(&text.chars().count()) && text.chars().all(is_allowed)
}

/// The sender's name.
pub(super) const SDK_NAME: &str = "metrics-export";

/// The sender's version.
pub(super) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The sender's name and version.
pub(super) const AGENT: &str = concat!("metrics-export/", env!("CARGO_PKG_VERSION"));
