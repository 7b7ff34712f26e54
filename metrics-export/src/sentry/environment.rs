//! Sentry's environment variables.

use super::origin::{ENVIRONMENTS, Origin, RELEASES, is_environment, is_release};
use crate::environment::Variables;
use crate::secret::Secret;

/// `SENTRY_DSN`.
pub(super) fn dsn(variables: &Variables<'_>) -> Option<Secret> {
    variables.vital("SENTRY_DSN")
}

/// `SENTRY_RELEASE` and `SENTRY_ENVIRONMENT`, and the server's name from `HOSTNAME`.
pub(super) fn origin(variables: &Variables<'_>) -> Origin {
    let named = |name: &str, allowed, is_allowed: fn(&str) -> bool| {
        variables.parsed(name, allowed, |text| is_allowed(text).then(|| text.to_owned()))
    };
    Origin {
        release: named("SENTRY_RELEASE", RELEASES, is_release),
        environment: named("SENTRY_ENVIRONMENT", ENVIRONMENTS, is_environment),
        server_name: variables.get("HOSTNAME"),
        trace_url: None,
    }
}

/// `SENTRY_TRACES_SAMPLE_RATE`.
pub(super) fn traces_sample_rate(variables: &Variables<'_>) -> Option<f64> {
    variables.share("SENTRY_TRACES_SAMPLE_RATE")
}
