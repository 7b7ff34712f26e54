//! Where the figures are sent to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics_core::Registry;
use metrics_export::Service;
use metrics_export::json::ExportersBody;
use metrics_export::push::{Engine, Exporter, ExporterCounts};

use crate::answer;
use crate::builder::{BuildError, Builder, Metrics};
use crate::notable::{Notable, nanos};
use crate::resources::Resources;

/// The destinations that a builder is told of.
#[derive(Default)]
pub(crate) struct Settings(Vec<Box<dyn Exporter>>);

impl Builder {
    /// Has the figures sent to a destination, by a thread of its own; default: they go nowhere. Several times for several
    /// destinations.
    ///
    /// ```
    /// use std::time::Instant;
    /// use metrics_actix::push::{Accepted, Exporter, Failed, Window};
    ///
    /// struct Print;
    ///
    /// impl Exporter for Print {
    ///     fn name(&self) -> &str {
    ///         "print"
    ///     }
    ///     fn export(&mut self, window: &Window, _deadline: Instant) -> Result<Accepted, Failed> {
    ///         println!("{} requests in {:?}", window.calls(), window.figures.span());
    ///         Ok(Accepted::default())
    ///     }
    /// }
    ///
    /// let metrics = metrics_actix::Metrics::builder("orders").exporter(Print).build()?;
    /// # Ok::<(), metrics_actix::BuildError>(())
    /// ```
    pub fn exporter(mut self, exporter: impl Exporter) -> Self {
        self.exporters.0.push(Box::new(exporter));
        self
    }
}

impl Metrics {
    /// What became of what was to be sent, destination by destination.
    pub fn exporters(&self) -> Vec<ExporterCounts> {
        self.shared.exporting.counts()
    }
}

impl Settings {
    /// Whether a destination tells single statuses apart.
    pub(crate) fn want_exact_statuses(&self) -> bool {
        self.0.iter().any(|exporter| exporter.settings().exact_statuses)
    }

    /// Which single requests somebody wants to know of, exemplars included: what took that long.
    pub(crate) fn notable(&self, exemplar: Option<Duration>) -> Notable {
        let settings: Vec<_> = self.0.iter().map(|exporter| exporter.settings()).collect();
        let asking = || settings.iter().filter(|settings| settings.want_requests());
        Notable {
            exemplar_nanos: nanos(exemplar),
            exemplars: exemplar.is_some(),
            slow_nanos: nanos(asking().filter_map(|settings| settings.slow).min()),
            share: asking().map(|settings| settings.sample_rate).fold(0.0, f64::max),
            traces: settings.iter().any(|settings| settings.max_errors > 0 || settings.want_requests()),
        }
    }

    /// Starts to send.
    pub(crate) fn start(
        self,
        service: &Service,
        registry: &Registry,
        resources: &Arc<Resources>,
    ) -> Result<Engine, BuildError> {
        let resources = Arc::clone(resources);
        let engine = Engine::builder(registry.clone(), service.clone()).process(move || resources.process());
        let engine = self.0.into_iter().fold(engine, |engine, exporter| engine.exporter(exporter));
        engine.start().map_err(BuildError::from)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|exporter| exporter.name())).finish()
    }
}

/// The answer of `GET exporters`.
pub(crate) fn answer(engine: &Engine) -> Vec<u8> {
    answer::success(ExportersBody::new(engine.counts()))
}
