//! What an endpoint answers, before a framework sends it.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use metrics_export::json::{Failure, Success};
use serde::Serialize;

use super::request::Coding;
use crate::policy::headers::{Headers, values};

/// An answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, by their lower-case names. The length of the body is not among them.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: Body,
}

/// The body of an answer. The adapter leaves it out if the method is `HEAD`.
pub enum Body {
    /// The whole body.
    Bytes(Bytes),
    /// Server-sent events, one a second. The adapter closes the connection after them.
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(body.into()) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Never stored, and never taken for something else.
    pub(crate) fn volatile(self) -> Self {
        self.header("cache-control", "no-store").header("x-content-type-options", "nosniff")
    }

    /// Says how the body is coded. "Not at all" is said, too, to clients that accept other codings: the application's
    /// own compression then leaves the answer alone, and neither holds events back nor repeats `vary`.
    pub(crate) fn coded(self, coding: Coding, headers: &dyn Headers) -> Self {
        match coding {
            Coding::Gzip => self.header("content-encoding", "gzip"),
            Coding::Identity if values(headers, "accept-encoding").next().is_some() => {
                self.header("content-encoding", "identity")
            }
            Coding::Identity => self,
        }
    }

    /// A successful answer with this data.
    pub(crate) fn success(data: impl Serialize) -> Self {
        Self::json(200, &Success::new(data))
    }

    /// Creates an answer that says why a request failed. `code` is for programs, in snake case; `message` is for
    /// people, and says what is allowed.
    pub fn failure(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &Failure::new(code, message))
    }

    /// 400 for a wrong query.
    pub(crate) fn bad_request(message: &str) -> Self {
        Self::failure(400, "bad_request", message)
    }

    /// 503 for what may work later.
    pub(crate) fn unavailable(message: &str) -> Self {
        Self::failure(503, "unavailable", message)
    }

    /// A successful answer whose body is JSON already.
    #[cfg(feature = "redis")]
    pub(crate) fn written(body: Vec<u8>) -> Self {
        Self::new(200, body).header("content-type", "application/json").volatile()
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        Self::new(status, json(body)).header("content-type", "application/json").volatile()
    }
}

/// A body as JSON.
pub(crate) fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a body has only numbers, texts and lists, which all can be written")
}

/// A server-sent event: JSON has no line breaks, so it is one line of data.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Vec<u8> {
    let name = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
    [name.as_bytes(), b"data: ", &json(data), b"\n\n"].concat()
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(bytes).finish(),
            Self::Events(_) => f.write_str("Events(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data_whatever_is_in_it() {
        assert_eq!(event("", &"a\nb\r\n\ndata: c"), b"data: \"a\\nb\\r\\n\\ndata: c\"\n\n");
        assert_eq!(event("hello", &1), b"event: hello\ndata: 1\n\n");
    }
}
