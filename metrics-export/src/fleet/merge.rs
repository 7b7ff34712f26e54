//! Reports of several instances, added up.

use std::time::{Duration, SystemTime};

use metrics_core::{Outcome, RecentError, Snapshot, Summary};

use super::report::{Instance, Presence, Report};

/// The most endpoints of a fleet.
const MAX_ENDPOINTS: usize = 20_000;

/// The most metrics of the application's own of a fleet.
const MAX_METRICS: usize = 2_000;

/// The last errors that are kept.
const MAX_ERRORS: usize = 128;

/// What was left out is named this many times; all of it is counted.
const MAX_NAMED: usize = 20;

/// The reports of several instances, added up.
///
/// The order in which they are added does not matter, but to which are named among those left out.
#[derive(Debug, Clone)]
pub struct Fleet {
    now: SystemTime,
    total: Option<Snapshot>,
    errors: Vec<RecentError>,
    instances: Vec<InstanceFigures>,
    refused: Vec<Refused>,
    refused_count: u64,
}

/// One instance's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceFigures {
    /// Who it is, and when it wrote last.
    pub instance: Instance,
    /// Whether it still writes.
    pub presence: Presence,
    /// Requests that ended.
    pub calls: u64,
    /// 4xx, 5xx and panics among them.
    pub errors: u64,
    /// 95 % of its requests took no longer.
    pub p95: Duration,
    /// Bytes of its report.
    pub bytes: usize,
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
        match Report::decode_at(bytes, self.now) {
            Ok(report) => self.add(source, report, bytes.len()),
            Err(error) => self.refuse(source, &error.to_string()),
        }
    }

    /// Adds a report of so many bytes.
    pub fn add(&mut self, source: &str, report: Report, bytes: usize) {
        let Report { instance, snapshot, errors } = report;
        if let Err(reason) = self.merge(&snapshot) {
            return self.refuse(source, &reason);
        }
        self.errors.extend(errors);
        // From time to time, so that there are never many.
        if self.errors.len() > 8 * MAX_ERRORS {
            self.keep_last_errors();
        }
        self.instances.push(figures(instance, &snapshot, self.now, bytes));
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
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.total.as_ref()
    }

    /// The figures of all as people read them, and the last errors; `None` where there are none. The window is as long as
    /// it is from the first beginning to the last report, by the instances' wall clocks.
    pub fn summary(&mut self) -> Option<Summary> {
        self.keep_last_errors();
        let total = self.total.as_ref()?;
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

    fn merge(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let Some(total) = &mut self.total else {
            self.total = Some(snapshot.clone());
            return Ok(());
        };
        // All of them could be new ones; but as many as the two have may be the same.
        for (what, have, more, allowed) in [
            ("endpoints", total.endpoints().count(), snapshot.endpoints().count(), MAX_ENDPOINTS),
            ("metrics", total.metrics().len(), snapshot.metrics().len(), MAX_METRICS),
        ] {
            if have + more > allowed.max(2 * more) {
                return Err(format!("the fleet has {have} {what} already; allowed: {allowed}"));
            }
        }
        total.merge(snapshot).map_err(|error| error.to_string())
    }

    fn keep_last_errors(&mut self) {
        self.errors.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.message.cmp(&b.message)));
        self.errors.truncate(MAX_ERRORS);
    }
}

fn figures(instance: Instance, snapshot: &Snapshot, now: SystemTime, bytes: usize) -> InstanceFigures {
    let (mut calls, mut errors, mut max) = (0_u64, 0_u64, 0);
    for group in snapshot.endpoints().flat_map(|endpoint| endpoint.groups()) {
        max = max.max(group.max_nanos());
        for &(outcome, count) in group.outcomes() {
            calls = calls.saturating_add(count);
            errors = errors.saturating_add(if Outcome::is_error(outcome) { count } else { 0 });
        }
    }
    let p95 = Duration::from_nanos(snapshot.histogram().value_at_quantile(0.95).min(max));
    InstanceFigures { presence: instance.presence(now), instance, calls, errors, p95, bytes }
}
