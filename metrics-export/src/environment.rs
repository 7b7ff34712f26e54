//! What the environment says.

/// A variable; what of it is no Unicode is shown as such, so that it is refused where it matters and not taken for absent.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
