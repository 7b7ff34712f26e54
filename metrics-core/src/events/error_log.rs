//! What is logged of a failed request.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::events::event_log::{EventLog, Position};
use crate::labels::endpoint::{EndpointId, EndpointName, Endpoints, cut};
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceContext;

/// The last errors.
pub(crate) type ErrorLog = EventLog<ErrorEvent>;

/// The longest message that an entry keeps, in bytes; a longer one is cut at a character.
pub const MAX_MESSAGE_BYTES: usize = 256;

/// One failed request, without heap memory.
#[derive(Debug, Clone)]
pub(crate) struct ErrorEvent {
    pub(crate) time: SystemTime,
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) nanos: u64,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) message: Message,
}

/// A message of at most [`MAX_MESSAGE_BYTES`] bytes, stored in place.
#[derive(Clone)]
pub(crate) struct Message {
    len: u16,
    bytes: [u8; MAX_MESSAGE_BYTES],
}

impl Message {
    pub(crate) fn new(text: &str) -> Self {
        let text = cut(text, MAX_MESSAGE_BYTES);
        let mut bytes = [0; MAX_MESSAGE_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { len: text.len() as u16, bytes }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Never empty for want of UTF-8: it was cut from a `str` at a character.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// One entry of the error log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentError {
    /// When the request ended, by the wall clock.
    pub time: SystemTime,
    /// The endpoint that failed.
    pub endpoint: Arc<EndpointName>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub response_time: Duration,
    /// What the service said of it; at most [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES) bytes.
    pub message: String,
    /// Where it stands in a trace, if somebody said so: see [`Recorder::log_error`](crate::Recorder::log_error).
    #[serde(default)]
    pub trace: Option<TraceContext>,
}

impl ErrorEvent {
    /// The entry as people read it.
    pub(crate) fn resolve(&self, endpoints: &Endpoints) -> RecentError {
        RecentError {
            time: self.time,
            endpoint: endpoints.name(self.endpoint),
            outcome: self.outcome,
            response_time: Duration::from_nanos(self.nanos),
            message: self.message.as_str().to_owned(),
            trace: self.trace,
        }
    }
}

/// How far a reader has read the error log: see [`Registry::errors_after`](crate::Registry::errors_after).
///
/// The default is that of a reader who has read nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorCursor(pub(crate) Position);

impl ErrorCursor {
    /// Entries that newer ones pushed out before the reader came, since the start. Errors that were
    /// [thinned out](crate::Health::errors_thinned) were never entries.
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_at_a_character() {
        assert_eq!(Message::new("boom").as_str(), "boom");
        let long = format!("{}é", "x".repeat(MAX_MESSAGE_BYTES - 1));
        assert_eq!(Message::new(&long).as_str(), &long[..MAX_MESSAGE_BYTES - 1]);
    }
}
