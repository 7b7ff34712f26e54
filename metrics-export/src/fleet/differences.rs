//! How the instances of a fleet differ, in words.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use metrics_core::{Granularity, MetricKind};

use super::codes::VERSION;
use super::instance::{Fingerprints, Form, InstanceFigures};

/// How the instances of a fleet differ. They are added up nevertheless, in the coarsest form among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Differences {
    digits: u8,
    granularity: Granularity,
    /// An instance with as few digits, and one with as coarse groups.
    examples: [String; 2],
    /// What most instances have.
    interval: Duration,
    fingerprints: Fingerprints,
    metrics: Vec<String>,
}

impl Differences {
    pub(super) fn new(
        instances: &[InstanceFigures],
        (digits, granularity): (u8, Granularity),
        clashes: &[(&str, Vec<MetricKind>)],
    ) -> Self {
        let first = |is_one: &dyn Fn(&Form) -> bool| {
            let names = instances.iter().filter(|figures| is_one(&figures.form));
            names.map(|figures| figures.instance.name.clone()).min().unwrap_or_default()
        };
        let examples = [first(&|form| form.digits == digits), first(&|form| form.granularity == granularity)];
        let knowing = || instances.iter().filter(|figures| figures.form.version > 1);
        let fingerprints = |of: fn(&Fingerprints) -> Option<NonZeroU64>| {
            most(knowing().map(|figures| of(&figures.instance.fingerprints))).flatten()
        };
        let metrics = clashes.iter().map(|(name, kinds)| {
            let kinds: Vec<_> = kinds.iter().map(|kind| format!("a {kind}")).collect();
            format!("{name:?} is {} on different instances; each is shown separately", kinds.join(" and "))
        });
        Self {
            digits,
            granularity,
            examples,
            interval: most(instances.iter().map(|figures| figures.instance.interval)).unwrap_or_default(),
            fingerprints: Fingerprints {
                rules: fingerprints(|all| all.rules),
                consumer_key: fingerprints(|all| all.consumer_key),
            },
            metrics: metrics.collect(),
        }
    }

    /// Returns a sentence for each metric name that has several kinds.
    pub fn metrics(&self) -> &[String] {
        &self.metrics
    }

    /// Returns how an instance differs from the sum or from most instances, one sentence per difference.
    pub fn of(&self, figures: &InstanceFigures) -> Vec<String> {
        let Form { version, digits, granularity, unknown } = figures.form;
        let Fingerprints { rules, consumer_key } = figures.instance.fingerprints;
        let interval = figures.instance.interval;
        let [precise, grouped] = &self.examples;
        let is_known = version > 1;
        let all = [
            (version < VERSION).then(|| {
                format!("writes version {version} of the report, which lacks some figures; update it")
            }),
            (unknown > 0).then(|| {
                format!("uses a later version of this library; {unknown} parts of its report are not shown here")
            }),
            (digits > self.digits).then(|| {
                let most = self.digits;
                format!("writes {digits} significant digits; {precise} writes {most}, so the fleet has {most}")
            }),
            (granularity > self.granularity).then(|| {
                let (own, all) = (words(granularity), words(self.granularity));
                format!("writes a histogram {own}; {grouped} writes one {all}, so the fleet has one {all}")
            }),
            (interval != self.interval)
                .then(|| format!("writes every {interval:?}, most instances every {:?}", self.interval)),
            (is_known && rules != self.fingerprints.rules)
                .then(|| "has different rules or objectives than most instances".to_owned()),
            (is_known && consumer_key != self.fingerprints.consumer_key).then(|| {
                "hashes API keys with another key than most instances, so one consumer has several names; set \
                 the same consumer_hash_key everywhere"
                    .to_owned()
            }),
        ];
        all.into_iter().flatten().collect()
    }
}

/// What occurs most often; of several, the last in order.
fn most<T: Ord>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts = BTreeMap::new();
    all.for_each(|each| *counts.entry(each).or_insert(0_u32) += 1);
    counts.into_iter().max_by_key(|&(_, count)| count).map(|(each, _)| each)
}

fn words(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Outcome => "by success and error",
        Granularity::Class => "by class of statuses",
        Granularity::Exact => "by status",
    }
}
