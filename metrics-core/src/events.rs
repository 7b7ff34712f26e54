//! Logs of single requests: errors, slow and sampled requests, exemplars.

pub(crate) mod context;
pub(crate) mod error_groups;
pub(crate) mod error_log;
pub(crate) mod error_priority;
pub(crate) mod event_log;
pub(crate) mod exemplar;
pub(crate) mod request_log;
pub(crate) mod slow;
