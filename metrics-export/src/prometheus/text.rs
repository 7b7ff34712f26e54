//! The two text formats. The only allocation is the growth of the output buffer.

use std::io::Write;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_core::Exemplar;

use super::durations::Durations;
use super::encoder::{Encoder, Value};
use super::exposition::Exposition;
use super::family::{Family, Kind};
use super::labels::{self, Label, TRACE_ID, escape};

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
    out: &'a mut Vec<u8>,
    dialect: Dialect,
    exposition: &'a Exposition,
    /// When counting began, in milliseconds since 1970.
    created_millis: u64,
    family: Option<Family<'a>>,
    /// Where the family begins in the buffer.
    begin: usize,
    /// Where its first series begins.
    first_series: usize,
}

impl<'a> Text<'a> {
    pub(crate) fn new(
        out: &'a mut Vec<u8>,
        dialect: Dialect,
        exposition: &'a Exposition,
        since: SystemTime,
    ) -> Self {
        Self {
            out,
            dialect,
            exposition,
            created_millis: millis(since),
            family: None,
            begin: 0,
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
        family.name.write(self.out);
        self.text(self.family_suffix(family));
        self.text(" ");
    }

    /// Writes the beginning of a line, up to the last label. Returns where the labels are in the buffer.
    fn series(&mut self, family: &Family<'_>, suffix: &str, labels: &[Label<'_>]) -> Range<usize> {
        family.name.write(self.out);
        self.text(suffix);
        let constant = &self.exposition.constant_text;
        if labels.is_empty() && constant.is_empty() {
            return self.out.len()..self.out.len();
        }
        self.out.push(b'{');
        let begin = self.out.len();
        self.out.extend_from_slice(constant.as_bytes());
        for &(name, value) in labels {
            if self.out.len() > begin {
                self.out.push(b',');
            }
            labels::write_text(self.out, name, value);
        }
        begin..self.out.len()
    }

    /// Like [`Text::series`], with a copy of labels that were written before.
    fn again(&mut self, family: &Family<'_>, suffix: &str, labels: &Range<usize>) {
        family.name.write(self.out);
        self.text(suffix);
        if !labels.is_empty() {
            self.out.push(b'{');
            self.out.extend_from_within(labels.clone());
        }
    }

    /// Writes the end of a bucket's line: its upper bound as the last label, its count and its exemplar.
    fn bucket(&mut self, bound: &str, count: u64, exemplar: Option<&Exemplar>) {
        self.text(bound);
        integer(self.out, count);
        if let Some(exemplar) = exemplar {
            write_exemplar(self.out, exemplar);
        }
        self.out.push(b'\n');
    }

    /// Writes the end of a line: everything after the labels.
    fn close(&mut self, labelled: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.text(if labelled { "} " } else { " " });
        write(self.out);
        self.out.push(b'\n');
    }

    /// Writes when the series began to count, if the format and the settings ask for it.
    fn created(&mut self, family: &Family<'_>, labels: &Range<usize>) {
        if self.exposition.created && self.dialect == Dialect::OpenMetrics {
            self.again(family, "_created", labels);
            let millis = self.created_millis;
            self.close(!labels.is_empty(), |out| decimal(out, millis, 1_000));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

impl<'a> Encoder<'a> for Text<'a> {
    fn begin(&mut self, family: Family<'a>) {
        self.family = Some(family);
        self.begin = self.out.len();
        self.about(&family, "HELP");
        escape(self.out, family.help, self.dialect == Dialect::OpenMetrics);
        self.text("\n");
        self.about(&family, "TYPE");
        self.text(family.kind.name());
        self.text("\n");
        if let Some(unit) = family.unit.filter(|_| self.dialect == Dialect::OpenMetrics) {
            self.about(&family, "UNIT");
            self.text(unit);
            self.text("\n");
        }
        self.first_series = self.out.len();
    }

    fn value(&mut self, labels: &[Label<'_>], value: Value) {
        let Some(family) = self.family else { return };
        let counter = family.kind == Kind::Counter;
        let labels = self.series(&family, if counter { "_total" } else { "" }, labels);
        self.close(!labels.is_empty(), |out| match value {
            Value::Count(count) => integer(out, count),
            Value::Nanos(nanos) => decimal(out, nanos, 1_000_000_000),
            Value::Number(value) => number(out, value),
        });
        if counter {
            self.created(&family, &labels);
        }
    }

    fn histogram(&mut self, labels: &[Label<'_>], durations: &Durations<'_>) {
        let Some(family) = self.family else { return };
        let (count, exposition) = (durations.count(), self.exposition);
        let exemplar = durations.exemplar_bucket(&exposition.bounds).zip(durations.exemplar);
        let exemplar = exemplar.filter(|_| self.dialect == Dialect::OpenMetrics);
        let at = |bucket| exemplar.filter(|&(its, _)| its == bucket).map(|(_, exemplar)| exemplar);
        let begin = self.out.len();
        let labels = self.series(&family, "_bucket", labels);
        self.out.push(if labels.is_empty() { b'{' } else { b',' });
        // The lines of all buckets begin with the same bytes.
        let begin = begin..self.out.len();
        let cumulative = durations.cumulative(&exposition.bounds);
        for (bucket, (bound, below)) in exposition.bounds.iter().zip(cumulative).enumerate() {
            self.bucket(&bound.label, below, at(bucket));
            self.out.extend_from_within(begin.clone());
        }
        self.bucket("le=\"+Inf\"} ", count, at(exposition.bounds.len()));
        self.again(&family, "_sum", &labels);
        self.close(!labels.is_empty(), |out| decimal(out, durations.sum_nanos(), 1_000_000_000));
        self.again(&family, "_count", &labels);
        self.close(!labels.is_empty(), |out| integer(out, count));
        self.created(&family, &labels);
    }

    fn end(&mut self) {
        if self.out.len() == self.first_series {
            self.out.truncate(self.begin);
        }
    }
}

fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b" # {");
    out.extend_from_slice(TRACE_ID.as_bytes());
    out.extend_from_slice(b"=\"");
    labels::write_trace_id(out, exemplar.trace);
    out.extend_from_slice(b"\"} ");
    decimal(out, exemplar.nanos, 1_000_000_000);
    out.push(b' ');
    decimal(out, millis(exemplar.time), 1_000);
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

/// Writes `value / unit` exactly, where `unit` is a power of ten. Always has a decimal point, as OpenMetrics wants.
fn decimal(out: &mut Vec<u8>, value: u64, unit: u64) {
    integer(out, value / unit);
    out.push(b'.');
    let (mut rest, mut digit_unit) = (value % unit, unit / 10);
    loop {
        out.push(b'0' + (rest / digit_unit) as u8);
        rest %= digit_unit;
        if rest == 0 {
            return;
        }
        digit_unit /= 10;
    }
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
        let seconds = |nanos| written(|out| decimal(out, nanos, 1_000_000_000));
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
        assert_eq!(written(|out| decimal(out, 1_769_592_600_120, 1_000)), "1769592600.12");
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
