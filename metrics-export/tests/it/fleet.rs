//! Reports of instances: a written report reads back, invalid bytes are refused, and the order of adding does not
//! matter.

mod limits;
mod merge;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::{
    ConsumerSnapshot, EndpointName, EndpointParts, Granularity, GroupParts, Health, Histogram, LabelSet,
    MetricParts, MetricStateParts, Outcome, RecentError, Registry, Snapshot, SnapshotParts, StatusGroup,
    UNIQUE_REGISTERS,
};
use metrics_export::fleet::{DecodeError, Fingerprints, Fleet, Instance, MAX_REPORT_BYTES, Presence, Report};
use proptest::prelude::*;

const OUTCOMES: [Outcome; 7] = [
    Outcome::Status(200),
    Outcome::Status(204),
    Outcome::Status(404),
    Outcome::Status(503),
    Outcome::Other,
    Outcome::Aborted,
    Outcome::Panicked,
];

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn instance(name: &str, written: SystemTime) -> Instance {
    Instance {
        service: "shop".to_owned(),
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        started: at(1_700_000_000),
        written,
        interval: Duration::from_secs(10),
        epoch: 1_700_000_000_123,
        stopped: false,
        fingerprints: Fingerprints::default(),
    }
}

/// One request: its route, how it ended, and how long it took.
pub(crate) type Call = (u8, usize, u64);

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let nanos = (0_u32..40, any::<u64>()).prop_map(|(bits, nanos)| nanos & ((1 << bits) - 1));
    prop::collection::vec((0_u8..6, 0..OUTCOMES.len(), nanos), 0..200)
}

fn registry(digits: u8, granularity: Granularity, calls: &[Call]) -> Registry {
    let registry = Registry::builder().significant_digits(digits).granularity(granularity);
    let registry = registry.error_log_capacity(8).build().unwrap();
    let jobs = registry.counter("jobs").unwrap();
    let db = registry.timer("db").unwrap();
    let users = registry.unique("users").unwrap();
    let cache = registry.hit_ratio("cache").unwrap();
    for &(route, outcome, nanos) in calls {
        let endpoint = registry.endpoint("GET", &format!("/{route}"));
        let elapsed = Duration::from_nanos(nanos);
        registry.record_error(endpoint, OUTCOMES[outcome], elapsed, "an error");
        jobs.add(nanos % 10);
        jobs.with_labels([("route", ["a", "b\"\\", "{c}"][usize::from(route) / 2]), ("to", "x")]).increment();
        db.record(elapsed);
        db.with("outcome", &OUTCOMES[outcome].to_string()).record(elapsed);
        users.insert(nanos.to_le_bytes());
        if nanos % 3 == 0 {
            cache.hit()
        } else {
            cache.miss()
        }
        let consumer = registry.consumer(&format!("key {}", nanos % 80));
        registry.with_recorder(|recorder| recorder.record_consumer(consumer, OUTCOMES[outcome], elapsed));
    }
    registry
}

pub(crate) fn report(name: &str, digits: u8, granularity: Granularity, calls: &[Call]) -> Report {
    let registry = registry(digits, granularity, calls);
    let errors = registry.summary().recent_errors;
    let snapshot = registry.snapshot();
    Report { instance: instance(name, snapshot.taken()), snapshot, errors }
}

fn granularities() -> impl Strategy<Value = Granularity> {
    prop_oneof![Just(Granularity::Outcome), Just(Granularity::Class), Just(Granularity::Exact)]
}

/// The parts of a snapshot, in an order that does not depend on the order of adding.
fn sorted(snapshot: &Snapshot) -> SnapshotParts {
    let mut parts = snapshot.to_parts();
    for endpoint in &mut parts.endpoints {
        endpoint.groups.sort_by_key(|group| group.group);
        endpoint.groups.iter_mut().for_each(|group| group.outcomes.sort());
    }
    parts.endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    parts.consumers.sort_by(|a, b| a.name.cmp(&b.name));
    for metric in &mut parts.metrics {
        if let MetricStateParts::Timer(Some(times)) = &mut metric.state {
            times.outcomes.sort();
        }
    }
    parts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_report_reads_as_it_was_written(
        digits in 1_u8..=3, granularity in granularities(), calls in calls()
    ) {
        let written = report("a", digits, granularity, &calls);
        let read = Report::decode(&written.encode()).unwrap();
        prop_assert_eq!(&read.instance, &written.instance);
        // Details stay at the instance.
        let errors = written.errors.iter().cloned();
        let errors: Vec<_> = errors.map(|error| RecentError { details: Default::default(), ..error }).collect();
        prop_assert_eq!(&read.errors, &errors);
        let (mut ours, mut theirs) = (sorted(&read.snapshot), sorted(&written.snapshot));
        prop_assert!(ours.consumers.len() <= 51);
        let sum = |parts: &SnapshotParts| parts.consumers.iter().map(|each| each.calls).sum::<u64>();
        prop_assert_eq!(sum(&ours), sum(&theirs));
        if theirs.consumers.len() > 50 {
            ours.consumers.clear();
            theirs.consumers.clear();
        }
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(read.encode(), written.encode());
    }

    #[test]
    fn adding_is_associative_and_commutative(a in calls(), b in calls(), c in calls()) {
        let [a, b, c] = [a, b, c].map(|calls| {
            let bytes = report("x", 2, Granularity::Class, &calls).encode();
            Report::decode(&bytes).unwrap().snapshot
        });
        let added = |one: &Snapshot, two: &Snapshot| {
            let mut sum = one.clone();
            sum.merge(two).unwrap();
            sum
        };
        prop_assert_eq!(sorted(&added(&a, &b)), sorted(&added(&b, &a)));
        prop_assert_eq!(
            sorted(&added(&added(&a, &b), &c)),
            sorted(&added(&a, &added(&b, &c)))
        );
    }

    #[test]
    fn a_fleet_has_the_sum_of_its_snapshots_in_the_coarsest_form_of_them(
        all in prop::collection::vec((1_u8..=3, granularities(), calls()), 1..5)
    ) {
        let reports: Vec<_> = all
            .iter()
            .map(|(digits, granularity, calls)| report("x", *digits, *granularity, calls).encode())
            .collect();
        let decoded = |bytes: &Vec<u8>| Report::decode(bytes).unwrap().snapshot;
        let now = reports.iter().map(|bytes| decoded(bytes).taken()).max().unwrap();
        let sum = |order: &mut dyn Iterator<Item = &Vec<u8>>| {
            let mut fleet = Fleet::new(now);
            order.for_each(|bytes| fleet.add_bytes("x", bytes));
            prop_assert_eq!(fleet.refused().1, 0);
            Ok(sorted(&fleet.snapshot().unwrap()))
        };
        // As if all had been recorded with the lowest precision and the coarsest granularity.
        let digits = all.iter().map(|&(digits, _, _)| digits).min().unwrap();
        let granularity = all.iter().map(|&(_, granularity, _)| granularity).min().unwrap();
        let mut parts = all.iter().zip(&reports).map(|((_, _, calls), bytes)| {
            let coarse = registry(digits, granularity, calls).snapshot().to_parts();
            let written = decoded(bytes).to_parts();
            // Their clocks and consumers are those of the registry that was written.
            let (since, taken, span, consumers) = (written.since, written.taken, written.span, written.consumers);
            Snapshot::from_parts(SnapshotParts { since, taken, span, consumers, ..coarse }).unwrap()
        });
        let mut expected = parts.next().unwrap();
        parts.for_each(|more| expected.merge(&more).unwrap());
        prop_assert_eq!(sum(&mut reports.iter())?, sorted(&expected));
        prop_assert_eq!(sum(&mut reports.iter().rev())?, sorted(&expected));
    }

    #[test]
    fn a_report_that_is_changed_or_cut_is_refused_or_valid(
        calls in calls(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = report("a", 2, Granularity::Class, &calls).encode();
        prop_assert!(Report::decode(&bytes[..cut.index(bytes.len())]).is_err());
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(read) = Report::decode(&bytes) {
            let figures = read.snapshot.summary().total;
            prop_assert!(figures.min <= figures.p50 && figures.p99 <= figures.max);
        }
    }
}

#[test]
fn a_reader_refuses_a_later_version_and_says_so() {
    let mut bytes = report("a", 2, Granularity::Class, &[]).encode();
    bytes[4] = 3;
    let error = Report::decode(&bytes).unwrap_err();
    assert_eq!(error, DecodeError::Version { found: 3, known: 2 });
    assert_eq!(
        error.to_string(),
        "the report has version 3, but only versions up to 2 can be read: update this instance"
    );
}

/// A report as sections: their tags and bytes.
pub(crate) fn sections(report: &[u8]) -> Vec<(u8, Vec<u8>)> {
    fn part(bytes: &[u8]) -> (&[u8], &[u8]) {
        let (mut length, mut at) = (0, 0);
        loop {
            length |= usize::from(bytes[at] & 0x7f) << (7 * at);
            at += 1;
            if bytes[at - 1] < 0x80 {
                return bytes[at..].split_at(length);
            }
        }
    }
    let (mut rest, after) = part(&report[5..]);
    assert!(after.is_empty());
    let mut sections = Vec::new();
    while let [tag, more @ ..] = rest {
        let (section, after) = part(more);
        sections.push((*tag, section.to_vec()));
        rest = after;
    }
    sections
}

fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

pub(crate) fn joined(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut all = Vec::new();
    for (tag, section) in sections {
        all.push(*tag);
        all.extend(number(section.len()));
        all.extend(section);
    }
    [b"MFLT\x02".to_vec(), number(all.len()), all].concat()
}

/// What an instance of the next version of this library may write: more sections, fields and kinds.
#[test]
fn what_a_later_version_adds_is_skipped_and_told_and_all_else_is_added_up() {
    let written = report("a", 2, Granularity::Class, &[(0, 0, 1_000), (1, 2, 5_000)]);
    let all = sections(&written.encode());
    assert_eq!(joined(&all), written.encode());
    assert_eq!(all.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let notes = |bytes: &[u8]| {
        let mut fleet = Fleet::new(written.snapshot.taken());
        fleet.add_bytes("a", bytes);
        assert_eq!(fleet.refused(), (&[][..], 0));
        assert_eq!(fleet.summary().unwrap().total.calls, 2);
        let notes = fleet.differences().of(&fleet.instances()[0]);
        (notes, sorted(&fleet.snapshot().unwrap()))
    };
    let (none, expected) = notes(&written.encode());
    assert_eq!(none, [""; 0]);
    let skips = |parts: u64| {
        format!("uses a later version of this library; {parts} parts of its report are not shown here")
    };

    let mut newer = all.clone();
    newer.insert(3, (77, b"a new section".to_vec()));
    newer.push((11, Vec::new()));
    assert_eq!(notes(&joined(&newer)), (vec![skips(2)], expected.clone()));

    // New fields at the end of each section but those that are lists, where they would be at the end of each element.
    // The first one is 0 in a report of today, which may leave it out.
    let mut newer = all.clone();
    newer.iter_mut().filter(|(tag, _)| *tag < 6).for_each(|(_, section)| section.extend([0, 2, 3]));
    let (_, section) = &mut newer[7];
    let metrics = usize::from(section[0]);
    section[0] += 1;
    // A metric of a kind that is not known.
    section.extend(number(7));
    section.extend(*b"\x03new\x63\x01\x02");
    assert_eq!(metrics, expected.metrics.iter().filter(|metric| metric.labels.is_empty()).count());
    assert_eq!(notes(&joined(&newer)), (vec![skips(6)], expected.clone()));

    // Without a section that each report has, it is none.
    for (missing, what) in
        [(1, "its instance"), (2, "its window"), (3, "its settings"), (4, "its figures in brief")]
    {
        let others: Vec<_> = all.iter().filter(|(tag, _)| *tag != missing).cloned().collect();
        assert_eq!(Report::decode(&joined(&others)).unwrap_err(), DecodeError::Lacks(what));
    }
    for missing in 5..=10 {
        let others: Vec<_> = all.iter().filter(|(tag, _)| *tag != missing).cloned().collect();
        assert!(Report::decode(&joined(&others)).is_ok(), "{missing}");
    }
    let mut twice = all.clone();
    twice.push(all[5].clone());
    assert_eq!(Report::decode(&joined(&twice)).unwrap_err(), DecodeError::Twice { what: "a section" });
}

/// A report with one of everything, in which nothing depends on the clock or on chance.
pub(crate) fn fixed_report() -> Report {
    let group = |group, outcomes: Vec<(Outcome, u64)>, first, counts: &[u64]| GroupParts {
        group,
        outcomes,
        sum_nanos: 1_234_567,
        min_nanos: 100,
        max_nanos: 900_000,
        clamped: 1,
        request_bytes: 300,
        response_bytes: 70_000,
        truncated: 2,
        histogram: Histogram::from_buckets(2, first, counts).unwrap(),
    };
    let name = |route: &str| Arc::new(EndpointName { method: "GET".into(), route: route.into() });
    let success =
        group(StatusGroup::Class(2), vec![(Outcome::Status(200), 28)], 90, &[1, 0, 0, 0, 2, 9, 9, 0, 7]);
    let panicked = group(StatusGroup::Panicked, vec![(Outcome::Panicked, 1)], 3_839, &[1]);
    let consumer = |name: &str, calls| ConsumerSnapshot {
        name: name.into(),
        calls,
        errors: 1,
        sum_nanos: 5_000,
        last_seen: at(1_700_000_090),
    };
    let metric = |name: &str, state| MetricParts { name: name.into(), labels: LabelSet::default(), state };
    let mut registers = vec![0; UNIQUE_REGISTERS];
    (registers[3], registers[4_000], registers[UNIQUE_REGISTERS - 1]) = (1, 52, 7);
    let times = group(StatusGroup::Class(2), vec![(Outcome::Status(200), 3)], 500, &[3]);
    let snapshot = SnapshotParts {
        since: at(1_700_000_000),
        taken: at(1_700_000_100),
        span: Duration::from_millis(99_990),
        significant_digits: 2,
        granularity: Granularity::Class,
        endpoints: vec![
            EndpointParts { name: name("/items/{id}"), in_flight: 3, groups: vec![success, panicked] },
            EndpointParts { name: name("/idle"), in_flight: 1, groups: Vec::new() },
        ],
        consumers: vec![consumer("bob", 2), consumer("_other", 5), consumer("ann", 300)],
        metrics: vec![
            metric("cache", MetricStateParts::HitRatio { hits: 9, misses: 1 }),
            metric("db", MetricStateParts::Timer(Some(Box::new(times)))),
            metric("depth", MetricStateParts::Gauge(-2.5)),
            metric("idle", MetricStateParts::Timer(None)),
            metric("jobs", MetricStateParts::Counter(1_000)),
            metric("users", MetricStateParts::UniqueCount { today: registers, yesterday: Vec::new() }),
        ],
        in_flight: 4,
        open_streams: 2,
        health: Health {
            endpoints: 2,
            max_series: 1_024,
            endpoints_refused: 3,
            consumers: 4,
            max_consumers: 1_000,
            consumers_refused: 5,
            shards: 6,
            errors_evicted: 7,
            errors_thinned: 8,
            label_sets_refused: 0,
        },
    };
    let error = RecentError {
        time: at(1_700_000_099),
        endpoint: name("/items/{id}"),
        outcome: Outcome::Status(503),
        response_time: Duration::from_millis(12),
        message: "no more \u{1f4a1}".to_owned(),
        trace: None,
        details: Default::default(),
    };
    let snapshot = Snapshot::from_parts(snapshot).unwrap();
    Report { instance: instance("orders-7", at(1_700_000_101)), snapshot, errors: vec![error] }
}

#[test]
fn a_report_is_written_as_these_bytes() {
    let expected = "\
        4d464c54029b0301320473686f70086f72646572732d3705312e322e338080a8b1e39fe7cb1780e4eed1dba2e7cb1780\
        c8afa025fbd095ffbc310002188080a8b1e39fe7cb1780d083f5d7a2e7cb1780a3f9bef40203040201000004031d0162\
        050d04020280080304e80705060708065f025103474554000b2f6974656d732f7b69647d03021c0c01c8011c87ad4b5a\
        a0f7365a09060a108171270501ac02f0a20402200201020187ad4b80808080ff0180808080ff01ff1d0102030401ac02\
        f0a204020b034745540203646c650100073b031203616e6eac020188278088d4d4b2a2e7cb171103626f620201882780\
        88d4d4b2a2e7cb1714065f6f74686572050188278088d4d4b2a2e7cb17086306090563616368650409011e026462030c\
        01c8010387ad4bd007a0f736f4030102850801ac02f0a204020f0564657074680100000000000004c0060469646c6502\
        08046a6f627300e807180575736572730580400d02410374022c4c0ae00958bf0a00092e012c80bc9898d4a2e7cb1703\
        4745540b2f6974656d732f7b69647df70380b6dc050c6e6f206d6f726520f09f92a1";
    let written = fixed_report().encode();
    let hex: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
    assert_eq!(Report::decode(&written).unwrap().encode(), written);
}
