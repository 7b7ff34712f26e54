//! What identifies a single request: its trace, its consumer, its id, its path, and the worker that served it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::labels::consumer::{Consumer, Consumers};
use crate::labels::trace::TraceContext;
use crate::text::visible;

/// The longest id of a request that is kept, in bytes. A longer one is cut at a character boundary.
pub const MAX_REQUEST_ID_BYTES: usize = 64;

/// The longest path that is kept, in bytes. A longer one is cut at a character boundary.
pub const MAX_PATH_BYTES: usize = 128;

/// What the caller of [`Recorder::log_error`](crate::Recorder::log_error) knows of a request besides its figures. All
/// of it is what a client claims, except for what the caller has checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestContext<'a> {
    /// Its position in a trace.
    pub trace: Option<TraceContext>,
    /// The consumer that it is counted for.
    pub consumer: Option<Consumer>,
    /// Its id, as in `x-request-id`; at most [`MAX_REQUEST_ID_BYTES`] are kept.
    pub request_id: Option<&'a str>,
    /// Its path without its query; at most [`MAX_PATH_BYTES`] are kept. Paths can hold secrets, so pass it only if the
    /// application allows that.
    pub path: Option<&'a str>,
}

impl From<Option<TraceContext>> for RequestContext<'_> {
    fn from(trace: Option<TraceContext>) -> Self {
        Self { trace, ..Self::default() }
    }
}

/// What was kept of a request besides its figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RequestDetails {
    /// The name of the consumer that it is counted for.
    pub consumer: Option<Arc<str>>,
    /// Its id, as the client or a proxy sent it; at most [`MAX_REQUEST_ID_BYTES`] bytes.
    pub request_id: Option<Arc<str>>,
    /// Its path without its query; at most [`MAX_PATH_BYTES`] bytes.
    pub path: Option<Arc<str>>,
    /// The recorder that counted it: recorders are numbered from 0, in the order in which the most lived at once.
    pub worker: Option<u32>,
}

/// [`RequestDetails`] as an event has them. Takes heap memory only for texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventDetails {
    pub(crate) consumer: Option<Consumer>,
    pub(crate) request_id: Option<Arc<str>>,
    pub(crate) path: Option<Arc<str>>,
    pub(crate) worker: u32,
}

impl EventDetails {
    pub(crate) fn new(context: &RequestContext<'_>, worker: u32) -> Self {
        let text = |text: Option<&str>, bytes| {
            text.filter(|text| !text.is_empty()).map(|text| Arc::from(&*visible(text, bytes)))
        };
        Self {
            consumer: context.consumer,
            request_id: text(context.request_id, MAX_REQUEST_ID_BYTES),
            path: text(context.path.map(without_query), MAX_PATH_BYTES),
            worker,
        }
    }

    /// The details with the name of the consumer.
    pub(crate) fn resolve(&self, consumers: &Consumers) -> RequestDetails {
        RequestDetails {
            consumer: self.consumer.map(|consumer| consumers.name(consumer)),
            request_id: self.request_id.clone(),
            path: self.path.clone(),
            worker: Some(self.worker),
        }
    }

    /// The heap memory of its texts, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        // Each text is after two counts of references.
        let bytes = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len() + 16);
        bytes(&self.request_id) + bytes(&self.path)
    }
}

/// A path without its query and fragment, which a caller may have left on it.
pub(crate) fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_visible_and_without_a_query() {
        let (id, path) = ("\u{202e}".repeat(100), format!("/reset/{}?token=secret", "x".repeat(200)));
        let context =
            RequestContext { request_id: Some(&id), path: Some(&path), ..RequestContext::default() };
        let details = EventDetails::new(&context, 3);
        let (id, path) = (details.request_id.clone().unwrap(), details.path.clone().unwrap());
        assert!(id.len() <= MAX_REQUEST_ID_BYTES && id.starts_with("\\u{202e}"), "{id}");
        assert!(path.len() == MAX_PATH_BYTES && path.starts_with("/reset/xxx"), "{path}");
        let context = RequestContext { path: Some("/a?token=secret"), ..RequestContext::default() };
        assert_eq!(EventDetails::new(&context, 0).path.as_deref(), Some("/a"));
        let nothing = RequestContext { request_id: Some(""), ..RequestContext::default() };
        assert_eq!(EventDetails::new(&nothing, 0).request_id, None);
    }
}
