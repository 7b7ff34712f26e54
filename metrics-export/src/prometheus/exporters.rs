//! What became of what was to be sent to other places.

use std::time::UNIX_EPOCH;

use super::families::{Encoder, Value};
use super::names::{self, Family};
use crate::push::Counts;

/// A family, and its figure.
type Figure = (&'static Family<'static>, fn(&Counts) -> u64);

/// What can become of something, and how often that was so.
type Outcome = (&'static str, fn(&Counts) -> u64);

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
const FIGURES: [Figure; 7] = [
    (&names::EXPORTER_WINDOWS_WAITING, |counts| counts.windows_waiting),
    (&names::EXPORTER_ERRORS_WAITING, |counts| counts.errors_waiting),
    (&names::EXPORTER_REQUESTS_WAITING, |counts| counts.requests_waiting),
    (&names::EXPORTER_CALLS_DROPPED, |counts| counts.calls_dropped),
    (&names::EXPORTER_REJECTED, |counts| counts.rejected),
    (&names::EXPORTER_ATTEMPTS_FAILED, |counts| counts.attempts_failed),
    (&names::EXPORTER_FAILING, |counts| counts.failing),
];

/// Writes the families of all destinations; none where there are none.
pub(crate) fn write<'a>(exporters: &[Counts], to: &mut impl Encoder<'a>) {
    let families: [(_, &[Outcome]); 3] = [
        (&names::EXPORTER_WINDOWS, &WINDOWS),
        (&names::EXPORTER_ERRORS, &ERRORS),
        (&names::EXPORTER_REQUESTS, &REQUESTS),
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
    to.begin(names::EXPORTER_LAST_SENT);
    for counts in exporters {
        // 0 before the first time, as others have it.
        let since_1970 = counts.last_sent.and_then(|sent| sent.duration_since(UNIX_EPOCH).ok());
        let nanos = since_1970.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        to.value(&[("exporter", &counts.exporter)], Value::Nanos(nanos));
    }
    to.end();
}
