//! The monitor of one service, and what it can be told when it is made.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use metrics_core::Registry;

use crate::endpoints;
use crate::middleware::Middleware;

/// The longest service name, in bytes.
const MAX_SERVICE_BYTES: usize = 128;

/// The monitor of one service. Cheap to clone; clones are the same monitor.
///
/// Make it once, outside the closure that makes the apps, so that all workers share it.
#[derive(Debug, Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: String,
    pub(crate) registry: Registry,
    pub(crate) reset: bool,
}

impl Metrics {
    /// Begins the monitor of a service. The name says which service the figures are of, wherever they are sent.
    pub fn builder(service: impl Into<String>) -> Builder {
        Builder { service: service.into(), registry: None, reset: false }
    }

    /// The middleware that records every request. Wrap it last, so that it is the outermost and sees what the others do.
    pub fn middleware(&self) -> Middleware {
        Middleware::new(Arc::clone(&self.shared))
    }

    /// The endpoints, for [`App::configure`](actix_web::App::configure), under a path such as `/api/metrics`.
    ///
    /// | call | gives |
    /// |---|---|
    /// | `GET summary` | the figures of all requests since the last reset |
    /// | `GET routes` | the figures of each endpoint since the last reset, those with the most calls first |
    /// | `GET errors` | the last errors, newest first |
    /// | `POST reset` | begins a new window, and gives the summary of the one just closed; only where the builder enables it |
    ///
    /// Calls of these endpoints are not in the figures.
    pub fn routes(&self, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
        endpoints::configure(Arc::clone(&self.shared), prefix)
    }

    /// The figures.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The name of the service.
    pub fn service(&self) -> &str {
        &self.shared.service
    }
}

/// Makes [`Metrics`].
#[derive(Debug, Clone)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    service: String,
    registry: Option<Registry>,
    reset: bool,
}

impl Builder {
    /// Where the figures are kept; default: a [`Registry`] of its own with the default settings.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Enables `POST reset` for everybody who can reach the endpoint; default: there is none.
    ///
    /// For development. What is exported as cumulative is not affected by a reset.
    pub fn reset_without_token(mut self) -> Self {
        self.reset = true;
        self
    }

    /// Makes the monitor. The first one in a process calibrates the clock, which takes up to 200 ms.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range; the error says what is allowed.
    pub fn build(self) -> Result<Metrics, BuildError> {
        let valid = (1..=MAX_SERVICE_BYTES).contains(&self.service.len())
            && !self.service.chars().any(char::is_control);
        if !valid {
            return Err(BuildError::Service { name: self.service });
        }
        let registry = self.registry.unwrap_or_default();
        let shared = Arc::new(Shared { service: self.service, registry, reset: self.reset });
        Ok(Metrics { shared })
    }
}

/// A setting that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The name of the service cannot be used as a label.
    #[error("service is {name:?}; allowed: 1 to {MAX_SERVICE_BYTES} bytes without control characters")]
    Service {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_that_is_no_label_is_refused_with_what_is_allowed() {
        for name in ["", "a\nb", &"x".repeat(129)] {
            let error = Metrics::builder(name).build().unwrap_err().to_string();
            assert!(error.ends_with("allowed: 1 to 128 bytes without control characters"), "{error}");
        }
        assert_eq!(Metrics::builder("주문").build().unwrap().service(), "주문");
    }
}
