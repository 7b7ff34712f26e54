//! Ground floor: what to keep of requests, and who may read it. Plain values, fixed when the monitor is built.

pub(crate) mod access;
pub(crate) mod busy;
pub mod capture;
pub mod consumers;
pub(crate) mod denials;
pub mod exclusions;
pub mod headers;
pub(crate) mod hosts;
pub mod message;
pub mod mistakes;
pub(crate) mod origin;
pub mod peer;
pub(crate) mod tokens;
pub mod trace;

use std::sync::Arc;

use capture::CapturePolicy;
use consumers::Consumers;
use exclusions::Exclusions;
use mistakes::Mistakes;

/// When the timing of a request stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Until {
    /// When the head of the response is handed to the server.
    #[default]
    Head,
    /// When the last byte of the response's body is handed to the server, or the body breaks off.
    ///
    /// The request counts as in flight until then (on a marked route, until its head). Responses without a body end
    /// with their head. So do those that stay open indefinitely and would distort the percentiles: 101, and streams of
    /// `text/event-stream`.
    BodyEnd,
}

/// The settings that a framework's middleware follows for each request.
#[derive(Debug)]
pub struct Policy {
    /// When the timing of a request stops.
    pub measure: Until,
    /// Which single requests are kept.
    pub capture: CapturePolicy,
    /// Requests that are not counted.
    pub exclusions: Exclusions,
    /// How consumers are identified; `None` if they are not counted.
    pub consumers: Option<Consumers>,
    /// Mistakes in how the application uses the monitor.
    pub mistakes: Arc<Mistakes>,
}
