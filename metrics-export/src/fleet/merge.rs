//! The sum of the reports of several instances.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use metrics_core::{RecentError, Snapshot, SnapshotParts, Summary, visible};

use super::decoded::Decoded;
use super::instance::InstanceFigures;
use super::total::Total;

/// How many errors are kept, the latest ones.
const MAX_ERRORS: usize = 128;

/// How many refused reports are named; all are counted.
const MAX_NAMED: usize = 20;

/// The sum of the reports of several instances.
///
/// The order of adding only matters for which refused reports are named. The sum is as precise as the least precise
/// report.
#[derive(Debug, Clone)]
pub struct Fleet {
    now: SystemTime,
    total: Option<Total>,
    errors: Vec<RecentError>,
    instances: Vec<InstanceFigures>,
    refused: Vec<RefusedReport>,
    refused_count: u64,
    /// How long each instance counted, by its monotonic clock: the sum of its reports.
    spans: HashMap<String, Duration>,
}

/// A report that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedReport {
    /// Where it was found, such as its key.
    pub source: String,
    /// Why it was left out.
    pub reason: String,
}

impl Fleet {
    /// A sum without reports. `now` decides which instances are up.
    pub fn new(now: SystemTime) -> Self {
        Self {
            now,
            total: None,
            errors: Vec::new(),
            instances: Vec::new(),
            refused: Vec::new(),
            refused_count: 0,
            spans: HashMap::new(),
        }
    }

    /// The time that decides which instances are up.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// Adds the bytes of a report found at `source`. Bytes that are not a report, or cannot be added, are left out and
    /// counted in [`refused`](Fleet::refused).
    pub fn add_bytes(&mut self, source: &str, bytes: &[u8]) {
        match Decoded::read_at(bytes, self.now) {
            Ok(report) => self.add(source, report, bytes.len()),
            Err(error) => self.refuse(source, &error.to_string()),
        }
    }

    /// Adds a report; `bytes` is its size.
    pub(super) fn add(&mut self, source: &str, report: Decoded, bytes: usize) {
        let figures = report.figures(self.now, bytes);
        let Decoded { rest, endpoints, buckets, errors, instance, .. } = report;
        let span = rest.span;
        let added = match &mut self.total {
            Some(total) => total.add(rest, endpoints, &buckets),
            none => Total::new(rest, endpoints, &buckets).map(|total| *none = Some(total)),
        };
        if let Err(reason) = added {
            return self.refuse(source, &reason);
        }
        // By its start, too: a restarted instance is another one.
        let id = format!("{} {:?}", instance.name, instance.started);
        let of_instance = self.spans.entry(id).or_default();
        *of_instance = of_instance.saturating_add(span);
        self.errors.extend(errors);
        // Only from time to time, since it sorts.
        if self.errors.len() > 8 * MAX_ERRORS {
            self.keep_last_errors();
        }
        self.instances.push(figures);
    }

    /// Counts something found at `source` that cannot be read.
    pub fn refuse(&mut self, source: &str, reason: &str) {
        self.refused_count += 1;
        if self.refused.len() < MAX_NAMED {
            let source = visible(source, 200).into_owned();
            self.refused.push(RefusedReport { source, reason: reason.to_owned() });
        }
    }

    /// The figures of all reports; `None` without reports.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.total.as_ref().map(Total::snapshot)
    }

    /// The figures of all reports without endpoints, as parts; `None` without reports. A list of consumers needs no
    /// more.
    ///
    /// A report names the 50 consumers with the most calls. Another consumer's calls at that instance are in `_other`;
    /// they are no more than the last of the 50 had. Past 10,000 names in a fleet, further consumers are in `_other`,
    /// too; which ones depends on the order of adding.
    pub fn without_endpoints(&self) -> Option<SnapshotParts> {
        self.total.as_ref().map(Total::without_endpoints)
    }

    /// The summary of all reports with their latest errors; `None` without reports.
    ///
    /// The window lasts from the earliest start to the latest report by the instances' wall clocks, but no less than the
    /// longest span of an instance, and no more than all spans together, which are measured by monotonic clocks. So a
    /// wall clock that is set or wrong does not change the window of a single instance. That of several can become as
    /// many times too long as there are instances.
    pub fn summary(&mut self) -> Option<Summary> {
        self.keep_last_errors();
        let total = self.snapshot()?;
        Some(Summary {
            recent_errors: self.errors.clone(),
            window: self.window(total.taken().duration_since(total.since()).unwrap_or_default()),
            ..total.summary()
        })
    }

    /// The length of the window, where the wall clocks say `wall`.
    fn window(&self, wall: Duration) -> Duration {
        let longest = self.spans.values().copied().max().unwrap_or_default();
        let all = self.spans.values().fold(Duration::ZERO, |all, span| all.saturating_add(*span));
        wall.clamp(longest, all)
    }

    /// The instances, in the order of adding.
    pub fn instances(&self) -> &[InstanceFigures] {
        &self.instances
    }

    /// Reports that were left out: the first 20, and the number of all.
    pub fn refused(&self) -> (&[RefusedReport], u64) {
        (&self.refused, self.refused_count)
    }

    fn keep_last_errors(&mut self) {
        self.errors.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.message.cmp(&b.message)));
        self.errors.truncate(MAX_ERRORS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_changes_no_window_beyond_what_the_instances_counted() {
        let seconds = Duration::from_secs;
        let mut fleet = Fleet::new(SystemTime::now());
        assert_eq!(fleet.window(seconds(5)), Duration::ZERO);
        fleet.spans.insert("a".to_owned(), seconds(12));
        // Set forward by a day, set back by a day, and right.
        assert_eq!([86_412, 0, 12].map(|wall| fleet.window(seconds(wall))), [seconds(12); 3]);
        fleet.spans.insert("b".to_owned(), seconds(10));
        assert_eq!([86_412, 0, 15].map(|wall| fleet.window(seconds(wall))), [22, 12, 15].map(seconds));
    }
}
