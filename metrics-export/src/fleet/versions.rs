//! The figures of each version of a service, side by side.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::alert::NewestVersion;
use metrics_core::{
    EndpointName, Figures, Granularity, Health, Histogram, PartsError, Snapshot, SnapshotParts,
};

use super::decoded::Decoded;
use super::histograms::ReadGroup;
use super::instance::Presence;
use super::sums::{EndpointSum, GroupSum};

/// The most versions that are told apart.
const MAX_VERSIONS: usize = 20;

/// Versions are shown with at most two significant digits and by class of statuses, so that a sum takes at most 240 KiB
/// whatever reports have.
const DIGITS: u8 = 2;
const GRANULARITY: Granularity = Granularity::Class;

/// Sums of reports by version, each with all endpoints as one.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions(HashMap<String, Sum>);

#[derive(Debug, Clone)]
struct Sum {
    digits: u8,
    granularity: Granularity,
    total: EndpointSum,
    /// How long each instance counted, and whether it is up, by its name and start.
    instances: HashMap<(String, SystemTime), (Duration, bool)>,
}

/// The figures of one version of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionFigures {
    /// The version, as the instances write it; empty for those without one.
    pub version: String,
    /// The start of its first instance that is still in the fleet's figures.
    pub first_started: SystemTime,
    /// Its instances, those that are gone included.
    pub instances: usize,
    /// How many of them are [up](Presence::Up).
    pub up: usize,
    /// How long they counted: the longest time of an instance.
    pub window: Duration,
    /// The figures of all of its requests.
    pub figures: Figures,
}

impl Versions {
    /// Adds a report.
    pub(super) fn add(&mut self, report: Decoded<'_>, presence: Presence) -> Result<(), String> {
        let Decoded { instance, rest, endpoints, .. } = report;
        if !self.0.contains_key(&instance.version) && self.0.len() >= MAX_VERSIONS {
            return Err(too_many());
        }
        let sum = self.0.entry(instance.version).or_insert_with(Sum::new);
        let digits = rest.significant_digits;
        sum.coarsen(digits, rest.granularity).map_err(|error| error.to_string())?;
        for ReadGroup { mut figures, first, counts } in endpoints.into_iter().flat_map(|each| each.groups) {
            figures.group = figures.group.coarsened(sum.granularity);
            let counted = sum.total.group(figures).counts.add_limited(first, &counts, digits, sum.digits);
            counted.map_err(|error| error.to_string())?;
        }
        let ours = sum.instances.entry((instance.name, instance.started)).or_default();
        *ours = (ours.0.saturating_add(rest.span), ours.1 || presence == Presence::Up);
        Ok(())
    }

    /// Adds other sums, of earlier reports of the same instances. Whether these are up, their latest ones say.
    #[cfg(feature = "redis")]
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), String> {
        let mut left_out = 0;
        for (version, theirs) in &other.0 {
            if !self.0.contains_key(version) && self.0.len() >= MAX_VERSIONS {
                left_out += 1;
                continue;
            }
            let ours = self.0.entry(version.clone()).or_insert_with(Sum::new);
            ours.merge(theirs).map_err(|error| error.to_string())?;
            for (instance, (counted, _)) in &theirs.instances {
                let known = ours.instances.entry(instance.clone()).or_default();
                known.0 = known.0.saturating_add(*counted);
            }
        }
        if left_out == 0 { Ok(()) } else { Err(too_many()) }
    }

    /// About how much memory the sums take, in buckets of eight bytes. An instance takes about as much as 64.
    #[cfg(feature = "redis")]
    pub(super) fn weight(&self) -> usize {
        let groups = self.0.values().flat_map(|sum| &sum.total.groups);
        let buckets: usize = groups.map(|group| 64 + group.counts.counts.len()).sum();
        buckets + self.0.values().map(|sum| 64 * sum.instances.len()).sum::<usize>()
    }

    /// The newest version beside the sum of all others; `None` if there are not two.
    pub(super) fn newest(&self) -> Option<NewestVersion> {
        let all = self.figures();
        let (newest, rest) = all.split_first().filter(|(_, rest)| !rest.is_empty())?;
        let mut others = Sum::new();
        for version in rest {
            // Each was read with a form that this one can take.
            others.merge(self.0.get(&version.version)?).ok()?;
        }
        let (version, newest) = (newest.version.as_str().into(), newest.figures.clone());
        Some(NewestVersion { version, newest, rest: others.figures() })
    }

    /// The figures of each version. The newest comes first: that whose first instance started last.
    pub(super) fn figures(&self) -> Vec<VersionFigures> {
        let figures = self.0.iter().map(|(version, sum @ Sum { instances, .. })| VersionFigures {
            version: version.clone(),
            first_started: instances
                .keys()
                .map(|(_, started)| *started)
                .min()
                .unwrap_or(SystemTime::UNIX_EPOCH),
            instances: instances.len(),
            up: instances.values().filter(|(_, is_up)| *is_up).count(),
            window: instances.values().map(|(counted, _)| *counted).max().unwrap_or_default(),
            figures: sum.figures(),
        });
        let mut all: Vec<_> = figures.collect();
        all.sort_by(|a, b| b.first_started.cmp(&a.first_started).then_with(|| a.version.cmp(&b.version)));
        all
    }
}

fn too_many() -> String {
    format!("the fleet has more than {MAX_VERSIONS} versions")
}

impl Sum {
    fn new() -> Self {
        let name = Arc::new(EndpointName { method: "_ALL".into(), route: "_all".into() });
        let total = EndpointSum { name, in_flight: 0, groups: Vec::new() };
        Self { digits: DIGITS, granularity: GRANULARITY, total, instances: HashMap::new() }
    }

    /// Takes up the form of a report, if it is coarser.
    fn coarsen(&mut self, digits: u8, granularity: Granularity) -> Result<(), PartsError> {
        if granularity < self.granularity {
            self.total.coarsen(granularity);
            self.granularity = granularity;
        }
        if digits < self.digits {
            let empty = Histogram::from_buckets(digits, 0, &[])?;
            for group in &mut self.total.groups {
                group.counts = group.counts.limited(self.digits, digits)?;
                group.figures.histogram = empty.clone();
            }
            self.digits = digits;
        }
        Ok(())
    }

    /// Adds the requests of another sum.
    fn merge(&mut self, other: &Self) -> Result<(), PartsError> {
        self.coarsen(other.digits, other.granularity)?;
        for GroupSum { figures, counts } in &other.total.groups {
            let mut figures = figures.clone();
            figures.group = figures.group.coarsened(self.granularity);
            let limited = counts.limited(other.digits, self.digits)?;
            self.total.group(figures).counts.add(limited.first, &limited.counts);
        }
        Ok(())
    }

    fn figures(&self) -> Figures {
        let parts = SnapshotParts {
            since: SystemTime::UNIX_EPOCH,
            taken: SystemTime::UNIX_EPOCH,
            span: Duration::ZERO,
            significant_digits: self.digits,
            granularity: self.granularity,
            endpoints: self.total.parts(self.digits).into_iter().collect(),
            consumers: Vec::new(),
            metrics: Vec::new(),
            in_flight: 0,
            open_streams: 0,
            health: Health::default(),
        };
        let snapshot = Snapshot::from_parts(parts);
        snapshot.expect("each part was checked as it was read, and sums stay in range").summary().total
    }
}
