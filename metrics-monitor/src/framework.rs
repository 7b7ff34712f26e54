//! What the integration of a framework adds to the monitor.

use metrics_core::TraceContext;

use crate::background::event_loops::EventLoops;
use crate::monitor::Monitor;

/// The hooks of a framework's integration: settings that name the framework's own types, and the type that
/// [`Builder::build`](crate::Builder::build) returns.
pub trait Framework {
    /// The type that users of the framework hold.
    type Metrics;

    /// Returns whether a hook identifies the consumer of a request; default: `false`.
    fn identifies_consumers(&self) -> bool {
        false
    }

    /// Returns the event loops of the framework's workers; default: none.
    fn event_loops(&self) -> EventLoops {
        EventLoops::default()
    }

    /// Wraps the monitor.
    fn finish(self, monitor: Monitor) -> Self::Metrics;
}

/// Hooks that can name the route of a request: see [`Builder::route_with`](crate::Builder::route_with).
pub trait NameRoutes {
    /// A request of the framework.
    type Request;

    /// Sets the function that names routes.
    #[must_use]
    fn route_with<N: Into<String>>(
        self,
        name: impl Fn(&Self::Request) -> Option<N> + Send + Sync + 'static,
    ) -> Self;
}

/// Hooks that can read the trace of a request: see [`Builder::trace_context`](crate::Builder::trace_context).
pub trait ReadTraces {
    /// A request of the framework.
    type Request;

    /// Sets the function that reads traces.
    #[must_use]
    fn trace_context(
        self,
        read: impl Fn(&Self::Request) -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self;
}

/// No framework: [`Builder::build`](crate::Builder::build) returns the [`Monitor`] itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Framework for NoHooks {
    type Metrics = Monitor;

    fn finish(self, monitor: Monitor) -> Monitor {
        monitor
    }
}
