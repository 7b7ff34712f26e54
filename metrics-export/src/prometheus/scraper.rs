//! A scrape that keeps its text for the next one.

use std::time::SystemTime;

use metrics_core::Snapshot;

use super::exposition::Exposition;
use super::format::Format;
use super::known_labels::KnownLabels;
use super::page::{Mode, Page, Plan, Splice};
use super::resources::Resources;
use crate::push::ExporterCounts;

/// Renders successive snapshots of one registry in one format, and only writes what changed since the last one.
///
/// The bytes are those of [`Exposition::render_with`]. If a few endpoints changed, only the parts of the text about
/// them are written; the others stay where they are, or move by a few bytes. What is kept is bounded by
/// [`ExpositionBuilder::kept_bytes`](super::ExpositionBuilder::kept_bytes); a longer text is written as a whole, and
/// only its labels of endpoints are kept, if they fit.
///
/// From the fourth scrape on, nothing is allocated, unless there are new series, the text is not kept, or scrapes in
/// which most of the text changes alternate with others.
#[derive(Debug)]
pub struct Scraper {
    exposition: Exposition,
    format: Format,
    /// When the counting began of what is kept; `None` if nothing is kept.
    since: Option<SystemTime>,
    text: Vec<u8>,
    /// What the last scrape wrote, if it took over the rest.
    written: Vec<u8>,
    plan: Plan,
    known_labels: KnownLabels,
    /// The length of the last text.
    len: usize,
}

impl Scraper {
    /// Creates a scraper that keeps nothing yet.
    pub fn new(exposition: Exposition, format: Format) -> Self {
        let (text, written, plan, known_labels) = Default::default();
        Self { exposition, format, since: None, text, written, plan, known_labels, len: 0 }
    }

    /// Returns the format in which it renders.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns the memory of what is kept, in bytes.
    pub fn kept_bytes(&self) -> usize {
        self.text.capacity() + self.written.capacity() + self.plan.bytes() + self.known_labels.bytes()
    }

    /// Returns the bytes that the last scrape wrote, as opposed to those that it took over.
    pub fn written_bytes(&self) -> usize {
        self.len - self.plan.splices().iter().map(|splice| splice.len).sum::<usize>()
    }

    /// Renders a snapshot, and returns what is kept. `None` if that is too long to be kept: it is in `spare`, which is
    /// empty otherwise.
    pub fn render(
        &mut self,
        snapshot: &Snapshot,
        resources: &Resources,
        exporters: &[ExporterCounts],
        spare: &mut Vec<u8>,
    ) -> Option<&[u8]> {
        spare.clear();
        let limit = self.exposition.kept_bytes;
        if self.len > limit {
            spare.reserve(self.len);
            let page = Page::new(spare).with_labels(&mut self.known_labels);
            self.exposition.write(snapshot, resources, exporters, self.format, page);
            if self.kept_bytes() > limit {
                self.known_labels = KnownLabels::default();
            }
            self.len = spare.len();
            return None;
        }
        // The times at which counters began are in the text, and of one registry they never change.
        if self.since.replace(snapshot.since()) != Some(snapshot.since()) {
            self.plan = Plan::default();
        }
        let mode = self.plan.mode();
        let out = if mode == Mode::Rewrite { &mut self.text } else { &mut self.written };
        let page = Page::with(out, &mut self.plan).with_labels(&mut self.known_labels);
        self.exposition.write(snapshot, resources, exporters, self.format, page);
        if mode == Mode::Splice {
            assemble(&mut self.text, &self.written, self.plan.splices());
        }
        self.len = self.text.len();
        self.plan.end(self.len);
        trim(&mut self.text);
        if self.kept_bytes() > limit {
            self.written = Vec::new();
        }
        if self.kept_bytes() > limit {
            (self.since, self.plan, self.known_labels) = Default::default();
            *spare = std::mem::take(&mut self.text);
            return None;
        }
        Some(&self.text)
    }
}

/// Gives back what doubling the buffer left unused, but for room for a text that grows a little.
fn trim(text: &mut Vec<u8>) {
    if text.capacity() > text.len() + text.len() / 16 {
        text.shrink_to(text.len() + text.len() / 64);
    }
}

/// Makes the new text: what was written, with the splices from the last text, which is `text`.
///
/// What is taken over moves within `text`. That needs no second buffer: all splices are in the order of their places,
/// so one that moves towards the beginning never covers one that still has to move, if those are moved from the
/// first to the last, and the others after that from the last to the first.
fn assemble(text: &mut Vec<u8>, written: &[u8], splices: &[Splice]) {
    let taken_over: usize = splices.iter().map(|splice| splice.len).sum();
    let len = written.len() + taken_over;
    if text.len() < len {
        text.resize(len, 0);
    }
    let mut taken_over = 0;
    for splice in splices {
        let to = splice.at + taken_over;
        if to < splice.from {
            text.copy_within(splice.from..splice.from + splice.len, to);
        }
        taken_over += splice.len;
    }
    let mut end = len;
    let mut rest = written.len();
    for splice in splices.iter().rev() {
        // What was written behind this splice ends at `end`, but its place may still be taken by an earlier splice.
        end -= rest - splice.at;
        rest = splice.at;
        end -= splice.len;
        if end > splice.from {
            text.copy_within(splice.from..splice.from + splice.len, end);
        }
    }
    let (mut to, mut from) = (0, 0);
    for &Splice { at, len, .. } in splices {
        text[to..to + (at - from)].copy_from_slice(&written[from..at]);
        to += at - from + len;
        from = at;
    }
    text[to..len].copy_from_slice(&written[from..]);
    text.truncate(len);
}
