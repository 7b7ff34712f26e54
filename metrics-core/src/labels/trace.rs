//! Traces and spans, as in W3C's Trace Context: <https://www.w3.org/TR/trace-context/>.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use serde::{Deserialize, Serialize};

/// The id of a trace: 128 bits, not all of them 0.
///
/// Displayed as 32 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceId(NonZeroU128);

/// A text that is not a trace id: not 32 lowercase hexadecimal digits, or all of them 0.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trace id; allowed: 32 lowercase hexadecimal digits, not all of them 0")]
pub struct ParseTraceIdError;

crate::text::debug_as_display!(ParseTraceIdError);

impl TraceId {
    /// Returns the id with these bits, unless all of them are 0.
    pub fn new(bits: u128) -> Option<Self> {
        NonZeroU128::new(bits).map(Self)
    }

    /// Returns the bits.
    pub fn bits(self) -> u128 {
        self.0.get()
    }
}

impl std::str::FromStr for TraceId {
    type Err = ParseTraceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !is_small_hex(text, 32) {
            return Err(ParseTraceIdError);
        }
        u128::from_str_radix(text, 16).ok().and_then(Self::new).ok_or(ParseTraceIdError)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TraceId {
    type Error = ParseTraceIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The id of a span in a trace: 64 bits, not all of them 0.
///
/// Displayed as 16 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SpanId(NonZeroU64);

/// A text that is not a span id: not 16 lowercase hexadecimal digits, or all of them 0.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a span id; allowed: 16 lowercase hexadecimal digits, not all of them 0")]
pub struct ParseSpanIdError;

crate::text::debug_as_display!(ParseSpanIdError);

impl SpanId {
    /// Returns the id with these bits, unless all of them are 0.
    pub fn new(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    /// Returns the bits.
    pub fn bits(self) -> u64 {
        self.0.get()
    }
}

impl std::str::FromStr for SpanId {
    type Err = ParseSpanIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !is_small_hex(text, 16) {
            return Err(ParseSpanIdError);
        }
        u64::from_str_radix(text, 16).ok().and_then(Self::new).ok_or(ParseSpanIdError)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<SpanId> for String {
    fn from(id: SpanId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SpanId {
    type Error = ParseSpanIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The position of a request in a trace, as the caller states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace that the request belongs to.
    pub trace: TraceId,
    /// The caller's span if it states one: the parent of the request's own span.
    pub parent: Option<SpanId>,
    /// Whether the caller states that the trace is recorded.
    pub sampled: bool,
}

fn is_small_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_32_lowercase_hexadecimal_digits_not_all_of_them_0() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(text.parse::<TraceId>().unwrap().to_string(), text);
        let (short, long) = (&text[1..], format!("{text}0"));
        let upper = text.to_uppercase();
        let zeros = "0".repeat(32);
        let plus = format!("+{short}");
        for wrong in ["", short, &long, &upper, &zeros, &plus, "é"] {
            assert_eq!(wrong.parse::<TraceId>(), Err(ParseTraceIdError), "{wrong}");
        }
        assert_eq!(TraceId::new(0), None);
        assert_eq!(TraceId::new(0xab).unwrap().to_string().len(), 32);
        assert_eq!(TraceId::new(0xab).unwrap().bits(), 0xab);
    }

    #[test]
    fn ids_are_read_back_from_json_where_they_are_texts() {
        let context =
            TraceContext { trace: TraceId::new(0xab).unwrap(), parent: SpanId::new(0xc), sampled: true };
        let text = serde_json::to_string(&context).unwrap();
        assert!(text.contains("\"000000000000000c\""), "{text}");
        assert_eq!(serde_json::from_str::<TraceContext>(&text).unwrap(), context);
    }

    #[test]
    fn a_span_id_is_16_lowercase_hexadecimal_digits_not_all_of_them_0() {
        let text = "b7ad6b7169203331";
        assert_eq!(text.parse::<SpanId>().unwrap().to_string(), text);
        let (upper, zeros, plus) = (text.to_uppercase(), "0".repeat(16), format!("+{}", &text[1..]));
        for wrong in ["", &text[1..], &upper, &zeros, &plus, "é"] {
            assert_eq!(wrong.parse::<SpanId>(), Err(ParseSpanIdError), "{wrong}");
        }
        assert_eq!((SpanId::new(0), SpanId::new(7).unwrap().bits()), (None, 7));
    }
}
