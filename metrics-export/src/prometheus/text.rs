//! The two text formats. The only allocation is the growth of the output buffer.

use std::io::Write;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_core::Exemplar;

use super::bounds::Bound;
use super::durations::{Durations, Totals};
use super::encoder::{Encoder, Value};
use super::exposition::Exposition;
use super::family::{Family, Kind};
use super::labels::{self, Label, TRACE_ID, escape};
use super::page::Page;

/// The text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Version 0.0.4.
    Classic,
    OpenMetrics,
}

/// Writes text.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    page: Page<'a>,
    dialect: Dialect,
    exposition: &'a Exposition,
    /// When counting began, in milliseconds since 1970.
    created_millis: u64,
    family: Option<Family<'a>>,
    /// The endpoint of the series, if they are of one.
    endpoint: Option<usize>,
    /// Where the beginning of the family's lines is in the buffer: up to the first label of each series.
    head: Option<Range<usize>>,
    /// Where its first series begins.
    first_series: usize,
}

impl<'a> Text<'a> {
    pub(crate) fn new(
        page: Page<'a>,
        dialect: Dialect,
        exposition: &'a Exposition,
        since: SystemTime,
    ) -> Self {
        Self {
            page,
            dialect,
            exposition,
            created_millis: millis(since),
            family: None,
            endpoint: None,
            head: None,
            first_series: 0,
        }
    }

    /// Ends the exposition.
    pub(crate) fn finish(mut self) {
        if self.dialect == Dialect::OpenMetrics {
            self.text("# EOF\n");
        }
    }

    /// The suffix of a family's name in its `# HELP`, `# TYPE` and `# UNIT` lines: OpenMetrics leaves out a counter's.
    fn family_suffix(&self, family: &Family<'_>) -> &'static str {
        match (family.kind, self.dialect) {
            (Kind::Counter, Dialect::Classic) => "_total",
            _ => "",
        }
    }

    /// Writes the beginning of a `# HELP`, `# TYPE` or `# UNIT` line.
    fn about(&mut self, family: &Family<'_>, what: &str) {
        self.text("# ");
        self.text(what);
        self.text(" ");
        family.name.write(self.page.out);
        self.text(self.family_suffix(family));
        self.text(" ");
    }

    /// Writes the beginning of a line, up to the last label. Returns where the labels are in the buffer.
    /// All series of a family have the same suffix here.
    fn series(&mut self, family: &Family<'_>, suffix: &str, labels: &[Label<'_>]) -> Range<usize> {
        let constant = &self.exposition.constant_text;
        let begin = self.page.out.len();
        if let Some(head) = &self.head {
            self.page.out.extend_from_within(head.clone());
        } else {
            family.name.write(self.page.out);
            self.text(suffix);
            if labels.is_empty() && constant.is_empty() {
                return self.page.out.len()..self.page.out.len();
            }
            self.page.out.push(b'{');
            self.page.out.extend_from_slice(constant.as_bytes());
            self.head = Some(begin..self.page.out.len());
        }
        let begin = self.page.out.len() - constant.len();
        let Page { out, known_labels, .. } = &mut self.page;
        let mut labels = labels;
        if let (Some(endpoint), Some(known), [method, route, rest @ ..]) =
            (self.endpoint, known_labels, labels)
        {
            labels = rest;
            match known.get(endpoint) {
                Some(text) => out.extend_from_slice(text),
                None => {
                    let from = out.len();
                    write_labels(out, &[*method, *route], !constant.is_empty());
                    known.add(endpoint, &out[from..]);
                }
            }
        }
        let comma = out.len() > begin;
        write_labels(out, labels, comma);
        begin..self.page.out.len()
    }

    /// Like [`Text::series`], with a copy of labels that were written before.
    fn again(&mut self, family: &Family<'_>, suffix: &str, labels: &Range<usize>) {
        family.name.write(self.page.out);
        self.text(suffix);
        if !labels.is_empty() {
            self.page.out.push(b'{');
            self.page.out.extend_from_within(labels.clone());
        }
    }

    /// Writes the end of a line: everything after the labels.
    fn close(&mut self, labelled: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.text(if labelled { "} " } else { " " });
        write(self.page.out);
        self.page.out.push(b'\n');
    }

    /// Writes when the series began to count, if the format and the settings ask for it.
    fn created(&mut self, family: &Family<'_>, labels: &Range<usize>) {
        if self.exposition.created && self.dialect == Dialect::OpenMetrics {
            self.again(family, "_created", labels);
            let millis = self.created_millis;
            self.close(!labels.is_empty(), |out| decimal::<3>(out, millis));
        }
    }

    fn text(&mut self, text: &str) {
        self.page.out.extend_from_slice(text.as_bytes());
    }
}

impl<'a> Encoder<'a> for Text<'a> {
    fn page(&mut self) -> &mut Page<'a> {
        &mut self.page
    }

    fn has_constant_label(&self, name: &str) -> bool {
        self.exposition.constant_names.iter().any(|constant| constant == name)
    }

    fn of_endpoint(&mut self, number: usize) {
        self.endpoint = Some(number);
    }

    fn begin(&mut self, family: Family<'a>) {
        self.family = Some(family);
        (self.endpoint, self.head) = (None, None);
        self.page.begin_family();
        self.about(&family, "HELP");
        escape(self.page.out, family.help, self.dialect == Dialect::OpenMetrics);
        self.text("\n");
        self.about(&family, "TYPE");
        self.text(family.kind.name());
        self.text("\n");
        if let Some(unit) = family.unit.filter(|_| self.dialect == Dialect::OpenMetrics) {
            self.about(&family, "UNIT");
            self.text(unit);
            self.text("\n");
        }
        self.first_series = self.page.position();
    }

    fn value(&mut self, labels: &[Label<'_>], value: Value) {
        let Some(family) = self.family else { return };
        let counter = family.kind == Kind::Counter;
        let labels = self.series(&family, if counter { "_total" } else { "" }, labels);
        self.close(!labels.is_empty(), |out| match value {
            Value::Count(count) => integer(out, count),
            Value::Nanos(nanos) => decimal::<9>(out, nanos),
            Value::Number(value) => number(out, value),
        });
        if counter {
            self.created(&family, &labels);
        }
    }

    fn histogram(&mut self, labels: &[Label<'_>], durations: &Durations<'_>) {
        let Some(family) = self.family else { return };
        let exposition = self.exposition;
        let Totals { count, sum_nanos, cumulative } = durations.totals(&exposition.bounds);
        let exemplar = durations.exemplar_bucket(&exposition.bounds).zip(durations.exemplar);
        let exemplar = exemplar.filter(|_| self.dialect == Dialect::OpenMetrics);
        let above = exemplar.filter(|&(bucket, _)| bucket == exposition.bounds.len()).map(|(_, above)| above);
        let begin = self.page.out.len();
        let labels = self.series(&family, "_bucket", labels);
        self.page.out.push(if labels.is_empty() { b'{' } else { b',' });
        // The lines of all buckets begin with the same bytes.
        let begin = begin..self.page.out.len();
        let (bounds, counts) = (&exposition.bounds[..], &cumulative[..exposition.bounds.len()]);
        let (to_exemplar, exemplar) = match exemplar {
            Some((bucket, exemplar)) if bucket < bounds.len() => (bucket + 1, Some(exemplar)),
            _ => (bounds.len(), None),
        };
        bucket_lines(self.page.out, &begin, &bounds[..to_exemplar], &counts[..to_exemplar]);
        if let Some(exemplar) = exemplar {
            // Between the line's count and its end.
            self.page.out.truncate(self.page.out.len() - begin.len() - 1);
            write_exemplar(self.page.out, exemplar);
            self.page.out.push(b'\n');
            self.page.out.extend_from_within(begin.clone());
            bucket_lines(self.page.out, &begin, &bounds[to_exemplar..], &counts[to_exemplar..]);
        }
        self.text("le=\"+Inf\"} ");
        integer(self.page.out, count);
        if let Some(exemplar) = above {
            write_exemplar(self.page.out, exemplar);
        }
        self.text("\n");
        self.again(&family, "_sum", &labels);
        self.close(!labels.is_empty(), |out| decimal::<9>(out, sum_nanos));
        self.again(&family, "_count", &labels);
        self.close(!labels.is_empty(), |out| integer(out, count));
        self.created(&family, &labels);
    }

    fn end(&mut self) {
        if self.page.position() == self.first_series {
            self.page.remove_family();
        }
    }
}

/// Writes labels, the first one after a comma if there are others before it.
fn write_labels(out: &mut Vec<u8>, labels: &[Label<'_>], mut comma: bool) {
    for &(name, value) in labels {
        if std::mem::replace(&mut comma, true) {
            out.push(b',');
        }
        labels::write_text(out, name, value);
    }
}

/// Writes a line for each bound, from its bound on, and the beginning of the line after it.
fn bucket_lines(out: &mut Vec<u8>, begin: &Range<usize>, bounds: &[Bound], counts: &[u64]) {
    // A bucket with the count of the one before has the same line from there on.
    let mut same = (None, 0..0);
    for (bound, &count) in bounds.iter().zip(counts) {
        bound.label.write(out);
        if same.0 != Some(count) {
            let from = out.len();
            integer(out, count);
            out.push(b'\n');
            out.extend_from_within(begin.clone());
            same = (Some(count), from..out.len());
        } else {
            out.extend_from_within(same.1.clone());
        }
    }
}

fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b" # {");
    out.extend_from_slice(TRACE_ID.as_bytes());
    out.extend_from_slice(b"=\"");
    labels::write_trace_id(out, exemplar.trace);
    out.extend_from_slice(b"\"} ");
    decimal::<9>(out, exemplar.nanos);
    out.push(b' ');
    decimal::<3>(out, millis(exemplar.time));
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Writes the shortest text that parses back to the same number.
fn number(out: &mut Vec<u8>, value: f64) {
    let written = match value {
        f64::INFINITY => out.write_all(b"+Inf"),
        f64::NEG_INFINITY => out.write_all(b"-Inf"),
        // `NaN`, or a number with a decimal point or an exponent.
        _ => write!(out, "{value:?}"),
    };
    written.expect("writing to a vector never fails");
}

fn integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes `value / 10^DIGITS` exactly. Always has a decimal point, as OpenMetrics wants.
fn decimal<const DIGITS: usize>(out: &mut Vec<u8>, value: u64) {
    let unit = const { 10_u64.pow(DIGITS as u32) };
    integer(out, value / unit);
    let mut digits = [b'0'; DIGITS];
    let mut rest = value % unit;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    out.push(b'.');
    out.extend_from_slice(&digits[..(DIGITS - zeros).max(1)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_are_exact() {
        let seconds = |nanos| written(|out| decimal::<9>(out, nanos));
        for (nanos, text) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (1_500_000_000, "1.5"),
            (60_000_000_000, "60.0"),
            (10_020_000_000, "10.02"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(seconds(nanos), text);
        }
        assert_eq!(written(|out| decimal::<3>(out, 1_769_592_600_120)), "1769592600.12");
    }

    #[test]
    fn numbers_parse_back_to_the_same_value() {
        for (value, text) in [
            (0.0, "0.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(|out| number(out, value)), text);
        }
    }
}
