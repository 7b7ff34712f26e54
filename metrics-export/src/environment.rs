//! Environment variables: how they are read, and what happens to invalid ones.
//!
//! Variables are often set by somebody else, so none of them prevents a service from starting. A value that cannot be
//! used is ignored, with a warning in the log. If that would change who gets the data or who is trusted, the
//! destination stays off.
//!
//! Values are read as OpenTelemetry's specification says: an empty value counts as missing, and words are
//! case-insensitive. Surrounding blanks are ignored, and so is one pair of quotes around the value, which `docker
//! --env-file` leaves in.

use std::cell::RefCell;
use std::ffi::OsString;

use metrics_core::InvalidSetting;

use crate::secret::Secret;

/// The target of what is logged here.
const TARGET: &str = "metrics_export::environment";

/// The longest value that a warning repeats, in characters.
const MAX_SHOWN: usize = 100;

/// What a text has to be, if it has to be nothing else.
const UTF_8: &str = "text in UTF-8";

/// Reads a variable of this process.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The variables that a destination reads, and what cannot be used of them.
pub(crate) struct Variables<'a> {
    read: &'a dyn Fn(&str) -> Option<OsString>,
    /// Whether the destination reads those of its own kind, too, and not only those that all programs share.
    has_own: bool,
    found: RefCell<Found>,
}

/// What was found out so far.
#[derive(Debug, Default)]
struct Found {
    warnings: Vec<InvalidSetting>,
    off: Option<Off>,
}

/// Why a destination stays off.
#[derive(Debug)]
struct Off {
    reason: String,
    /// Whether a variable says so, rather than one that cannot be used.
    is_wanted: bool,
}

impl<'a> Variables<'a> {
    /// The variables that `read` returns; `has_own` says whether the destination reads those of its own kind.
    pub(crate) fn new(read: &'a dyn Fn(&str) -> Option<OsString>, has_own: bool) -> Self {
        Self { read, has_own, found: RefCell::default() }
    }

    /// Whether the destination reads variables of its own kind.
    pub(crate) fn has_own(&self) -> bool {
        self.has_own
    }

    /// A text without which the destination works as before; `None` if it is missing or cannot be used.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        match self.text(name)? {
            Ok(text) => Some(text),
            Err(lossy) => {
                self.warn(invalid(name, &lossy, UTF_8));
                None
            }
        }
    }

    /// A value other than a text. One that is not `allowed` is left out.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        allowed: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.get(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.warn(invalid(name, &text, allowed));
        }
        value
    }

    /// A share from 0 to 1.
    pub(crate) fn share(&self, name: &str) -> Option<f64> {
        let in_range = |share: &f64| (0.0..=1.0).contains(share);
        self.parsed(name, "0 to 1", |text| text.parse().ok().filter(in_range))
    }

    /// Whether a switch is on. As OpenTelemetry says, only `true` turns it on.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        let switch = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        self.parsed(name, "true, false", switch).unwrap_or(false)
    }

    /// A text that says who gets the data or who is trusted, and is a secret. If it cannot be used, the destination
    /// stays off.
    pub(crate) fn vital(&self, name: &str) -> Option<Secret> {
        match self.text(name)? {
            Ok(text) => Some(text.into()),
            Err(_) => {
                self.refuse(InvalidSetting::secret(name.to_owned(), UTF_8));
                None
            }
        }
    }

    /// A variable that all programs share, such as the one of a proxy; read whether or not the destination reads those
    /// of its own kind. What is not UTF-8 becomes replacement characters, so that the value is rejected where it is
    /// used.
    pub(crate) fn shared(&self, name: &str) -> Option<String> {
        (self.read)(name).map(|value| unquoted(&value.to_string_lossy()).to_owned())
    }

    /// Leaves out a value, with a warning.
    pub(crate) fn warn(&self, problem: InvalidSetting) {
        self.found.borrow_mut().warnings.push(problem);
    }

    /// Keeps the destination off, since a value cannot be used that says who gets the data or who is trusted.
    pub(crate) fn refuse(&self, problem: InvalidSetting) {
        self.keep_off(problem.to_string(), false);
    }

    /// Keeps the destination off, as a variable says.
    pub(crate) fn turn_off(&self, reason: impl Into<String>) {
        self.keep_off(reason.into(), true);
    }

    fn keep_off(&self, reason: String, is_wanted: bool) {
        self.found.borrow_mut().off.get_or_insert(Off { reason, is_wanted });
    }

    /// Logs what cannot be used. Returns why the destination stays off, if it does.
    pub(crate) fn finish(self, destination: &str) -> Option<String> {
        let Found { warnings, off } = self.found.into_inner();
        for warning in warnings {
            log::warn!(target: TARGET, "{destination}: {warning}; it is ignored");
        }
        let Off { reason, is_wanted } = off?;
        let level = if is_wanted { log::Level::Info } else { log::Level::Warn };
        log::log!(target: TARGET, level, "{destination} is off: {reason}");
        Some(reason)
    }

    /// A variable without surrounding blanks and quotes, or the part of it that is UTF-8; `None` if it is missing or
    /// empty.
    fn text(&self, name: &str) -> Option<Result<String, String>> {
        if !self.has_own {
            return None;
        }
        let value = (self.read)(name)?;
        let text = value.to_str().map(unquoted).ok_or_else(|| value.to_string_lossy().into_owned());
        match text {
            Ok("") => None,
            Ok(text) => Some(Ok(text.to_owned())),
            Err(lossy) => Some(Err(lossy)),
        }
    }
}

/// A value without surrounding blanks, and without the quotes around all of it.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then(|| inner.trim())
    };
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// A variable whose value may be shown, and what is allowed instead.
pub(crate) fn invalid(name: &str, value: &str, allowed: &'static str) -> InvalidSetting {
    let mut shown: String = value.chars().take(MAX_SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    // Escaped, so that a value stays in its line.
    InvalidSetting::new(name.to_owned(), format!("{shown:?}"), allowed)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Reads these variables.
    pub(crate) fn fixed<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    /// Reads a variable that is not UTF-8.
    #[cfg(unix)]
    pub(crate) fn not_utf8(name: &'static str) -> impl Fn(&str) -> Option<OsString> {
        use std::os::unix::ffi::OsStringExt;
        move |asked| (asked == name).then(|| OsString::from_vec(b"hunter2\xff".to_vec()))
    }

    fn warnings(variables: &Variables<'_>) -> Vec<String> {
        variables.found.borrow().warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn blanks_and_quotes_around_a_value_do_not_count_and_an_empty_one_is_missing() {
        for (value, read) in [
            ("", None),
            (" \t\n", None),
            ("\"\"", None),
            ("' '", None),
            ("orders\n", Some("orders")),
            (" 'orders' ", Some("orders")),
            ("\"orders\"", Some("orders")),
            ("\"orders", Some("\"orders")),
            ("\"", Some("\"")),
            ("\"a\",\"b\"", Some("\"a\",\"b\"")),
        ] {
            let found = [("X", value)];
            let read_all = fixed(&found);
            let variables = Variables::new(&read_all, true);
            assert_eq!(variables.get("X").as_deref(), read, "{value:?}");
            assert_eq!(warnings(&variables), [""; 0], "{value:?}");
            assert_eq!(Variables::new(&read_all, false).get("X"), None);
        }
    }

    #[test]
    fn a_value_that_is_not_allowed_is_left_out_with_a_warning() {
        for (value, share, warned) in [
            ("0.25", Some(0.25), None),
            ("1", Some(1.0), None),
            ("2", None, Some("X is \"2\"; allowed: 0 to 1")),
            ("-0.1", None, Some("X is \"-0.1\"; allowed: 0 to 1")),
            ("NaN", None, Some("X is \"NaN\"; allowed: 0 to 1")),
            ("a\nb", None, Some("X is \"a\\nb\"; allowed: 0 to 1")),
        ] {
            let found = [("X", value)];
            let read = fixed(&found);
            let variables = Variables::new(&read, true);
            assert_eq!(variables.share("X"), share, "{value:?}");
            assert_eq!(warnings(&variables), warned.as_slice(), "{value:?}");
            assert_eq!(variables.finish("test"), None);
        }
        let long = "x".repeat(200);
        assert_eq!(invalid("X", &long, "0").to_string(), format!("X is \"{}…\"; allowed: 0", &long[..100]));
    }

    #[test]
    fn only_true_turns_a_switch_on_whatever_its_case() {
        for (value, on, warned) in [
            ("true", true, false),
            ("TRUE", true, false),
            ("False", false, false),
            ("", false, false),
            ("1", false, true),
            ("yes", false, true),
        ] {
            let found = [("X", value)];
            let read = fixed(&found);
            let variables = Variables::new(&read, true);
            assert_eq!(variables.is_true("X"), on, "{value:?}");
            assert_eq!(!warnings(&variables).is_empty(), warned, "{value:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_is_left_out_or_keeps_the_destination_off() {
        let read = not_utf8("X");
        let variables = Variables::new(&read, true);
        assert_eq!(variables.get("X"), None);
        assert_eq!(warnings(&variables), ["X is \"hunter2\u{fffd}\"; allowed: text in UTF-8"]);
        assert_eq!(variables.vital("X"), None);
        assert_eq!(variables.finish("test").as_deref(), Some("X is invalid; allowed: text in UTF-8"));
    }

    #[test]
    fn a_variable_that_all_programs_share_is_read_in_any_case() {
        let found = [("HTTP_PROXY", " \"http://p:1\"\n")];
        let read = fixed(&found);
        let variables = Variables::new(&read, false);
        assert_eq!(
            (variables.shared("HTTP_PROXY").as_deref(), variables.get("HTTP_PROXY")),
            (Some("http://p:1"), None)
        );
    }

    #[test]
    fn the_first_reason_keeps_a_destination_off() {
        let variables = Variables::new(&|_| None, true);
        variables.turn_off("X is true");
        variables.refuse(InvalidSetting::secret("Y", "1"));
        assert_eq!(variables.finish("test").as_deref(), Some("X is true"));
    }
}
