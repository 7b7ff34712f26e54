//! What all workers of a monitor share.

use std::fmt;
use std::sync::Arc;

use actix_web::Error;
use metrics_monitor::Monitor;
use metrics_monitor::policy::message;

use crate::request::consumer::Source;
use crate::request::context::TraceSources;
use crate::request::event_loops::EventLoops;
use crate::request::mounts::Mounts;
use crate::seen_routes::RouteWith;

/// The application's hook for the messages of errors.
pub(crate) type ErrorMessage = dyn Fn(&Error) -> String + Send + Sync;

/// The monitor, and the hooks that name actix-web's types.
pub(crate) struct Shared {
    pub(crate) monitor: Monitor,
    pub(crate) consumers: Option<Source>,
    pub(crate) error_message: Option<Box<ErrorMessage>>,
    pub(crate) route_with: Option<Box<RouteWith>>,
    pub(crate) traces: TraceSources,
    pub(crate) event_loops: Arc<EventLoops>,
    pub(crate) mounts: Mounts,
}

impl Shared {
    /// What is kept of an error's text.
    pub(crate) fn error_message(&self, error: &Error) -> String {
        match &self.error_message {
            Some(hook) => message::line(&hook(error)),
            None => message::line(error),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("monitor", &self.monitor).finish_non_exhaustive()
    }
}
