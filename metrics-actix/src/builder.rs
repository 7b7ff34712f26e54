//! The parts of the builder that use actix-web's types.

use std::fmt;
use std::sync::Arc;

use actix_web::{Error, HttpRequest};
use metrics_core::TraceContext;
use metrics_monitor::policy::consumers::Identity;
use metrics_monitor::{EventLoops, Framework, Monitor, NameRoutes, ReadTraces};

use crate::metrics::Metrics;
use crate::request::consumer::{Identify, Source};
use crate::request::context::{ReadTrace, TraceSources};
use crate::request::event_loops;
use crate::request::mounts::Mounts;
use crate::seen_routes::RouteWith;
use crate::shared::{ErrorMessage, Shared};

/// Builds [`Metrics`]. Start with [`Metrics::builder`].
pub type Builder = metrics_monitor::Builder<Hooks>;

impl Metrics {
    /// Creates a builder for the monitor of a service. The name is sent to all destinations.
    pub fn builder(service: impl Into<String>) -> Builder {
        metrics_monitor::Builder::new(service).hooks(Hooks::new())
    }
}

/// Functions of the application that receive actix-web's own types, for [`Builder::hooks`].
///
/// ```
/// use metrics_actix::{Hooks, Identity, Metrics};
/// let hooks = Hooks::new()
///     .consumer(|request| {
///         let tenant = request.match_info().get("tenant")?;
///         Some(Identity::Name(tenant.to_owned()))
///     })
///     .error_message(|error| error.as_response_error().status_code().to_string());
/// let metrics = Metrics::builder("orders").hooks(hooks).build()?;
/// # Ok::<(), metrics_actix::BuildError>(())
/// ```
#[derive(Default)]
#[must_use = "hooks do nothing unless a builder gets them"]
pub struct Hooks {
    consumer: Option<Box<Identify>>,
    error_message: Option<Box<ErrorMessage>>,
    route_with: Option<Box<RouteWith>>,
    trace_context: Option<Box<ReadTrace>>,
    event_loops: Arc<event_loops::EventLoops>,
}

impl Hooks {
    /// Creates an empty set of hooks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the function that returns the consumer of a request; `None` counts as `_anonymous`. Default: the header of
    /// [`Builder::api_key_header`], if one is set.
    ///
    /// Called on the worker, once the response exists, so it can read what inner middleware left in the request's
    /// extensions. Not called for requests that the service refuses (401, 403).
    pub fn consumer(
        mut self,
        identify: impl Fn(&HttpRequest) -> Option<Identity> + Send + Sync + 'static,
    ) -> Self {
        self.consumer = Some(Box::new(identify));
        self
    }

    /// Sets the function that names the route of a request, like [`Builder::route_with`].
    ///
    /// Example: one path for GraphQL. Its handler knows the operation, and leaves it in the request's extensions:
    ///
    /// ```
    /// use actix_web::{HttpMessage, HttpRequest, web};
    /// use metrics_actix::Metrics;
    ///
    /// /// The operations that this service has; a client can send any name.
    /// const OPERATIONS: [&str; 3] = ["Orders", "Order", "PlaceOrder"];
    ///
    /// /// The operation of a request.
    /// struct Operation(&'static str);
    ///
    /// async fn graphql(request: HttpRequest, body: web::Json<std::collections::HashMap<String, String>>) -> &'static str {
    ///     let name = body.get("operationName").and_then(|name| OPERATIONS.into_iter().find(|known| known == name));
    ///     request.extensions_mut().insert(Operation(name.unwrap_or("other")));
    ///     "{}"
    /// }
    ///
    /// let metrics = Metrics::builder("orders")
    ///     .route_with(|request| {
    ///         let extensions = request.extensions();
    ///         extensions.get::<Operation>().map(|operation| format!("/graphql {}", operation.0))
    ///     })
    ///     .build()?;
    /// # Ok::<(), metrics_actix::BuildError>(())
    /// ```
    ///
    /// Example: a proxy's default service, by the first segment of the path, if that is known:
    ///
    /// ```
    /// # use metrics_actix::Metrics;
    /// let metrics = Metrics::builder("gateway").route_with(|request| match request.path().split('/').nth(1) {
    ///     Some("orders") => Some("/orders/{path}*"),
    ///     Some("users") => Some("/users/{path}*"),
    ///     _ => None, // as without the hook: `_unmatched`
    /// });
    /// ```
    pub fn route_with<N: Into<String>>(
        mut self,
        name: impl Fn(&HttpRequest) -> Option<N> + Send + Sync + 'static,
    ) -> Self {
        self.route_with = Some(Box::new(move |request| name(request).map(Into::into)));
        self
    }

    /// Sets the function that reads the trace of a failed or slow request, like [`Builder::trace_context`].
    ///
    /// Example: a middleware that starts traces and leaves their ids in the request's extensions, as those of
    /// OpenTelemetry do:
    ///
    /// ```
    /// use actix_web::HttpMessage;
    /// use metrics_actix::Metrics;
    /// use metrics_core::{TraceContext, TraceId};
    ///
    /// /// What the application's own middleware leaves in the extensions of a request.
    /// struct Trace(u128);
    ///
    /// let metrics = Metrics::builder("orders")
    ///     .trace_context(|request| {
    ///         let trace = TraceId::new(request.extensions().get::<Trace>()?.0)?;
    ///         Some(TraceContext { trace, parent: None, sampled: true })
    ///     })
    ///     .build()?;
    /// # Ok::<(), metrics_actix::BuildError>(())
    /// ```
    pub fn trace_context(
        mut self,
        read: impl Fn(&HttpRequest) -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self {
        self.trace_context = Some(Box::new(read));
        self
    }

    /// Sets the text shown for an error among the recent errors; default: its `Display`.
    ///
    /// The text is put on one line, with control characters escaped, and cut to 256 bytes. Everybody who may read the
    /// endpoints sees it, so leave out secrets. (actix-web's own errors for queries and JSON bodies can quote a value
    /// that the client sent.)
    pub fn error_message(mut self, message: impl Fn(&Error) -> String + Send + Sync + 'static) -> Self {
        self.error_message = Some(Box::new(message));
        self
    }
}

impl Framework for Hooks {
    type Metrics = Metrics;

    fn identifies_consumers(&self) -> bool {
        self.consumer.is_some()
    }

    fn event_loops(&self) -> EventLoops {
        let event_loops = Arc::clone(&self.event_loops);
        EventLoops::new(move || event_loops.take())
    }

    fn finish(self, monitor: Monitor) -> Metrics {
        let Self { consumer, error_message, route_with, trace_context, event_loops } = self;
        let consumers = Source::new(consumer, monitor.policy().consumers.as_ref());
        let traces = TraceSources::new(trace_context, &monitor.policy().capture);
        let mounts = Mounts::default();
        Metrics::new(Shared { monitor, consumers, error_message, route_with, traces, event_loops, mounts })
    }
}

impl NameRoutes for Hooks {
    type Request = HttpRequest;

    fn route_with<N: Into<String>>(
        self,
        name: impl Fn(&HttpRequest) -> Option<N> + Send + Sync + 'static,
    ) -> Self {
        Hooks::route_with(self, name)
    }
}

impl ReadTraces for Hooks {
    type Request = HttpRequest;

    fn trace_context(
        self,
        read: impl Fn(&HttpRequest) -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self {
        Hooks::trace_context(self, read)
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("consumer", &self.consumer.is_some())
            .field("error_message", &self.error_message.is_some())
            .field("route_with", &self.route_with.is_some())
            .field("trace_context", &self.trace_context.is_some())
            .finish_non_exhaustive()
    }
}
