//! The readers' side: shards are merged into snapshots, and summaries are computed from these.

pub(crate) mod merge_error;
pub(crate) mod reader;
pub(crate) mod snapshot;
pub(crate) mod summary;
