//! Writes a snapshot in a format.

use metrics_core::Snapshot;

use super::exposition::Exposition;
use super::families;
use super::format::Format;
use super::page::Page;
use super::protobuf::Protobuf;
use super::resources::Resources;
use super::text::{Dialect, Text};
use crate::push::ExporterCounts;

impl Exposition {
    /// Writes a snapshot into `buffer`, replacing its content.
    ///
    /// The text formats allocate nothing once the buffer is large enough; protobuf allocates two small lists. With the
    /// default bounds, text takes about 3 KB for each endpoint and status class.
    pub fn render(&self, snapshot: &Snapshot, format: Format, buffer: &mut Vec<u8>) {
        self.render_with(snapshot, &Resources::default(), &[], format, buffer);
    }

    /// Like [`Exposition::render`], and adds the process's resources and the counts of each exporter.
    pub fn render_with(
        &self,
        snapshot: &Snapshot,
        resources: &Resources,
        exporters: &[ExporterCounts],
        format: Format,
        buffer: &mut Vec<u8>,
    ) {
        self.write(snapshot, resources, exporters, format, Page::new(buffer));
    }

    pub(super) fn write(
        &self,
        snapshot: &Snapshot,
        resources: &Resources,
        exporters: &[ExporterCounts],
        format: Format,
        page: Page<'_>,
    ) {
        let since = snapshot.since();
        let dialect = match format {
            Format::Text => Dialect::Classic,
            Format::OpenMetrics => Dialect::OpenMetrics,
            Format::Protobuf => {
                let mut protobuf = Protobuf::new(page, self, since);
                return families::write(
                    snapshot,
                    resources,
                    exporters,
                    self.names,
                    self.top_consumers,
                    &self.judged,
                    &mut protobuf,
                );
            }
        };
        let mut text = Text::new(page, dialect, self, since);
        families::write(
            snapshot,
            resources,
            exporters,
            self.names,
            self.top_consumers,
            &self.judged,
            &mut text,
        );
        text.finish();
    }
}
