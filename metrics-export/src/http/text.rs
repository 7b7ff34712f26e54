//! A destination's own words, as part of one line.

use metrics_core::visible;

/// The longest text of a destination that is shown, in bytes.
const MAX_TEXT: usize = 200;

/// Cuts a destination's text, and makes it one line: characters that are not shown are escaped.
pub(crate) fn short_line(text: &str) -> String {
    visible(text.trim(), MAX_TEXT).into_owned()
}

/// A destination's text after a colon, quoted, without secrets of ours that it may repeat; empty if there is none.
pub(crate) fn said(text: Option<&str>, secrets: &[String]) -> String {
    let text = short_line(&masked(text.unwrap_or_default().trim(), secrets));
    if text.is_empty() { text } else { format!(": \"{text}\"") }
}

/// The beginning of a text, as much as is shown of it, with `***` for each secret.
fn masked(text: &str, secrets: &[String]) -> String {
    let (mut masked, mut rest) = (String::new(), text);
    while masked.len() <= MAX_TEXT
        && let Some(c) = rest.chars().next()
    {
        // The longest, since one may be the beginning of another.
        let found = secrets.iter().filter(|secret| !secret.is_empty() && rest.starts_with(secret.as_str()));
        let length = match found.map(String::len).max() {
            Some(length) => {
                masked.push_str("***");
                length
            }
            None => {
                masked.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    masked
}

/// The text in the body of an answer. Of a page it is the title, and of the protobuf message `google.rpc.Status` the
/// message.
pub(super) fn text_of(body: &[u8]) -> Option<&str> {
    let text = status_message(body).or_else(|| std::str::from_utf8(body).ok())?;
    if text.trim_start().starts_with('<') { title(text) } else { Some(text) }
}

fn title(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<title>")?;
    rest.split_once("</title>").map(|(title, _)| title)
}

/// The message of a `google.rpc.Status`: field 1 is a small code, and field 2 a text.
fn status_message(body: &[u8]) -> Option<&str> {
    let body = match body {
        [0x08, 0..=0x7f, rest @ ..] => rest,
        body => body,
    };
    let (length, rest) = match body {
        [0x12, length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
        [0x12, low @ 0x80..=0xff, high @ 0..=0x7f, rest @ ..] => {
            (usize::from(low & 0x7f) | usize::from(*high) << 7, rest)
        }
        _ => return None,
    };
    std::str::from_utf8(rest.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_is_cut_escaped_and_without_our_secrets() {
        let shown = |text: &str| said(Some(text), &["hunter2".to_owned(), String::new()]);
        assert_eq!(shown("no\u{202e} key hunter2, hunter2\n"), ": \"no\\u{202e} key ***, ***\"");
        assert_eq!(shown(&"é".repeat(5_000)).len(), MAX_TEXT + 4);
        // A secret at the end of what is shown is not cut in two.
        let late = shown(&format!("{}hunter2", "x".repeat(MAX_TEXT - 3)));
        assert!(!late.contains("hun"), "{late}");
        assert_eq!([shown(""), shown(" \n"), said(None, &[])], [""; 3]);
        // However often one is repeated, and if one is the beginning of another.
        let (short, long) = ("s".repeat(900), "s".repeat(1_000));
        let text = format!("{long}, {long}, {short}, {long}, {long}");
        assert_eq!(said(Some(&text), &[short, long]), ": \"***, ***, ***, ***, ***\"");
    }

    #[test]
    fn of_a_page_the_title_is_shown_and_of_a_status_the_message() {
        assert_eq!(text_of(b"<html><title>400 Bad</title>"), Some("400 Bad"));
        assert_eq!([text_of(b"<html>"), text_of(b"\xff\xfe")], [None; 2]);
        assert_eq!([text_of(b"\x08\x03\x12\x03bad"), text_of(b"\x12\x03bad")], [Some("bad"); 2]);
        let long = [b"\x08\x03\x12\x96\x01".as_slice(), &[b'x'; 150]].concat();
        assert_eq!(text_of(&long).map(str::len), Some(150));
    }
}
