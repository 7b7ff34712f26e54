//! Reports of several instances, added up.

use std::time::SystemTime;

use metrics_core::{RecentError, Snapshot, SnapshotParts, Summary};

use super::decoded::Decoded;
use super::instance::InstanceFigures;
use super::total::Total;

/// The last errors that are kept.
const MAX_ERRORS: usize = 128;

/// What was left out is named this many times; all of it is counted.
const MAX_NAMED: usize = 20;

/// The reports of several instances, added up.
///
/// The order in which they are added does not matter, but to which are named among those left out. Where their histograms differ in
/// precision, that of all is the lowest.
#[derive(Debug, Clone)]
pub struct Fleet {
    now: SystemTime,
    total: Option<Total>,
    errors: Vec<RecentError>,
    instances: Vec<InstanceFigures>,
    refused: Vec<Refused>,
    refused_count: u64,
}

/// Something that was found and left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it was found.
    pub source: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Fleet {
    /// No reports yet. Which instances are up is told by `now`.
    pub fn new(now: SystemTime) -> Self {
        Self {
            now,
            total: None,
            errors: Vec::new(),
            instances: Vec::new(),
            refused: Vec::new(),
            refused_count: 0,
        }
    }

    /// The moment at which it is told which instances are up.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// Adds a report that was found somewhere. What is no report, or cannot be added, is left out and counted.
    pub fn add_bytes(&mut self, source: &str, bytes: &[u8]) {
        match Decoded::read_at(bytes, self.now) {
            Ok(report) => self.add(source, report, bytes.len()),
            Err(error) => self.refuse(source, &error.to_string()),
        }
    }

    /// Adds a report of so many bytes.
    pub(super) fn add(&mut self, source: &str, report: Decoded, bytes: usize) {
        let figures = report.figures(self.now, bytes);
        let Decoded { rest, endpoints, buckets, errors, .. } = report;
        let added = match &mut self.total {
            Some(total) => total.add(rest, endpoints, &buckets),
            none => Total::new(rest, endpoints, &buckets).map(|total| *none = Some(total)),
        };
        if let Err(reason) = added {
            return self.refuse(source, &reason);
        }
        self.errors.extend(errors);
        // From time to time, so that there are never many.
        if self.errors.len() > 8 * MAX_ERRORS {
            self.keep_last_errors();
        }
        self.instances.push(figures);
    }

    /// Counts something that cannot even be looked at.
    pub fn refuse(&mut self, source: &str, reason: &str) {
        self.refused_count += 1;
        if self.refused.len() < MAX_NAMED {
            let source = source.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c });
            self.refused.push(Refused { source: source.collect(), reason: reason.to_owned() });
        }
    }

    /// The figures of all, cumulative; `None` where there are none.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.total.as_ref().map(Total::snapshot)
    }

    /// The figures of all without their endpoints, as parts, which is all that a list of consumers needs; `None` where there are none.
    ///
    /// An instance names the 50 consumers with the most calls. One that is not among them at some of the instances lacks what it
    /// did there, at each no more calls than the last of the 50 had; that is in `_other`. 10,000 are told apart, and others are in
    /// `_other`, too: which ones depends on the order then.
    pub fn without_endpoints(&self) -> Option<SnapshotParts> {
        self.total.as_ref().map(Total::without_endpoints)
    }

    /// The figures of all as people read them, and the last errors; `None` where there are none. The window is as long as
    /// it is from the first beginning to the last report, by the instances' wall clocks.
    pub fn summary(&mut self) -> Option<Summary> {
        self.keep_last_errors();
        let total = self.snapshot()?;
        Some(Summary {
            recent_errors: self.errors.clone(),
            window: total.taken().duration_since(total.since()).unwrap_or_default(),
            ..total.summary()
        })
    }

    /// The instances, in the order in which they were added.
    pub fn instances(&self) -> &[InstanceFigures] {
        &self.instances
    }

    /// What was left out, as far as it is named, and how much it was.
    pub fn refused(&self) -> (&[Refused], u64) {
        (&self.refused, self.refused_count)
    }

    fn keep_last_errors(&mut self) {
        self.errors.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.message.cmp(&b.message)));
        self.errors.truncate(MAX_ERRORS);
    }
}
