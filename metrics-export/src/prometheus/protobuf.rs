//! The protobuf format: one `io.prometheus.client.MetricFamily` after the other, each preceded by its length.
//!
//! Histograms have classic and native buckets; the scraper takes those that it wants.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics_core::Exemplar;

use super::durations::{Durations, Totals};
use super::encoder::{Encoder, Value};
use super::exposition::Exposition;
use super::family::{Family, Kind};
use super::field;
use super::labels::{self, Label, TRACE_ID};
use super::native::{self, Native};
use super::page::Page;
use crate::wire::Wire;

/// Writes protobuf.
#[derive(Debug)]
pub(crate) struct Protobuf<'a> {
    page: Page<'a>,
    exposition: &'a Exposition,
    /// Seconds and nanoseconds since 1970 when counting began.
    created: (u64, u32),
    native: Native,
    family: Option<Family<'a>>,
    /// Where its first series begins.
    first_series: usize,
}

impl<'a> Protobuf<'a> {
    pub(crate) fn new(page: Page<'a>, exposition: &'a Exposition, since: SystemTime) -> Self {
        Self {
            page,
            exposition,
            created: since_1970(since),
            native: Native::default(),
            family: None,
            first_series: 0,
        }
    }
}

impl<'a> Encoder<'a> for Protobuf<'a> {
    fn page(&mut self) -> &mut Page<'a> {
        &mut self.page
    }

    fn has_constant_label(&self, name: &str) -> bool {
        self.exposition.constant_names.iter().any(|constant| constant == name)
    }

    fn begin(&mut self, family: Family<'a>) {
        self.family = Some(family);
        self.page.begin_family();
        let mut wire = Wire(self.page.out);
        let (suffix, kind) = match family.kind {
            Kind::Counter => ("_total", 0),
            Kind::Gauge => ("", 1),
            Kind::Histogram => ("", 4),
        };
        wire.nested(field::family::NAME, |Wire(out)| {
            family.name.write(out);
            out.extend_from_slice(suffix.as_bytes());
        });
        wire.text(field::family::HELP, family.help);
        wire.uint(field::family::KIND, kind);
        if let Some(unit) = family.unit {
            wire.text(field::family::UNIT, unit);
        }
        self.first_series = self.page.position();
    }

    fn value(&mut self, labels: &[Label<'_>], value: Value) {
        let Some(family) = self.family else { return };
        let value = match value {
            Value::Count(count) => count as f64,
            Value::Nanos(nanos) => nanos as f64 / 1e9,
            Value::Number(number) => number,
        };
        let (exposition, created) = (self.exposition, self.created);
        Wire(self.page.out).nested(field::family::METRIC, |wire| {
            write_labels(wire, exposition, labels);
            if family.kind == Kind::Counter {
                wire.nested(field::metric::COUNTER, |wire| {
                    wire.double(field::value::VALUE, value);
                    write_time(wire, field::value::CREATED, created);
                });
            } else {
                wire.nested(field::metric::GAUGE, |wire| wire.double(field::value::VALUE, value));
            }
        });
    }

    fn histogram(&mut self, labels: &[Label<'_>], durations: &Durations<'_>) {
        self.native.fill(durations);
        let Totals { count: total, sum_nanos, cumulative } = durations.totals(&self.exposition.bounds);
        let (exposition, created, native) = (self.exposition, self.created, &self.native);
        Wire(self.page.out).nested(field::family::METRIC, |wire| {
            write_labels(wire, exposition, labels);
            wire.nested(field::metric::HISTOGRAM, |wire| {
                wire.uint(field::histogram::COUNT, total);
                wire.double(field::histogram::SUM, sum_nanos as f64 / 1e9);
                let finite = exposition.bounds.iter().map(|bound| bound.seconds).zip(cumulative);
                let all = finite.chain([(f64::INFINITY, total)]);
                let exemplar_bucket = durations.exemplar_bucket(&exposition.bounds);
                for (bucket, (upper, count)) in all.enumerate() {
                    wire.nested(field::histogram::BUCKET, |wire| {
                        wire.uint(field::bucket::CUMULATIVE, count);
                        wire.double(field::bucket::UPPER, upper);
                        if exemplar_bucket == Some(bucket)
                            && let Some(exemplar) = durations.exemplar
                        {
                            wire.nested(field::bucket::EXEMPLAR, |wire| write_exemplar(wire, exemplar));
                        }
                    });
                }
                write_native(wire, durations.significant_digits(), native);
                write_time(wire, field::histogram::CREATED, created);
            });
        });
    }

    fn end(&mut self) {
        if self.page.position() == self.first_series {
            return self.page.remove_family();
        }
        let end = self.page.out.len();
        let len = self.page.family_len();
        Wire(self.page.out).length(len);
        self.page.move_in_front(self.page.out.len() - end);
    }
}

fn write_native(wire: &mut Wire<'_>, significant_digits: u8, native: &Native) {
    wire.sint(field::histogram::SCHEMA, native::schema(significant_digits));
    wire.double(field::histogram::ZERO_THRESHOLD, native::ZERO_THRESHOLD);
    wire.uint(field::histogram::ZERO_COUNT, native.zero_count);
    for span in native.spans() {
        wire.nested(field::histogram::SPAN, |wire| {
            wire.sint(field::span::OFFSET, span.offset);
            wire.uint(field::span::LENGTH, span.length.into());
        });
    }
    if !native.spans().is_empty() {
        wire.nested(field::histogram::DELTA, |wire| native.deltas().for_each(|delta| wire.zigzag(delta)));
    }
}

fn write_exemplar(wire: &mut Wire<'_>, exemplar: &Exemplar) {
    wire.nested(field::exemplar::LABEL, |wire| {
        wire.text(field::label::NAME, TRACE_ID);
        wire.nested(field::label::VALUE, |Wire(out)| labels::write_trace_id(out, exemplar.trace));
    });
    wire.double(field::exemplar::VALUE, exemplar.nanos as f64 / 1e9);
    write_time(wire, field::exemplar::TIME, since_1970(exemplar.time));
}

/// Seconds and nanoseconds since 1970.
fn since_1970(time: SystemTime) -> (u64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs(), since.subsec_nanos())
}

fn write_labels(wire: &mut Wire<'_>, exposition: &Exposition, labels: &[Label<'_>]) {
    wire.0.extend_from_slice(&exposition.constant_wire);
    for &(name, value) in labels {
        labels::write_protobuf(wire, name, value);
    }
}

fn write_time(wire: &mut Wire<'_>, field: u8, (seconds, nanos): (u64, u32)) {
    wire.nested(field, |wire| {
        wire.uint(field::timestamp::SECONDS, seconds);
        wire.uint(field::timestamp::NANOS, nanos.into());
    });
}
