//! Minutes that have ended, added up once and kept, so that a window reads only what is new.
//!
//! An instance's report of a minute is final once there is one of a later minute by the same instance. So that each is
//! added up once, and each answer gets it from here; what is not final is read for each answer.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::time::SystemTime;

use super::question::RouteId;
use crate::fleet::decoded::Decoded;
use crate::fleet::merge::Fleet;

/// The most memory that is kept, in buckets: 32 MiB. Of a fleet with 200 endpoints, this is a window of five minutes by
/// route. A report more may be kept, since that is only weighed once it is added.
pub(super) const MAX_BUCKETS: usize = 4 << 20;

/// What a sum has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kept {
    /// The sum of all endpoints.
    Total,
    /// The same for each version of the service.
    Versions,
    /// One endpoint, without consumers, errors and own metrics.
    Route(RouteId),
    /// Each endpoint separately.
    Routes,
}

/// Sums of final reports, by minute.
#[derive(Default)]
pub(super) struct Minutes(BTreeMap<(u64, Kept), Closed>);

struct Closed {
    /// The instances whose reports are in the sum.
    ids: HashSet<String>,
    sum: Fleet,
}

impl Minutes {
    /// Whether an instance's report of a minute is in the sum of that minute.
    pub(super) fn has(&self, minute: u64, kept: Kept, id: &str) -> bool {
        self.0.get(&(minute, kept)).is_some_and(|closed| closed.ids.contains(id))
    }

    /// Whether there is room for a further report. Single endpoints, which clients may name as they like, have a
    /// quarter of it.
    pub(super) fn has_room(&self, wanted: Kept) -> bool {
        let is_route = |kept: Kept| matches!(kept, Kept::Route(_));
        let of_routes = || {
            let routes = self.0.iter().filter(|((_, kept), _)| is_route(*kept));
            routes.map(|(_, closed)| closed.sum.size()).sum::<usize>()
        };
        self.size() < MAX_BUCKETS && (!is_route(wanted) || of_routes() < MAX_BUCKETS / 4)
    }

    /// How much memory all sums take, in buckets.
    pub(super) fn size(&self) -> usize {
        self.0.values().map(|closed| closed.sum.size()).sum()
    }

    /// Adds a final report, found at `key`; `bytes` is its size. One that does not fit into the sum of its minute is
    /// refused there.
    pub(super) fn add(
        &mut self,
        (minute, kept): (u64, Kept),
        id: &str,
        (key, report, bytes): (&str, Decoded<'_>, usize),
        now: SystemTime,
    ) {
        let sum = || if kept == Kept::Versions { Fleet::by_version(now) } else { Fleet::new(now) };
        let new = || Closed { ids: HashSet::new(), sum: sum() };
        let closed = self.0.entry((minute, kept)).or_insert_with(new);
        closed.sum.add(key, report, bytes);
        closed.ids.insert(id.to_owned());
    }

    /// Adds the sums of these minutes to `fleet`.
    pub(super) fn add_to(&self, fleet: &mut Fleet, minutes: RangeInclusive<u64>, wanted: Kept) {
        let range = (*minutes.start(), Kept::Total)..=(*minutes.end(), Kept::Routes);
        for ((minute, kept), closed) in self.0.range(range) {
            if *kept == wanted {
                fleet.merge(&format!("the minute {minute}"), &closed.sum);
            }
        }
    }

    /// Drops minutes before this one, and the oldest ones that take too much room.
    pub(super) fn forget(&mut self, before: u64) {
        self.0.retain(|(minute, _), _| *minute >= before);
        let mut left = MAX_BUCKETS;
        let mut is_kept = |closed: &Closed| {
            left = left.saturating_sub(closed.sum.size());
            left > 0
        };
        let kept: HashSet<_> =
            self.0.iter().rev().filter(|(_, closed)| is_kept(closed)).map(|(key, _)| *key).collect();
        self.0.retain(|key, _| kept.contains(key));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::{EndpointName, Granularity, Registry};

    use super::*;
    use crate::fleet::{Fingerprints, Instance, Presence, Report};

    /// The report of a minute of an instance that started at 0, with three calls.
    fn report(name: &str, minute: u64, (digits, granularity): (u8, Granularity)) -> Vec<u8> {
        let registry =
            Registry::builder().significant_digits(digits).granularity(granularity).build().unwrap();
        let endpoint = registry.endpoint("GET", &format!("/{name}"));
        for (status, nanos) in [(200, 1_000), (204, 2_000 + minute), (503, 300_000)] {
            registry.record_nanos(endpoint, status, nanos);
        }
        registry.counter("jobs").unwrap().add(minute);
        registry.gauge("depth").unwrap().set(5.0);
        let instance = Instance {
            service: "shop".to_owned(),
            name: name.to_owned(),
            version: if name == "c" { "2" } else { "1" }.to_owned(),
            started: SystemTime::UNIX_EPOCH,
            written: at(minute),
            interval: Duration::from_secs(60),
            epoch: 0,
            stopped: false,
            fingerprints: Fingerprints::default(),
        };
        let parts = registry.snapshot().to_parts();
        let parts = metrics_core::SnapshotParts {
            since: at(minute),
            taken: at(minute) + Duration::from_secs(30),
            span: Duration::from_secs(30),
            ..parts
        };
        let snapshot = metrics_core::Snapshot::from_parts(parts).unwrap();
        Report { instance, snapshot, errors: Vec::new() }.encode()
    }

    fn at(minute: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(60 * minute)
    }

    #[test]
    fn a_window_has_the_same_figures_whether_its_minutes_were_kept_or_read() {
        let forms = [(2, Granularity::Class), (3, Granularity::Exact), (1, Granularity::Outcome)];
        let now = at(20) + Duration::from_secs(40);
        let all = || {
            (15..=20)
                .flat_map(|minute| ["a", "b", "c"].into_iter().zip(forms).map(move |form| (minute, form)))
        };
        let (mut read, mut answer, mut kept) = (Fleet::new(now), Fleet::new(now), Minutes::default());
        for (minute, (name, form)) in all() {
            let bytes = report(name, minute, form);
            let mut decoded = Decoded::read_at(&bytes, now).unwrap();
            if minute == 20 {
                read.add_bytes("x", &bytes);
                answer.add_bytes("x", &bytes);
                continue;
            }
            decoded.drop_state();
            read.add("x", decoded, bytes.len());
            let mut decoded = Decoded::read_at(&bytes, at(minute + 1)).unwrap();
            decoded.drop_state();
            kept.add((minute, Kept::Routes), name, ("x", decoded, bytes.len()), at(minute + 1));
        }
        // Of another detail, and of a minute before the window.
        let other = report("a", 18, forms[0]);
        for place in [(18, Kept::Total), (14, Kept::Routes)] {
            kept.add(place, "a", ("x", Decoded::read(&other).unwrap(), other.len()), now);
        }
        assert!(kept.has(19, Kept::Routes, "c") && !kept.has(20, Kept::Routes, "c"));
        kept.add_to(&mut answer, 15..=20, Kept::Routes);
        let figures = |fleet: &mut Fleet| {
            let summary = fleet.summary().unwrap();
            let snapshot = fleet.snapshot().unwrap();
            let mut up: Vec<_> =
                fleet.instances().iter().map(|each| (each.instance.written, each.presence)).collect();
            up.sort();
            assert_eq!(up.iter().filter(|(_, presence)| *presence == Presence::Up).count(), 9, "{up:?}");
            let form = (snapshot.significant_digits(), snapshot.granularity());
            (summary.total, summary.endpoints, summary.business, summary.window, up, form)
        };
        assert_eq!(figures(&mut answer), figures(&mut read));
        assert_eq!(answer.refused(), (&[][..], 0));

        kept.forget(18);
        assert!(!kept.has(17, Kept::Routes, "a") && kept.has(18, Kept::Routes, "a"));
    }

    #[test]
    fn versions_in_a_window_have_the_same_figures_whether_its_minutes_were_kept_or_read() {
        let forms = [(2, Granularity::Class), (3, Granularity::Exact), (1, Granularity::Outcome)];
        // The last minute's reports are of instances that are up.
        let now = at(20) + Duration::from_secs(40);
        let (mut read, mut answer) = (Fleet::by_version(now), Fleet::by_version(now));
        let mut kept = Minutes::default();
        for minute in 15..=20 {
            for (name, form) in ["a", "b", "c"].into_iter().zip(forms) {
                let bytes = report(name, minute, form);
                read.add_bytes("x", &bytes);
                if minute == 20 {
                    answer.add_bytes("x", &bytes);
                } else {
                    let decoded = Decoded::read_at(&bytes, at(minute + 1)).unwrap();
                    kept.add((minute, Kept::Versions), name, ("x", decoded, bytes.len()), at(minute + 1));
                }
            }
        }
        assert!(kept.has(19, Kept::Versions, "c") && !kept.has(19, Kept::Total, "c"));
        assert!(kept.size() > 5 * 3 * 64, "{}", kept.size());
        kept.add_to(&mut answer, 15..=20, Kept::Versions);
        let versions = read.versions();
        assert_eq!(answer.versions(), versions);
        let calls: Vec<_> = versions.iter().map(|each| (&*each.version, each.figures.calls)).collect();
        assert_eq!(calls, [("1", 2 * 6 * 3), ("2", 6 * 3)]);
        assert_eq!(answer.instances().len(), read.instances().len());
    }

    /// A report that takes a third of the room.
    fn wide() -> Vec<u8> {
        let registry =
            Registry::builder().significant_digits(3).granularity(Granularity::Exact).build().unwrap();
        let endpoint = registry.endpoint("GET", "/");
        for status in 100..150 {
            registry.record_nanos(endpoint, status, 1);
            registry.record_nanos(endpoint, status, u64::MAX);
        }
        let narrow = report("a", 1, (2, Granularity::Class));
        let mut wide = Report::decode(&narrow).unwrap();
        wide.snapshot = registry.snapshot();
        wide.encode()
    }

    #[test]
    fn the_oldest_minutes_are_dropped_when_there_is_no_room() {
        let (mut kept, wide) = (Minutes::default(), wide());
        for minute in 1..=4 {
            kept.add((minute, Kept::Total), "a", ("x", Decoded::read(&wide).unwrap(), wide.len()), at(1));
        }
        kept.forget(0);
        assert_eq!(
            (1..=4).map(|minute| kept.has(minute, Kept::Total, "a")).collect::<Vec<_>>(),
            [false, true, true, true]
        );
    }

    #[test]
    fn single_endpoints_leave_room_for_all_together() {
        let (mut kept, wide) = (Minutes::default(), wide());
        let name = |route: &str| EndpointName { method: "GET".into(), route: route.into() };
        let [one, other] = ["/one", "/other"].map(|route| Kept::Route(RouteId::of(&name(route))));
        assert!(kept.has_room(one) && kept.has_room(Kept::Routes));
        kept.add((1, one), "a", ("x", Decoded::read(&wide).unwrap(), wide.len()), at(1));
        assert!(!kept.has_room(one) && !kept.has_room(other));
        assert!(kept.has_room(Kept::Total) && kept.has_room(Kept::Routes));
    }
}
