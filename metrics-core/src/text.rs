//! Characters of a text that would change how the rest of it is read.

/// Whether a character is invisible where text is shown, and can pass one text off as another.
///
/// These are all control characters (C0, DEL, C1), separators of lines and paragraphs, marks and overrides of the
/// direction of text, invisible fillers and operators, and tags. Callers escape or leave out such characters in what
/// others may have written.
///
/// The joiners U+200C and U+200D are not hidden: words of some languages, and composed emoji, need them. Nor are the
/// variation selectors U+FE00 to U+FE0F.
///
/// ```
/// assert!(['\n', '\u{85}', '\u{202e}', '\u{2028}', '\u{2066}', '\u{e0041}'].into_iter().all(metrics_core::is_hidden));
/// assert!(!"naïve 価格 🧑‍🚒".chars().any(metrics_core::is_hidden));
/// ```
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' // Soft hyphen.
            | '\u{34f}' // Combining grapheme joiner.
            | '\u{61c}' // Arabic letter mark.
            | '\u{115f}'..='\u{1160}' // Fillers of Hangul.
            | '\u{17b4}'..='\u{17b5}' // Inherent vowels of Khmer.
            | '\u{180e}' // Mongolian vowel separator.
            | '\u{200b}' // Zero width space.
            | '\u{200e}'..='\u{200f}' // Marks of direction.
            | '\u{2028}'..='\u{202e}' // Separators of lines and paragraphs; embeddings and overrides.
            | '\u{2060}'..='\u{206f}' // Word joiner, invisible operators, isolates, deprecated controls.
            | '\u{3164}' // Hangul filler.
            | '\u{feff}' // Byte order mark.
            | '\u{ffa0}' // Halfwidth Hangul filler.
            | '\u{fff0}'..='\u{fffb}' // Specials, with the annotations.
            | '\u{1bca0}'..='\u{1bca3}' // Controls of shorthand.
            | '\u{1d173}'..='\u{1d17a}' // Controls of music.
            | '\u{e0000}'..='\u{e0fff}' // Tags, and the supplementary variation selectors.
        )
}

/// Appends a text up to `bytes` bytes altogether, with [hidden](is_hidden) characters escaped as in Rust: a newline as
/// `\n`, U+202E as `\u{202e}`. Returns whether all of it fitted; what follows the first character that does not is left
/// out.
pub fn push_visible(text: &str, line: &mut String, bytes: usize) -> bool {
    text.chars().all(|c| {
        let room = bytes.saturating_sub(line.len());
        if !is_hidden(c) {
            let fits = c.len_utf8() <= room;
            if fits {
                line.push(c);
            }
            return fits;
        }
        let escaped = c.escape_default();
        let fits = escaped.len() <= room;
        if fits {
            line.extend(escaped);
        }
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, bytes: usize) -> (String, bool) {
        let mut line = String::new();
        let whole = push_visible(text, &mut line, bytes);
        (line, whole)
    }

    #[test]
    fn what_reorders_ends_or_hides_text_is_hidden() {
        let controls = ('\0'..=' ').filter(|c| *c != ' ').chain('\u{7f}'..='\u{9f}');
        let reordering = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter().chain('\u{202a}'..='\u{202e}');
        let isolates = '\u{2066}'..='\u{2069}';
        let separators = ['\u{2028}', '\u{2029}', '\u{b}', '\u{c}', '\u{85}'];
        let tags = '\u{e0000}'..='\u{e007f}';
        let invisible = ['\u{200b}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{e0100}', '\u{3164}'];
        for c in controls.chain(reordering).chain(isolates).chain(separators).chain(tags).chain(invisible) {
            assert!(is_hidden(c), "{c:?}");
        }
        for c in "aé ~\u{a0}ß٣אب价\u{200c}\u{200d}\u{fe0f}😀\u{10ffff}\u{e000}".chars() {
            assert!(!is_hidden(c), "{c:?}");
        }
    }

    #[test]
    fn hidden_characters_are_escaped_and_the_rest_is_kept() {
        assert_eq!(shown("a\nb\u{202e}é", 100), (r"a\nb\u{202e}é".to_owned(), true));
        assert_eq!(shown("\u{1b}[31m\u{85}\u{e0041}", 100).0, r"\u{1b}[31m\u{85}\u{e0041}");
    }

    #[test]
    fn a_text_is_cut_before_the_first_character_that_does_not_fit() {
        assert_eq!(shown("abé", 3), ("ab".to_owned(), false));
        assert_eq!(shown("a\u{202e}b", 8), ("a".to_owned(), false));
        assert_eq!(shown("abc", 3), ("abc".to_owned(), true));
        assert_eq!(shown("abc", 0), (String::new(), false));
    }
}
