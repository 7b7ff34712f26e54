//! What the builder takes that names actix-web's types.

use std::fmt;
use std::sync::Arc;

use actix_web::{Error, HttpRequest};
use metrics_monitor::policy::consumers::Identity;
use metrics_monitor::{EventLoops, Framework, Monitor};

use crate::metrics::Metrics;
use crate::request::consumer::{Identify, Source};
use crate::request::event_loops;
use crate::shared::{ErrorMessage, Shared};

/// Makes [`Metrics`]. Begin with [`Metrics::builder`].
pub type Builder = metrics_monitor::Builder<Hooks>;

impl Metrics {
    /// Begins the monitor of a service. The name says which service the figures are of, wherever they are sent.
    pub fn builder(service: impl Into<String>) -> Builder {
        metrics_monitor::Builder::new(service).hooks(Hooks::new())
    }
}

/// The hooks of an application: functions of actix-web's own types, for [`Builder::hooks`].
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
    event_loops: Arc<event_loops::EventLoops>,
}

impl Hooks {
    /// No hooks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts calls by what this returns for a request, as [`Builder::api_key_header`] does by a header; `None` is
    /// `_anonymous`. Default: the header, if one is set.
    ///
    /// Called on the worker, after the response is made, so the request's extensions have what inner middlewares left
    /// there. Not called for requests that the service refuses (401, 403).
    pub fn consumer(
        mut self,
        identify: impl Fn(&HttpRequest) -> Option<Identity> + Send + Sync + 'static,
    ) -> Self {
        self.consumer = Some(Box::new(identify));
        self
    }

    /// The text that is shown of an error among the recent errors; default: its `Display`.
    ///
    /// Either is made one line, control characters escaped, and cut to 256 bytes. Whoever may read the endpoints sees
    /// it, so leave out what they must not see. (actix-web's own errors of queries and of JSON bodies can quote a value
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
        let Self { consumer, error_message, event_loops } = self;
        let consumers = Source::new(consumer, monitor.policy().consumers.as_ref());
        Metrics::new(Shared { monitor, consumers, error_message, event_loops })
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("consumer", &self.consumer.is_some())
            .field("error_message", &self.error_message.is_some())
            .finish_non_exhaustive()
    }
}
