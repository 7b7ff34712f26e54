//! Middlewares: how much each adds to a request that goes through an app.
//!
//! Every [`Arm`] wraps something else around the same app. A [`Caller`] hands in requests and consumes responses as a
//! server's worker does, without the server.

mod app;
mod arm;
mod calls;
mod clock;
mod measure;
mod peers;
mod shape;
mod sink;

pub(crate) use arm::EXPORTING;
pub use arm::{AppService, Arm, Visitor};
pub use calls::{Caller, Meter};
pub use measure::{comparison, measure};
pub use shape::Shape;
