//! An exporter whose settings are changed after it was built, so that a test waits less.

use std::time::Instant;

use metrics_actix::Service;
use metrics_actix::push::{Accepted, Exporter, Failed, PushSettings, Window};
use metrics_core::InvalidSetting;

/// An exporter and what changes its settings.
#[derive(Debug)]
pub struct Adjusted<E> {
    /// The exporter.
    pub inner: E,
    /// Changes its settings.
    pub adjust: fn(&mut PushSettings),
}

impl<E: Exporter> Exporter for Adjusted<E> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn settings(&self) -> PushSettings {
        let mut settings = self.inner.settings();
        (self.adjust)(&mut settings);
        settings
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.inner.start(service)
    }

    fn is_idle(&mut self, window: &Window) -> bool {
        self.inner.is_idle(window)
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        self.inner.export(window, deadline)
    }
}
