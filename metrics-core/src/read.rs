//! The readers' side: merges what writers recorded into snapshots and summaries.

pub(crate) mod merge_error;
pub(crate) mod reader;
pub(crate) mod snapshot;
pub(crate) mod summary;
