//! What each format implements. It receives one family after the other.

use metrics_core::{Exemplar, Version};

use super::durations::Durations;
use super::family::Family;
use super::labels::Label;
use super::page::Page;

/// A value that is not a histogram.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Count(u64),
    /// Written in seconds.
    Nanos(u64),
    Number(f64),
}

/// Writes families and their series in one format.
pub(crate) trait Encoder<'a> {
    /// Where it writes.
    fn page(&mut self) -> &mut Page<'a>;

    /// Writes series of the current family, unless the page can take them over from the last scrape: they are the same
    /// as long as this version and this exemplar are.
    fn part(&mut self, version: Option<Version>, exemplar: Option<&Exemplar>, write: impl FnOnce(&mut Self)) {
        if self.page().take_over(version, exemplar) {
            return;
        }
        let begin = self.page().position();
        write(self);
        self.page().end_part(begin, version, exemplar);
    }

    /// Whether every series has a constant label of this name.
    fn has_constant_label(&self, name: &str) -> bool;
    /// The following series are of this endpoint, and their first two labels are always the same.
    fn of_endpoint(&mut self, _number: usize) {}
    /// Begins a family. A family without series is not written.
    fn begin(&mut self, family: Family<'a>);
    /// Writes one series of a family of counters or gauges.
    fn value(&mut self, labels: &[Label<'_>], value: Value);
    /// Writes one series of a family of histograms.
    fn histogram(&mut self, labels: &[Label<'_>], durations: &Durations<'_>);
    /// Ends the family.
    fn end(&mut self);
}

/// Writes a family with one series and no labels.
pub(crate) fn single<'a>(family: &'static Family<'static>, value: Value, to: &mut impl Encoder<'a>) {
    to.begin(*family);
    to.value(&[], value);
    to.end();
}
