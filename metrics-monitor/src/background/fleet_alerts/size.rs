//! How much of the state of a fleet's alerts each part of it takes.
//!
//! | part | at most |
//! |---|---|
//! | when each rule was evaluated | 256 rules of 85 bytes |
//! | alerts | [`MAX_ALERT_BYTES`] |
//! | notices on their way | [`MAX_NOTICE_BYTES`] |
//! | changes of alerts | [`MAX_CHANGE_BYTES`] |
//! | what objectives have left | 32 objectives of 375 bytes |
//! | what belongs to rules that this instance does not have | what is left |

use metrics_core::EndpointName;
use metrics_core::alert::{Notice, Rule};

/// The most bytes of alerts that are not inactive: about 3,500 of routes with short names.
pub(super) const MAX_ALERT_BYTES: usize = 640 << 10;

/// The most bytes of notices on their way: about 1,000 of routes with short names.
pub(super) const MAX_NOTICE_BYTES: usize = 310 << 10;

/// The most bytes of the latest changes: about 100 of routes with short names.
pub(super) const MAX_CHANGE_BYTES: usize = 32 << 10;

/// An alert without its texts: names of fields, and the longest numbers.
const ALERT: usize = 155;

/// The same of a notice, with its id.
const NOTICE: usize = 256;

/// The most bytes that an alert takes.
pub(super) fn of_alert(rule: &Rule, endpoint: Option<&EndpointName>) -> usize {
    ALERT + of_names(rule, endpoint)
}

/// The most bytes that a notice takes that these destinations are done with.
pub(super) fn of_notice(Notice { alert, .. }: &Notice, done: &[String]) -> usize {
    let version = alert.version.as_deref().map_or(0, of_text);
    NOTICE
        + of_names(&alert.rule, alert.endpoint.as_deref())
        + version
        + done.iter().map(|name| of_text(name) + 1).sum::<usize>()
}

fn of_names(rule: &Rule, endpoint: Option<&EndpointName>) -> usize {
    let endpoint = endpoint.map_or(0, |name| of_text(&name.method) + of_text(&name.route));
    of_text(&rule.name) + endpoint
}

/// A text in JSON.
fn of_text(text: &str) -> usize {
    let escaped = |byte| match byte {
        b'"' | b'\\' => 2,
        ..b' ' => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_what_its_json_takes() {
        for text in ["", "/items/{id}", "a\"\\b", "\u{1}\n\u{7f}", "주문 \u{202e}🧑"] {
            assert!(of_text(text) >= serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
        assert_eq!(of_text("/items/{id}"), 13);
    }
}
