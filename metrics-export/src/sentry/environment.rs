//! Sentry's environment variables.

use super::builder::{BuildError, Builder, SHARE};

/// Takes over what the environment says and the builder does not. An empty variable is as one that is not set.
pub(super) fn apply(
    builder: &mut Builder,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), BuildError> {
    let get =
        |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    if builder.dsn.is_none() {
        builder.dsn = get("SENTRY_DSN").map(Into::into);
    }
    let origin = &mut builder.origin;
    for (known, name) in [
        (&mut origin.release, "SENTRY_RELEASE"),
        (&mut origin.env, "SENTRY_ENVIRONMENT"),
        (&mut origin.server_name, "HOSTNAME"),
    ] {
        if known.is_none() {
            *known = get(name);
        }
    }
    if builder.traces_sample_rate.is_none()
        && let Some(value) = get("SENTRY_TRACES_SAMPLE_RATE")
    {
        let rate = value.parse();
        let refused = |_| BuildError::Setting { name: "SENTRY_TRACES_SAMPLE_RATE", value, allowed: SHARE };
        builder.traces_sample_rate = Some(rate.map_err(refused)?);
    }
    Ok(())
}
