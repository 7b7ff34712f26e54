//! Errors and periodic summaries as documents of ECS, the Elastic Common Schema: one JSON object per line.
//!
//! - `event.dataset` `http.errors`: one document for each 4xx (`log.level` is `warn`), 5xx and panic (`error`), with
//!   `http.request.method`, `http.response.status_code`, `error.message`, `error.type`, the duration as
//!   `event.duration` in nanoseconds, and the route as `labels.route`.
//! - `event.dataset` `http.summary`: for each window, one document of all requests and one for each of the endpoints
//!   with the most calls, with counts, rates and latencies in seconds under `requests`.
//!
//! `requests` is our own name, since the schema has none for such figures; all other fields are the schema's. A
//! document keeps its `event.id` when it is sent again. It contains no paths, queries or bodies: the only free text is
//! the message of an error, whose control characters are escaped, so each document is one line.

mod document;
mod file;
mod log;
mod service;

#[cfg(feature = "elasticsearch")]
pub(crate) use self::document::Documents;
pub use self::log::{EcsLog, EcsLogBuilder};
