//! Environment variables.

#[cfg(any(feature = "datadog", feature = "sentry"))]
use metrics_core::InvalidSetting;

/// Reads a variable. Bytes that are not UTF-8 become replacement characters, so that such a value is rejected where it
/// is used, and not treated as missing.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The environment of a destination's builder.
#[cfg(any(feature = "datadog", feature = "otlp", feature = "sentry"))]
pub(crate) struct Variables<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

#[cfg(any(feature = "datadog", feature = "otlp", feature = "sentry"))]
impl Variables<'_> {
    /// A variable without surrounding blanks; `None` if it is missing or empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A share from 0 to 1; `None` if the variable is missing or empty.
    #[cfg(any(feature = "datadog", feature = "sentry"))]
    pub(crate) fn share(&self, name: &'static str) -> Result<Option<f64>, InvalidSetting> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Some(share)),
            _ => Err(InvalidSetting::new(name, format!("{value:?}"), "0 to 1")),
        }
    }
}
