//! The error for a setting that is refused.

use std::borrow::Cow;
use std::fmt;

/// A setting that was refused: which one, what it was set to, and what is allowed.
///
/// One type for all builders, from the registry's to those of exporters, so that all errors state the same three
/// things. A secret is never repeated.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    field: Cow<'static, str>,
    value: Option<String>,
    allowed: Cow<'static, str>,
    /// Whether `allowed` is a whole sentence, shown without field and value.
    is_sentence: bool,
}

impl InvalidSetting {
    /// Creates the error for a setting whose value may be shown.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        allowed: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            value: Some(value.to_string()),
            allowed: allowed.into(),
            is_sentence: false,
        }
    }

    /// Creates the error for a setting whose value is a secret, or too long to repeat.
    pub fn secret(field: impl Into<Cow<'static, str>>, allowed: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), value: None, allowed: allowed.into(), is_sentence: false }
    }

    /// Creates the error for a setting whose problem needs a sentence of its own, such as one that is missing. Only the
    /// sentence is shown.
    pub fn sentence(field: impl Into<Cow<'static, str>>, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), value: None, allowed: sentence.into(), is_sentence: true }
    }

    /// Returns the setter, environment variable or file key with the invalid value.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Returns the value; `None` if it is a secret.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Returns what is allowed instead.
    pub fn allowed(&self) -> &str {
        &self.allowed
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, allowed, is_sentence } = self;
        match value {
            _ if *is_sentence => f.write_str(allowed),
            Some(value) => write!(f, "{field} is {value}; allowed: {allowed}"),
            None => write!(f, "{field} is invalid; allowed: {allowed}"),
        }
    }
}

crate::text::debug_as_display!(InvalidSetting);

impl std::error::Error for InvalidSetting {}

/// For a `main` that returns `std::io::Result`, as those of many services.
impl From<InvalidSetting> for std::io::Error {
    fn from(setting: InvalidSetting) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, setting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_setting_says_field_value_and_what_is_allowed_but_no_secret() {
        let number = InvalidSetting::new("max_series", 0, "1 to 65,536");
        assert_eq!(number.to_string(), "max_series is 0; allowed: 1 to 65,536");
        assert_eq!((number.value(), number.allowed()), (Some("0"), "1 to 65,536"));
        let token = InvalidSetting::secret("read_token", "at least 16 letters and digits");
        assert_eq!(token.to_string(), "read_token is invalid; allowed: at least 16 letters and digits");
        assert_eq!((token.field(), token.value()), ("read_token", None));
        let missing = InvalidSetting::sentence("dsn", "no DSN: call `.dsn()`");
        assert_eq!((missing.field(), missing.to_string().as_str()), ("dsn", "no DSN: call `.dsn()`"));
    }
}
