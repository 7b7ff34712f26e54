//! The writers' side: recorders, and the shards and cells that they write to.

pub(crate) mod cell;
pub(crate) mod clock;
pub(crate) mod local;
pub(crate) mod pool;
mod prefetch;
pub(crate) mod published;
pub(crate) mod ranks;
pub(crate) mod recorder;
pub(crate) mod shard;
pub(crate) mod shared;
pub(crate) mod slot;
