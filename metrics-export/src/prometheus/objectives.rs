//! The families of objectives and of Apdex, counted from the snapshot that is scraped.

use metrics_core::Snapshot;
use metrics_core::objective::{Apdex, ApdexCounts, Objective, ObjectiveCounts};

use super::catalog;
use super::encoder::{Encoder, Value, single};

/// One of the counts of an objective.
type Figure = fn(&ObjectiveCounts) -> u64;

/// What requests of a snapshot are judged by.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Judged {
    pub(crate) objectives: Vec<Objective>,
    pub(crate) apdex: Option<Apdex>,
}

impl Judged {
    /// Writes the families. Without objectives and Apdex it writes nothing.
    pub(crate) fn write<'a>(&self, snapshot: &'a Snapshot, to: &mut impl Encoder<'a>) {
        let counts: Vec<_> = self.objectives.iter().map(|objective| objective.count(snapshot)).collect();
        let figures: [(_, Figure); 2] = [
            (&catalog::OBJECTIVE_VALID, |counts| counts.valid),
            (&catalog::OBJECTIVE_GOOD, |counts| counts.good),
        ];
        for (family, figure) in figures {
            to.begin(*family);
            for (objective, counts) in self.objectives.iter().zip(&counts) {
                to.value(&[("objective", &objective.name)], Value::Count(figure(counts)));
            }
            to.end();
        }
        to.begin(catalog::OBJECTIVE_TARGET);
        for objective in &self.objectives {
            // Without the digits that binary fractions add: 99.9 % is 0.999.
            let ratio = (objective.target * 1e10).round() / 1e12;
            to.value(&[("objective", &objective.name)], Value::Number(ratio));
        }
        to.end();
        let Some(apdex) = &self.apdex else { return };
        let ApdexCounts { satisfied, tolerating, frustrated } = apdex.count(snapshot);
        to.begin(catalog::APDEX);
        for (rating, count) in
            [("satisfied", satisfied), ("tolerating", tolerating), ("frustrated", frustrated)]
        {
            to.value(&[("rating", rating)], Value::Count(count));
        }
        to.end();
        let nanos = u64::try_from(apdex.target().as_nanos()).unwrap_or(u64::MAX);
        single(&catalog::APDEX_TARGET, Value::Nanos(nanos), to);
    }
}
