//! The consumer of a request: by the application's hook, or by the API key in a header.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use metrics_core::{Consumer, EndpointId, Registry};
use metrics_monitor::policy::consumers::{Consumers, Identity, KnownConsumers};

/// The application's hook.
pub(crate) type Identify = dyn Fn(&HttpRequest) -> Option<Identity> + Send + Sync;

/// Where consumers are read from.
pub(crate) enum Source {
    /// The header with the API key.
    Header(HeaderName),
    /// The application's hook.
    Hook(Box<Identify>),
}

impl Source {
    /// The hook, or else the header that the policy names.
    pub(crate) fn new(hook: Option<Box<Identify>>, consumers: Option<&Consumers>) -> Option<Self> {
        let header = || HeaderName::try_from(consumers?.header()?).ok();
        hook.map(Self::Hook).or_else(|| header().map(Self::Header))
    }

    /// The consumer of a request that was answered.
    pub(crate) fn consumer(
        &self,
        consumers: &Consumers,
        request: &HttpRequest,
        status: StatusCode,
        endpoint: EndpointId,
        registry: &Registry,
        known: &KnownConsumers,
    ) -> Consumer {
        let status = status.as_u16();
        // Of a refused request, the hook is not called.
        if let Some(refused) = Consumers::of_status(status) {
            return refused;
        }
        let route = || Arc::clone(&registry.endpoint_name(endpoint).route);
        let method = request.method().as_str();
        let by_key = |key: &[u8]| consumers.by_key(key, method, status, route, registry, known);
        match self {
            Self::Header(name) => match request.headers().get(name) {
                Some(key) if !key.is_empty() => by_key(key.as_bytes()),
                _ => Consumer::Anonymous,
            },
            Self::Hook(identify) => match identify(request) {
                Some(Identity::Secret(key)) => by_key(key.as_bytes()),
                Some(Identity::Name(name)) => {
                    consumers.by_name(&name, method, status, route, registry, known)
                }
                None => Consumer::Anonymous,
            },
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Self::Hook(_) => f.write_str("Hook(..)"),
        }
    }
}
