//! Middlewares: what each costs a request that goes through an app.
//!
//! The app is the same for every [`Arm`] but for what is wrapped around it. Requests go in as a server's worker
//! would hand them over, and responses are used up as it would, without the server: see [`Caller`].

mod app;
mod arm;
mod calls;
mod clock;
mod measure;
mod peers;
mod shape;
mod sink;

pub use arm::{Arm, Entry, Visitor};
pub use calls::{Caller, Meter};
pub use measure::{comparison, measure};
pub use shape::Shape;
