//! Ground floor: what is read of one request, and of the event loop it runs on.

pub(crate) mod consumer;
pub(crate) mod context;
pub(crate) mod event_loops;
pub(crate) mod headers;
pub(crate) mod method;
pub(crate) mod mounts;
pub(crate) mod patterns;
pub(crate) mod read_bytes;
pub(crate) mod resources;
pub(crate) mod route;
pub(crate) mod skeleton;
pub(crate) mod span;
