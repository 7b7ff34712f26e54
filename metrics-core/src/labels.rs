//! The names that figures are counted under: endpoints, consumers, methods, outcomes, traces, own metrics.

pub(crate) mod consumer;
pub(crate) mod endpoint;
pub(crate) mod label_set;
pub(crate) mod method;
pub(crate) mod metric_family;
pub(crate) mod metric_kind;
pub(crate) mod metric_names;
pub(crate) mod metric_room;
pub(crate) mod outcome;
pub(crate) mod trace;
