//! Labels: their names, and how text and protobuf write them.

use std::io::Write;

use metrics_core::TraceId;

use super::field;
use crate::wire::Wire;

/// A label's name and its value, not escaped.
pub(crate) type Label<'a> = (&'a str, &'a str);

/// The label of an exemplar. Name and value take 40 of the 128 characters that OpenMetrics allows.
pub(crate) const TRACE_ID: &str = "trace_id";

/// The label names of our own series, and those that Prometheus reserves. No constant label may use them.
pub(crate) const RESERVED: [&str; 17] = [
    "consumer",
    "error_type",
    "exporter",
    "http_request_method",
    "http_response_status_code",
    "http_route",
    "le",
    "method",
    "objective",
    "outcome",
    "quantile",
    "rating",
    "reason",
    "result",
    "route",
    "status",
    "status_class",
];

/// Writes one label as text. Both dialects escape the value in the same way.
#[inline]
pub(crate) fn write_text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape(out, value, true);
    out.push(b'"');
}

/// Writes one label of a series as protobuf.
#[inline]
pub(crate) fn write_protobuf(wire: &mut Wire<'_>, name: &str, value: &str) {
    wire.nested(field::metric::LABEL, |wire| {
        wire.text(field::label::NAME, name);
        wire.text(field::label::VALUE, value);
    });
}

/// Writes a trace ID as 32 hex digits.
pub(crate) fn write_trace_id(out: &mut Vec<u8>, trace: TraceId) {
    write!(out, "{trace}").expect("writing to a vector never fails");
}

/// Escapes backslashes and line feeds, and double quotes if `quotes` is set.
#[inline]
pub(crate) fn escape(out: &mut Vec<u8>, text: &str, quotes: bool) {
    // Nearly all texts need no escape.
    if !needs_escape(text.as_bytes(), quotes) {
        return out.extend_from_slice(text.as_bytes());
    }
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'\\' => br"\\",
            b'\n' => br"\n",
            b'"' if quotes => br#"\""#,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[written..at]);
        out.extend_from_slice(escaped);
        written = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[written..]);
}

/// Looks at 16 bytes at once, without a branch, which compilers turn into a few instructions.
fn needs_escape(text: &[u8], quotes: bool) -> bool {
    let any_in = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(false, |any, &byte| any | (byte == b'\\') | (byte == b'\n') | (quotes & (byte == b'"')))
    };
    match text.last_chunk::<16>() {
        // The last 16 may overlap with those before.
        Some(last) => text.as_chunks::<16>().0.iter().any(|bytes| any_in(bytes)) || any_in(last),
        None => any_in(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_backslashes_line_feeds_and_quotes_are_escaped() {
        assert_eq!(
            written(|out| write_text(out, "route", "a\\b\"c\nd\r\0é")),
            "route=\"a\\\\b\\\"c\\nd\r\0é\""
        );
        assert_eq!(written(|out| escape(out, "say \"\\\"\n", false)), "say \"\\\\\"\\n");
        assert_eq!(written(|out| escape(out, "", true)), "");
        for (length, at) in (1..40).flat_map(|length| (0..length).map(move |at| (length, at))) {
            let mut text = "x".repeat(length);
            text.replace_range(at..=at, "\"");
            assert_eq!(written(|out| escape(out, &text, true)), text.replace('"', "\\\""));
            assert_eq!(written(|out| escape(out, &text, false)), text);
        }
    }
}
