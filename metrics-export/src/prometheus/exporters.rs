//! The families of exporters: how many windows, errors and requests were sent, dropped or are waiting.

use std::time::UNIX_EPOCH;

use super::catalog;
use super::encoder::{Encoder, Value};
use super::family::Figure;
use crate::push::ExporterCounts;

/// The value of the label `outcome`, and how often this outcome occurred.
type Outcome = (&'static str, fn(&ExporterCounts) -> u64);

const WINDOWS: [Outcome; 4] = [
    ("sent", |counts| counts.windows_sent),
    ("idle", |counts| counts.windows_idle),
    ("dropped", |counts| counts.windows_dropped),
    ("merged", |counts| counts.windows_merged),
];
const ERRORS: [Outcome; 3] = [
    ("sent", |counts| counts.errors_sent),
    ("dropped", |counts| counts.errors_dropped),
    ("missed", |counts| counts.errors_missed),
];
const REQUESTS: [Outcome; 3] = [
    ("sent", |counts| counts.requests_sent),
    ("dropped", |counts| counts.requests_dropped),
    ("missed", |counts| counts.requests_missed),
];
const FIGURES: [Figure<ExporterCounts, u64>; 8] = [
    (&catalog::EXPORTER_OFF, |counts| u64::from(counts.off.is_some())),
    (&catalog::EXPORTER_WINDOWS_WAITING, |counts| counts.windows_waiting),
    (&catalog::EXPORTER_ERRORS_WAITING, |counts| counts.errors_waiting),
    (&catalog::EXPORTER_REQUESTS_WAITING, |counts| counts.requests_waiting),
    (&catalog::EXPORTER_CALLS_DROPPED, |counts| counts.calls_dropped),
    (&catalog::EXPORTER_REJECTED, |counts| counts.rejected),
    (&catalog::EXPORTER_ATTEMPTS_FAILED, |counts| counts.attempts_failed),
    (&catalog::EXPORTER_FAILING, |counts| counts.failing),
];

/// Writes the families of all exporters. Without exporters it writes nothing.
pub(crate) fn write<'a>(exporters: &[ExporterCounts], to: &mut impl Encoder<'a>) {
    let families: [(_, &[Outcome]); 3] = [
        (&catalog::EXPORTER_WINDOWS, &WINDOWS),
        (&catalog::EXPORTER_ERRORS, &ERRORS),
        (&catalog::EXPORTER_REQUESTS, &REQUESTS),
    ];
    for (family, outcomes) in families {
        to.begin(*family);
        for counts in exporters {
            for (outcome, figure) in outcomes {
                let labels = [("exporter", &*counts.exporter), ("outcome", outcome)];
                to.value(&labels, Value::Count(figure(counts)));
            }
        }
        to.end();
    }
    for (family, figure) in FIGURES {
        to.begin(*family);
        for counts in exporters {
            to.value(&[("exporter", &counts.exporter)], Value::Count(figure(counts)));
        }
        to.end();
    }
    to.begin(catalog::EXPORTER_LAST_SENT);
    for counts in exporters {
        // 0 until the first success, as is usual for such timestamps.
        let since_1970 = counts.last_sent.and_then(|sent| sent.duration_since(UNIX_EPOCH).ok());
        let nanos = since_1970.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        to.value(&[("exporter", &counts.exporter)], Value::Nanos(nanos));
    }
    to.end();
}
