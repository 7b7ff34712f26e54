//! Single requests that are kept: the error log, the request log, exemplars.

pub(crate) mod error_log;
pub(crate) mod event_log;
pub(crate) mod exemplar;
pub(crate) mod request_log;
