//! The sum of the reports of several instances.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use metrics_core::alert::NewestVersion;
use metrics_core::{Granularity, RecentError, Snapshot, SnapshotParts, Summary, visible};

use super::decoded::Decoded;
use super::differences::Differences;
use super::instance::{InstanceFigures, Presence};
use super::total::Total;
use super::versions::{VersionFigures, Versions};

/// How many errors are kept, the latest ones.
const MAX_ERRORS: usize = 128;

/// How many refused reports are named; all are counted.
const MAX_NAMED: usize = 20;

/// The sum of the reports of several instances.
///
/// The order of adding only affects which refused reports are named. The sum is as precise as the least precise report,
/// and groups statuses like the coarsest one; [`differences`](Fleet::differences) says which these are.
#[derive(Debug, Clone)]
pub struct Fleet {
    now: SystemTime,
    total: Option<Total>,
    /// Sums by version instead of one, if these were asked for.
    versions: Option<Versions>,
    errors: Vec<RecentError>,
    instances: Vec<InstanceFigures>,
    refused: Vec<RefusedReport>,
    refused_count: u64,
    spans: HashMap<String, Span>,
}

/// How long an instance counted.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    /// By its monotonic clock: the sum of its reports.
    length: Duration,
    /// How often it writes, if it still does; `None` if not, so that nobody knows when this was.
    up: Option<Duration>,
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
    /// Creates a sum without reports. `now` decides which instances are up.
    pub fn new(now: SystemTime) -> Self {
        Self {
            now,
            total: None,
            versions: None,
            errors: Vec::new(),
            instances: Vec::new(),
            refused: Vec::new(),
            refused_count: 0,
            spans: HashMap::new(),
        }
    }

    /// Like [`Fleet::new`], but with a sum for each version of the service, in [`Fleet::versions`], instead of one of
    /// all.
    pub fn by_version(now: SystemTime) -> Self {
        Self { versions: Some(Versions::default()), ..Self::new(now) }
    }

    /// Returns the time that decides which instances are up.
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
    pub(super) fn add(&mut self, source: &str, report: Decoded<'_>, bytes: usize) {
        let figures = report.figures(self.now, bytes);
        if let Some(versions) = &mut self.versions {
            return match versions.add(report, figures.presence) {
                Ok(()) => self.instances.push(figures),
                Err(reason) => self.refuse(source, &reason),
            };
        }
        let Decoded { rest, endpoints, errors, instance, .. } = report;
        let span = rest.span;
        let added = match &mut self.total {
            Some(total) => total.add(rest, endpoints),
            none => Total::new(rest, endpoints).map(|total| *none = Some(total)),
        };
        if let Err(reason) = added {
            return self.refuse(source, &reason);
        }
        // By its start, too: a restarted instance is another one.
        let id = format!("{} {:?}", instance.name, instance.started);
        let of_instance = self.spans.entry(id).or_default();
        of_instance.length = of_instance.length.saturating_add(span);
        if figures.presence == Presence::Up {
            of_instance.up = Some(instance.interval);
        }
        self.errors.extend(errors);
        // Only from time to time, since it sorts.
        if self.errors.len() > 8 * MAX_ERRORS {
            self.keep_last_errors();
        }
        self.instances.push(figures);
    }

    /// Adds another sum, found at `source`, of instances that write on, but without what reports have for the moment:
    /// it is in a later report of each.
    #[cfg(feature = "redis")]
    pub(super) fn merge(&mut self, source: &str, other: &Self) {
        if let Some(theirs) = &other.total {
            let added = match &mut self.total {
                Some(total) => total.merge(theirs),
                none => {
                    *none = Some(theirs.clone());
                    Ok(())
                }
            };
            if let Err(reason) = added {
                return self.refuse(source, &reason);
            }
        }
        if let (Some(versions), Some(theirs)) = (&mut self.versions, &other.versions)
            && let Err(reason) = versions.merge(theirs)
        {
            self.refuse(source, &reason);
        }
        for (id, theirs) in &other.spans {
            let ours = self.spans.entry(id.clone()).or_default();
            ours.length = ours.length.saturating_add(theirs.length);
        }
        for figures in &other.instances {
            let presence = figures.instance.presence(self.now);
            self.instances.push(InstanceFigures { presence, ..figures.clone() });
        }
        self.errors.extend(other.errors.iter().cloned());
        self.refused_count += other.refused_count;
        let room = MAX_NAMED.saturating_sub(self.refused.len());
        self.refused.extend(other.refused.iter().take(room).cloned());
    }

    /// About how much memory the sum takes, in buckets of eight bytes. The line of an instance takes about as much as
    /// 64, and so does an error.
    #[cfg(feature = "redis")]
    pub(super) fn size(&self) -> usize {
        let versions = self.versions.as_ref().map_or(0, Versions::weight);
        versions
            + self.total.as_ref().map_or(0, Total::weight)
            + 64 * (self.instances.len() + self.errors.len())
    }

    /// Counts something found at `source` that cannot be read.
    pub fn refuse(&mut self, source: &str, reason: &str) {
        self.refused_count += 1;
        if self.refused.len() < MAX_NAMED {
            let source = visible(source, 200).into_owned();
            self.refused.push(RefusedReport { source, reason: reason.to_owned() });
        }
    }

    /// Returns the figures of all reports; `None` without reports.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.total.as_ref().map(Total::snapshot)
    }

    /// Returns the figures of all reports without endpoints, as parts; `None` without reports. That is enough for a
    /// list of consumers.
    ///
    /// A report names the 50 consumers with the most calls. Another consumer's calls at that instance are in `_other`;
    /// they are no more than the last of the 50 had. Past 10,000 names in a fleet, further consumers are in `_other`,
    /// too; which ones depends on the order of adding.
    pub fn without_endpoints(&self) -> Option<SnapshotParts> {
        self.total.as_ref().map(Total::without_endpoints)
    }

    /// Returns the summary of all reports with their latest errors; `None` without reports.
    ///
    /// The window lasts from the earliest start to the latest report by the instances' wall clocks, within bounds by
    /// their monotonic clocks, so that a wall clock that is set or wrong does little harm. It is no shorter than the
    /// longest span of an instance. All instances that are up count until now, or until their last report, which is up
    /// to three intervals old. So the window is no longer than the longest of their spans plus three intervals, and
    /// than the spans of those that are not up. The window of a single instance is its span.
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
        let longest = |spans: &mut dyn Iterator<Item = Duration>| spans.max().unwrap_or_default();
        let spans = || self.spans.values();
        let up = || spans().filter_map(|span| Some((span.length, span.up?)));
        let late =
            if up().count() > 1 { longest(&mut up().map(|(_, interval)| interval)) } else { Duration::ZERO };
        let until_now = longest(&mut up().map(|(length, _)| length)).saturating_add(late.saturating_mul(3));
        let past = spans().filter(|span| span.up.is_none());
        let most = past.fold(until_now, |most, span| most.saturating_add(span.length));
        let least = longest(&mut spans().map(|span| span.length));
        wall.clamp(least, most.max(least))
    }

    /// Returns the figures of each version, the newest first: the one whose first instance started last. Empty unless
    /// the sum was created with [`Fleet::by_version`].
    ///
    /// At most 20 versions are counted separately; reports of others are left out.
    pub fn versions(&self) -> Vec<VersionFigures> {
        self.versions.as_ref().map(Versions::figures).unwrap_or_default()
    }

    /// Returns the newest version and the sum of all others; `None` if there are fewer than two versions, or the sum
    /// was not created with [`Fleet::by_version`].
    pub fn newest_version(&self) -> Option<NewestVersion> {
        self.versions.as_ref()?.newest()
    }

    /// Returns the instances, in the order of adding.
    pub fn instances(&self) -> &[InstanceFigures] {
        &self.instances
    }

    /// Returns how the instances differ.
    pub fn differences(&self) -> Differences {
        let (digits, granularity) = self.total.as_ref().map_or((0, Granularity::Exact), Total::form);
        let clashes = self.total.as_ref().map(Total::clashes).unwrap_or_default();
        Differences::new(&self.instances, (digits, granularity), &clashes)
    }

    /// Returns the first 20 reports that were left out, and the number of all of them.
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
        let mut insert = |name: &str, length, up: Option<u64>| {
            fleet.spans.insert(name.to_owned(), Span { length: seconds(length), up: up.map(seconds) });
            // Set forward by a day, set back by a day, and right.
            [86_412, 0, 15].map(|wall| fleet.window(seconds(wall)).as_secs())
        };
        assert_eq!(insert("a", 15, Some(2)), [15, 15, 15]);
        assert_eq!(insert("a", 12, Some(2)), [12, 12, 12]);
        assert_eq!(insert("b", 10, Some(2)), [18, 12, 15]);
        // However many there are.
        assert_eq!(insert("c", 11, Some(2)), [18, 12, 15]);
        assert_eq!(insert("gone", 5, None), [23, 12, 15]);
        assert_eq!(insert("gone", 100, None), [118, 100, 100]);
    }
}
