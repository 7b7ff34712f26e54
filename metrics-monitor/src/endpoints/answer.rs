//! What an endpoint answers, before a framework sends it.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use metrics_export::json::{Failure, Success};
use serde::Serialize;

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

/// The body of an answer. The adapter leaves it out where the method is `HEAD`.
pub enum Body {
    /// All of it.
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

    /// A successful answer with this data.
    pub(crate) fn success(data: impl Serialize) -> Self {
        Self::json(200, &Success::new(data))
    }

    /// A failed answer. `code` is for programs, in snake case; `message` is for people, and says what is allowed.
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

    fn json(status: u16, body: &impl Serialize) -> Self {
        Self::new(status, json(body)).header("content-type", "application/json").volatile()
    }
}

/// A body as JSON.
pub(crate) fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a body has only numbers, texts and lists, which all can be written")
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(bytes).finish(),
            Self::Events(_) => f.write_str("Events(..)"),
        }
    }
}
