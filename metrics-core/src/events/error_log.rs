//! The log of failed requests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::events::context::{EventDetails, RequestDetails};
use crate::events::error_priority::{ErrorPriority, places};
use crate::events::event_log::{EventLog, Position};
use crate::labels::consumer::Consumers;
use crate::labels::endpoint::{EndpointId, EndpointName, Endpoints};
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceContext;
use crate::text::each_visible;

/// What turns the ids in an entry into names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) consumers: &'a Consumers,
}

/// The latest errors of each priority: one log for each, so that a flood of one priority evicts nothing of the others.
#[derive(Debug)]
pub(crate) struct ErrorLog {
    /// In the order of [`ErrorPriority::ALL`].
    logs: [EventLog<ErrorEvent>; 4],
}

impl ErrorLog {
    /// Each priority has `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { logs: std::array::from_fn(|_| EventLog::new(capacity)) }
    }

    /// Entries of each priority.
    pub(crate) fn capacity(&self) -> usize {
        self.logs[0].capacity()
    }

    /// What each priority's [`Budget`](crate::events::event_log::Budget) needs to know of the log.
    pub(crate) fn nanos_an_entry(&self) -> u64 {
        self.logs[0].nanos_an_entry()
    }

    pub(crate) fn push(&self, priority: ErrorPriority, event: ErrorEvent) {
        self.logs[priority as usize].push(event);
    }

    /// The errors of the current window, newest first: at most the capacity of one priority, split among all of them.
    pub(crate) fn recent(&self, names: Names<'_>) -> Vec<RecentError> {
        self.list(names, false)
    }

    /// Like [`ErrorLog::recent`], and begins an empty window. Each entry is in exactly one window.
    pub(crate) fn end_window(&self, names: Names<'_>) -> Vec<RecentError> {
        self.list(names, true)
    }

    fn list(&self, names: Names<'_>, ends_window: bool) -> Vec<RecentError> {
        let mut listed = self.logs.each_ref().map(|log| {
            let mut recent = log.drain();
            let errors: Vec<_> = recent.window().map(|event| event.resolve(names)).collect();
            if ends_window {
                recent.begin_window();
            }
            errors
        });
        let places = places(listed.each_ref().map(Vec::len), self.capacity());
        let newest = listed.iter_mut().zip(places);
        let mut errors: Vec<_> =
            newest.flat_map(|(errors, places)| errors.split_off(errors.len() - places)).collect();
        errors.sort_by_key(|error| error.time);
        errors.reverse();
        errors
    }

    /// The entries after the cursor, oldest first.
    pub(crate) fn after(&self, cursor: &mut ErrorCursor, names: Names<'_>) -> Vec<RecentError> {
        let logs = self.logs.iter().zip(&mut cursor.0);
        let mut errors: Vec<_> =
            logs.flat_map(|(log, position)| log.after(position, |event| event.resolve(names))).collect();
        errors.sort_by_key(|error| error.time);
        errors
    }

    /// Entries of each priority that newer ones evicted.
    pub(crate) fn evicted(&self) -> [u64; 4] {
        self.logs.each_ref().map(EventLog::evicted)
    }
}

/// Errors of one priority that were counted but are not in the error log: see
/// [`Registry::errors_missing`](crate::Registry::errors_missing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorsMissing {
    /// Their priority.
    pub priority: ErrorPriority,
    /// Entries since the start that newer ones of the same priority evicted.
    pub evicted: u64,
    /// Errors since the start that came too fast to be logged.
    pub thinned: u64,
}

/// The longest message of an entry, in bytes. A longer one is cut at a character boundary, and
/// [hidden](crate::is_hidden) characters are escaped.
pub const MAX_MESSAGE_BYTES: usize = 256;

/// One failed request. Heap memory is only for its id and its path, if it has these.
#[derive(Debug, Clone)]
pub(crate) struct ErrorEvent {
    pub(crate) time: SystemTime,
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) nanos: u64,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) details: EventDetails,
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
        let (mut bytes, mut len) = ([0; MAX_MESSAGE_BYTES], 0);
        each_visible(text, MAX_MESSAGE_BYTES, |piece| {
            bytes[len..len + piece.len()].copy_from_slice(piece.as_bytes());
            len += piece.len();
        });
        Self { len: len as u16, bytes }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Always UTF-8: it was cut from a `str` at a character boundary.
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
    /// The endpoint of the request.
    pub endpoint: Arc<EndpointName>,
    /// How the request ended.
    pub outcome: Outcome,
    /// How long the request took.
    pub response_time: Duration,
    /// The service's message; at most [`MAX_MESSAGE_BYTES`] bytes.
    pub message: String,
    /// Its position in a trace, if it was logged with one: see [`Recorder::log_error`](crate::Recorder::log_error).
    #[serde(default)]
    pub trace: Option<TraceContext>,
    /// Further details of the request, as far as they were logged.
    #[serde(default)]
    pub details: RequestDetails,
}

impl RecentError {
    /// Returns how much the error matters.
    pub fn priority(&self) -> ErrorPriority {
        ErrorPriority::of(&self.endpoint, self.outcome)
    }
}

impl ErrorEvent {
    /// The entry with the name of its endpoint.
    pub(crate) fn resolve(&self, names: Names<'_>) -> RecentError {
        RecentError {
            time: self.time,
            endpoint: names.endpoints.name(self.endpoint),
            outcome: self.outcome,
            response_time: Duration::from_nanos(self.nanos),
            message: self.message.as_str().to_owned(),
            trace: self.trace,
            details: self.details.resolve(names.consumers),
        }
    }
}

/// How far a reader has read the error log: see [`Registry::errors_after`](crate::Registry::errors_after).
///
/// The default is the position before the first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorCursor(
    /// In the order of [`ErrorPriority::ALL`].
    [Position; 4],
);

impl ErrorCursor {
    /// Returns the number of entries since the start that newer ones evicted before the reader got to them. Errors that
    /// were [thinned out](crate::Health::errors_thinned) were never entries.
    pub fn missed(&self) -> u64 {
        self.0.iter().map(Position::missed).sum()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_would_reorder_text_is_escaped_within_its_bytes() {
        let shown = |text: &str| Message::new(text).as_str().to_owned();
        assert_eq!(shown("no \u{202e}kcots\n\u{85}"), r"no \u{202e}kcots\n\u{85}");
        let long = shown(&"\u{2066}".repeat(100));
        assert_eq!((long.len(), long.ends_with('}')), (MAX_MESSAGE_BYTES / 8 * 8, true));
        assert_eq!(shown(&"é".repeat(200)).len(), MAX_MESSAGE_BYTES);
    }

    #[test]
    fn a_message_is_cut_at_a_character_boundary() {
        assert_eq!(Message::new("boom").as_str(), "boom");
        let long = format!("{}é", "x".repeat(MAX_MESSAGE_BYTES - 1));
        assert_eq!(Message::new(&long).as_str(), &long[..MAX_MESSAGE_BYTES - 1]);
    }
}
