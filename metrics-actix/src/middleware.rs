//! Third floor: what applications wrap around their services.
//!
//! `service.rs` has the middleware, which counts requests; `open.rs` a request that has not ended; `payload.rs` its body
//! and `body.rs` that of its response; `unrendered.rs` the errors of inner middlewares; `marker.rs` the marker of
//! routes.

pub(crate) mod body;
pub(crate) mod marker;
mod open;
mod payload;
pub(crate) mod service;
mod unrendered;
