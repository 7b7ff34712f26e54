//! Sentry's environment variables.

use super::builder::Builder;

/// Takes over what the environment says and the builder does not. An empty variable is as one that is not set.
pub(super) fn apply(builder: &mut Builder, variable: impl Fn(&str) -> Option<String>) {
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
}
