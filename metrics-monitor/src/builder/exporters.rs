//! The builder's settings for exporters: where figures and errors are sent.

use std::sync::Arc;

use metrics_core::Registry;
use metrics_export::push::{Engine, Exporter, PushSettings, TraceHeaders};

use super::{Builder, Settings};
use crate::background::resources::Resources;
use crate::background::sampler::Sampler;
use crate::build_error::BuildError;
use crate::policy::capture::{CapturePolicy, threshold};

/// # Exporters
impl<H> Builder<H> {
    /// Sends the figures to a destination, on a separate thread; default: they are sent nowhere. Call it once per
    /// destination.
    ///
    /// ```
    /// use std::time::Instant;
    /// use metrics_monitor::push::{Accepted, Exporter, Failed, Window};
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
    /// let monitor = metrics_monitor::Builder::new("orders").exporter(Print).build()?;
    /// # Ok::<(), metrics_monitor::BuildError>(())
    /// ```
    pub fn exporter(mut self, exporter: impl Exporter) -> Self {
        self.settings.exporters.push(Box::new(exporter));
        self
    }
}

impl Settings {
    /// Whether an exporter tells single statuses apart.
    pub(super) fn want_exact_statuses(&self) -> bool {
        self.sending().any(|settings| settings.exact_statuses)
    }

    /// The settings of the exporters that are not off.
    fn sending(&self) -> impl Iterator<Item = PushSettings> {
        let on = self.exporters.iter().filter(|exporter| exporter.off().is_none());
        on.map(|exporter| exporter.settings())
    }

    /// Which requests are captured: for exemplars, and for exporters.
    pub(super) fn capture_policy(&self) -> CapturePolicy {
        let settings: Vec<_> = self.sending().collect();
        let traces = settings.iter().any(|settings| settings.max_errors > 0 || settings.want_requests());
        let stated = settings.iter().find_map(|settings| settings.trace_headers.clone());
        let wanting = || settings.iter().filter(|settings| settings.want_requests());
        CapturePolicy {
            exemplar_nanos: threshold(self.slow),
            exemplars: self.slow.is_some(),
            unsampled_exemplars: self.unsampled_exemplars,
            slow_nanos: threshold(wanting().filter_map(|settings| settings.slow).min()),
            share: wanting().map(|settings| settings.sample_rate).fold(0.0, f64::max),
            trace_headers: match traces {
                true => stated.unwrap_or_else(|| TraceHeaders::DEFAULT.to_vec()),
                false => vec![TraceHeaders::W3c],
            },
            request_id_headers: self.request_id_headers.clone(),
            keep_paths: self.keep_paths,
        }
    }

    /// Starts to send.
    pub(super) fn start_exporting(
        &mut self,
        registry: &Registry,
        resources: &Arc<Resources>,
        sampler: &Arc<Sampler>,
    ) -> Result<Engine, BuildError> {
        let (resources, sampler) = (Arc::clone(resources), Arc::clone(sampler));
        let engine = Engine::builder(registry.clone(), self.service.clone());
        let engine = engine.process(move || {
            sampler.refresh();
            resources.process()
        });
        let engine = self.exporters.drain(..).fold(engine, |engine, exporter| engine.exporter(exporter));
        engine.start().map_err(BuildError::from)
    }
}
