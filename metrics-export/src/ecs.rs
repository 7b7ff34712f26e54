//! Errors and periodic summaries as documents of ECS, the Elastic Common Schema: one JSON object a line.
//!
//! | document | `event.dataset` | what it holds |
//! |---|---|---|
//! | of an error | `http.errors` | a 4xx (`log.level` is `warn`), a 5xx or a panic (`error`): `http.request.method`, `http.response.status_code`, `error.message`, `error.type`, the duration as `event.duration` in nanoseconds, the route as `labels.route` |
//! | of a window | `http.summary` | of all requests, and of each of the endpoints with the most of them: counts, rates and latencies in seconds, under `requests` |
//!
//! `requests` is a name of our own, since the schema has none for figures; everything else is a field of the schema. Each
//! document has an `event.id` that is the same when it is sent again. There are neither paths nor queries nor bodies in it:
//! what a service says of an error is the only free text, and control characters in it are escaped, so a document is always
//! one line.

mod document;
mod file;
mod log;
mod service;

#[cfg(feature = "elasticsearch")]
pub(crate) use self::document::Documents;
pub use self::log::{EcsLog, EcsLogBuilder};
