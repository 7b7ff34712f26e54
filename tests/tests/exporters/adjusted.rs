//! An exporter with other settings than those that its builder gives, so that a test need not wait as long.

use std::time::Instant;

use metrics_actix::push::{Accepted, Exporter, Failed, Settings, Window};

pub(crate) struct Adjusted<E> {
    pub(crate) inner: E,
    pub(crate) adjust: fn(&mut Settings),
}

impl<E: Exporter> Exporter for Adjusted<E> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn settings(&self) -> Settings {
        let mut settings = self.inner.settings();
        (self.adjust)(&mut settings);
        settings
    }

    fn is_idle(&mut self, window: &Window) -> bool {
        self.inner.is_idle(window)
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        self.inner.export(window, deadline)
    }
}
