//! Sentry's environment variables.

use metrics_core::InvalidSetting;

use super::origin::Origin;
use crate::environment::Variables;
use crate::secret::Secret;

/// `SENTRY_DSN`.
pub(super) fn dsn(variables: &Variables<'_>) -> Option<Secret> {
    variables.get("SENTRY_DSN").map(Secret::from)
}

/// `SENTRY_RELEASE` and `SENTRY_ENVIRONMENT`, and the server's name from `HOSTNAME`.
pub(super) fn origin(variables: &Variables<'_>) -> Origin {
    Origin {
        release: variables.get("SENTRY_RELEASE"),
        environment: variables.get("SENTRY_ENVIRONMENT"),
        server_name: variables.get("HOSTNAME"),
    }
}

/// `SENTRY_TRACES_SAMPLE_RATE`.
pub(super) fn traces_sample_rate(variables: &Variables<'_>) -> Result<Option<f64>, InvalidSetting> {
    variables.share("SENTRY_TRACES_SAMPLE_RATE")
}
