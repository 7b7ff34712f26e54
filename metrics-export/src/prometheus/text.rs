//! The two text formats. Nothing is allocated but in the buffer that is written to.

use std::io::Write;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_core::{Exemplar, TraceId};

use super::durations::Durations;
use super::exposition::Exposition;
use super::families::{Encoder, Value};
use super::names::{Family, Kind, Label, TRACE_ID};

/// Which of the two.
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
    /// Where the family begins.
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

    /// Ends the whole exposition.
    pub(crate) fn finish(mut self) {
        if self.dialect == Dialect::OpenMetrics {
            self.text("# EOF\n");
        }
    }

    /// What a family is called in its own lines, where OpenMetrics leaves out a counter's suffix.
    fn family_suffix(&self, family: &Family<'_>) -> &'static str {
        match (family.kind, self.dialect) {
            (Kind::Counter, Dialect::Classic) => "_total",
            _ => "",
        }
    }

    fn about(&mut self, family: &Family<'_>, what: &str) {
        self.text("# ");
        self.text(what);
        self.text(" ");
        family.name.write(self.out);
        self.text(self.family_suffix(family));
        self.text(" ");
    }

    /// The beginning of a line, up to the last label's value. Gives the place of the labels.
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
            label(self.out, name, value);
        }
        begin..self.out.len()
    }

    /// As [`Text::series`], with labels that were written before.
    fn again(&mut self, family: &Family<'_>, suffix: &str, labels: &Range<usize>) {
        family.name.write(self.out);
        self.text(suffix);
        if !labels.is_empty() {
            self.out.push(b'{');
            self.out.extend_from_within(labels.clone());
        }
    }

    /// The end of a bucket's line: its upper bound as the last label, its count, and its exemplar.
    fn bucket(&mut self, bound: &str, count: u64, exemplar: Option<&Exemplar>) {
        self.text(bound);
        integer(self.out, count);
        if let Some(exemplar) = exemplar {
            write_exemplar(self.out, exemplar);
        }
        self.out.push(b'\n');
    }

    /// The end of a line, from behind the labels on.
    fn close(&mut self, labelled: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.text(if labelled { "} " } else { " " });
        write(self.out);
        self.out.push(b'\n');
    }

    /// When the series began to count, where that is said.
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
        let exemplar = durations.exemplar_place(&exposition.bounds).zip(durations.exemplar);
        let exemplar = exemplar.filter(|_| self.dialect == Dialect::OpenMetrics);
        let at = |place| exemplar.filter(|&(its, _)| its == place).map(|(_, exemplar)| exemplar);
        let begin = self.out.len();
        let labels = self.series(&family, "_bucket", labels);
        self.out.push(if labels.is_empty() { b'{' } else { b',' });
        // All buckets' lines begin the same.
        let begin = begin..self.out.len();
        let cumulative = durations.cumulative(&exposition.bounds);
        for (place, (bound, below)) in exposition.bounds.iter().zip(cumulative).enumerate() {
            self.bucket(&bound.label, below, at(place));
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

/// Writes one label. Both dialects escape its value in the same way.
pub(crate) fn label(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape(out, value, true);
    out.push(b'"');
}

/// Writes a text with backslashes and line ends escaped, and double quotes where they would end it.
fn escape(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'\\' => br"\\",
            b'\n' => br"\n",
            b'"' if quotes => br#"\""#,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[written..at]);
        out.extend_from_slice(escaped);
        written = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[written..]);
}

fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b" # {");
    out.extend_from_slice(TRACE_ID.as_bytes());
    out.extend_from_slice(b"=\"");
    trace_id(out, exemplar.trace);
    out.extend_from_slice(b"\"} ");
    decimal(out, exemplar.nanos, 1_000_000_000);
    out.push(b' ');
    decimal(out, millis(exemplar.time), 1_000);
}

/// Writes a trace's 32 digits.
pub(crate) fn trace_id(out: &mut Vec<u8>, trace: TraceId) {
    write!(out, "{trace}").expect("a vector takes all that is written");
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Writes the shortest number that reads back as the same.
fn number(out: &mut Vec<u8>, value: f64) {
    let written = match value {
        f64::INFINITY => out.write_all(b"+Inf"),
        f64::NEG_INFINITY => out.write_all(b"-Inf"),
        // `NaN`, or with a point or an exponent.
        _ => write!(out, "{value:?}"),
    };
    written.expect("a vector takes all that is written");
}

fn integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes `value / unit` exactly; `unit` is a power of ten. Always with a point, as OpenMetrics has it.
fn decimal(out: &mut Vec<u8>, value: u64, unit: u64) {
    integer(out, value / unit);
    out.push(b'.');
    let (mut rest, mut place) = (value % unit, unit / 10);
    loop {
        out.push(b'0' + (rest / place) as u8);
        rest %= place;
        if rest == 0 {
            return;
        }
        place /= 10;
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
    fn numbers_read_back_as_the_same() {
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

    #[test]
    fn only_what_would_end_a_text_is_escaped() {
        assert_eq!(written(|out| label(out, "route", "a\\b\"c\nd\r\0é")), "route=\"a\\\\b\\\"c\\nd\r\0é\"");
        assert_eq!(written(|out| escape(out, "say \"\\\"\n", false)), "say \"\\\\\"\\n");
        assert_eq!(written(|out| escape(out, "", true)), "");
    }
}
