//! How texts are shown: errors, and characters that would change how the rest of a text is read.

use std::borrow::Cow;

/// Makes an error's `Debug` the same as its `Display`, since Rust prints `Debug` for an error that `main` returns, and
/// so does `unwrap`.
///
/// For this project's own crates. The message of an error contains that of its source.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_as_display {
    ($error:ty) => {
        impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }
    };
}

pub(crate) use debug_as_display;

/// Returns whether a character is invisible where text is shown, and can pass one text off as another.
///
/// These are all control characters (C0, DEL, C1), separators of lines and paragraphs, marks and overrides of the
/// direction of text, invisible fillers and operators, and tags. Escape or remove them in text from others.
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

/// Returns the beginning of a text, up to `bytes` bytes, with [hidden](is_hidden) characters escaped as in Rust: a
/// newline as `\n`, U+202E as `\u{202e}`. It is cut before the first character that does not fit. Does not allocate
/// unless something is escaped.
pub fn visible(text: &str, bytes: usize) -> Cow<'_, str> {
    let begin = cut(text, bytes);
    if !has_hidden(begin) {
        return Cow::Borrowed(begin);
    }
    let mut shown = String::new();
    each_visible(text, bytes, |piece| shown.push_str(piece));
    Cow::Owned(shown)
}

/// Calls `put` with the pieces of a text as [`visible`] shows it: one piece if nothing is escaped. Returns whether all
/// of it fitted. Does not look at more of the text than fits.
pub fn each_visible(text: &str, bytes: usize, mut put: impl FnMut(&str)) -> bool {
    let begin = cut(text, bytes);
    if !has_hidden(begin) {
        put(begin);
        return begin.len() == text.len();
    }
    let mut room = bytes;
    text.chars().all(|c| {
        let escaped = is_hidden(c).then(|| c.escape_default());
        let length = escaped.as_ref().map_or(c.len_utf8(), ExactSizeIterator::len);
        let Some(left) = room.checked_sub(length) else { return false };
        room = left;
        let mut put = |c: char| put(c.encode_utf8(&mut [0; 4]));
        match escaped {
            Some(escaped) => escaped.for_each(put),
            None => put(c),
        }
        true
    })
}

/// Whether a text has a character to escape.
pub(crate) fn has_hidden(text: &str) -> bool {
    // Most texts are plain ASCII, which takes no decoding. All bytes are looked at, so that it is many at a time.
    let is_plain = text.bytes().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~'));
    !is_plain && text.chars().any(is_hidden)
}

/// The longest prefix of at most `bytes` bytes that ends at a character boundary.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(visible("a\nb\u{202e}é", 100), r"a\nb\u{202e}é");
        assert_eq!(visible("\u{1b}[31m\u{85}\u{e0041}", 100), r"\u{1b}[31m\u{85}\u{e0041}");
        assert!(matches!(visible("naïve 価格", 100), Cow::Borrowed("naïve 価格")));
    }

    #[test]
    fn a_text_is_cut_before_the_first_character_that_does_not_fit() {
        for (text, bytes, shown) in [
            ("abé", 3, "ab"),
            ("a\u{202e}b", 8, "a"),
            ("\u{202e}ab", 9, r"\u{202e}a"),
            ("abc", 3, "abc"),
            ("é", 0, ""),
        ] {
            assert_eq!(visible(text, bytes), shown, "{text:?}");
        }
        assert!(each_visible("abc", 3, |_| ()) && !each_visible("abc", 2, |_| ()));
    }
}
