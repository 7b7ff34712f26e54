//! Third floor: what applications wrap around their services.
//!
//! `service.rs` has the middleware, which counts requests; `body.rs` the bodies of their responses; `marker.rs` the
//! marker of routes.

pub(crate) mod body;
pub(crate) mod marker;
pub(crate) mod service;
