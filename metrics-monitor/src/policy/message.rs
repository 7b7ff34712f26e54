//! The text kept for an error: one line of bounded length, without hidden characters.

use std::fmt::{self, Display, Write};

use metrics_core::{MAX_MESSAGE_BYTES, each_visible};

/// Returns the beginning of an error's text, with [hidden](metrics_core::is_hidden) characters escaped.
///
/// At most [`MAX_MESSAGE_BYTES`] bytes. A longer text is not even written to its end.
pub fn line(error: &dyn Display) -> String {
    let mut line = Line(String::new());
    // This fails when the line is full, or when the error cannot be written. What was written until then is kept.
    let _ = write!(line, "{error}");
    line.0
}

struct Line(String);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_MESSAGE_BYTES - self.0.len();
        each_visible(text, room, |piece| self.0.push_str(piece)).then_some(()).ok_or(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_kept() {
        assert_eq!(line(&"a\nb\r\u{1b}[31m\0 é \u{85}"), r"a\nb\r\u{1b}[31m\u{0} é \u{85}");
    }

    #[test]
    fn a_long_text_is_cut_before_the_first_character_that_does_not_fit() {
        let kept = line(&format!("{}\nb", "x".repeat(MAX_MESSAGE_BYTES - 1)));
        assert_eq!(kept, "x".repeat(MAX_MESSAGE_BYTES - 1));
        assert_eq!(line(&"é".repeat(200)).len(), MAX_MESSAGE_BYTES);
    }

    #[test]
    fn an_endless_error_text_is_cut() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("and so on ")?;
                }
            }
        }
        assert!(line(&Endless).starts_with("and so on and so on "));
    }
}
