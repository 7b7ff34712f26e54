//! Minutes that are kept of a fleet: what counts once, and the memory that they take.

use metrics_core::{
    ConsumerSnapshot, EndpointName, EndpointParts, Granularity, GroupParts, Histogram, MetricFigures,
    MetricParts, MetricStateParts, Outcome, Registry, Snapshot, SnapshotParts, StatusGroup, UNIQUE_REGISTERS,
};

use super::*;
use crate::fleet::redis::minutes::MAX_BUCKETS;
use crate::fleet::{Fingerprints, Instance, Report};

#[test]
fn gauges_and_requests_in_flight_count_once_in_a_window_of_several_reports() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    registry.record_nanos(endpoint, 200, 1_000);
    registry.gauge("depth").unwrap().set(5.0);
    let _under_way = registry.recorder().start();
    let snapshot = registry.snapshot();
    let now = snapshot.taken();
    let wanted = id("a", now);
    let report = Report { instance: instance(now), snapshot, errors: Vec::new() }.encode();
    let sums = Mutex::new(Sums::whole(Fleet::new(now)));
    for is_newest in [true, false, false] {
        let wanted = Wanted { id: &wanted, key: "a key".to_owned(), minute: None, sum: None, route: None };
        add(
            &sums,
            &Mutex::new(&mut Minutes::default()),
            &Found { wanted: &wanted, report: report.clone(), is_newest },
        );
    }
    let summary = locked(&sums).whole.summary().unwrap();
    assert_eq!((summary.total.calls, summary.in_flight), (3, 1));
    assert_eq!(summary.health.max_series, 1_024);
    assert_eq!(summary.business[0].figures, MetricFigures::Gauge(5.0));
}

fn instance(started: SystemTime) -> Instance {
    Instance {
        service: "shop".to_owned(),
        name: "a".to_owned(),
        version: String::new(),
        started,
        written: started,
        interval: Duration::from_secs(10),
        epoch: 0,
        stopped: false,
        fingerprints: Fingerprints::default(),
    }
}

/// A group of statuses with one call, and with as many buckets as there can be, or with none.
fn group(status: u16, is_wide: bool) -> GroupParts {
    let outcome = Outcome::Status(status);
    let last = Histogram::max_buckets(3).unwrap() - 1;
    let mut counts = vec![0; if is_wide { last + 1 } else { 0 }];
    counts.iter_mut().step_by(last).for_each(|count| *count = 1);
    GroupParts {
        group: StatusGroup::of(Granularity::Exact, outcome),
        outcomes: vec![(outcome, 1)],
        sum_nanos: 0,
        min_nanos: 0,
        max_nanos: u64::MAX,
        clamped: 0,
        request_bytes: 0,
        response_bytes: 0,
        truncated: 0,
        histogram: Histogram::from_buckets(3, 0, &counts).unwrap(),
    }
}

fn metrics(number: usize, state: impl Fn() -> MetricStateParts) -> Vec<MetricParts> {
    (0..number)
        .map(|each| MetricParts {
            name: format!("m{each}").into(),
            labels: Default::default(),
            state: state(),
        })
        .collect()
}

fn endpoint(route: String, groups: Vec<GroupParts>) -> EndpointParts {
    let name = Arc::new(EndpointName { method: "GET".into(), route: route.into() });
    EndpointParts { name, in_flight: 0, groups }
}

#[test]
fn minutes_that_are_kept_take_bounded_memory_whatever_another_tenant_writes_and_no_call_is_lost() {
    let registry = Registry::builder().significant_digits(3).granularity(Granularity::Exact).build().unwrap();
    let snapshot = registry.snapshot();
    let now = snapshot.taken();
    let wanted_id = id("a", now);
    type Fill = fn(&mut SnapshotParts);
    let kinds: [(&str, Fill); 5] = [
        ("buckets", |parts| {
            let groups = (100..200).map(|status| group(status, true)).collect();
            parts.endpoints.push(endpoint("/".to_owned(), groups));
        }),
        ("groups", |parts| {
            let groups = || (100..600).map(|status| group(status, false)).collect();
            parts.endpoints.extend((0..200).map(|number| endpoint(format!("/{number}"), groups())));
        }),
        ("endpoints", |parts| {
            parts.endpoints.extend(
                (0..10_000).map(|number| endpoint(format!("/{number:0>200}"), vec![group(200, false)])),
            );
        }),
        ("timers", |parts| {
            let times = || {
                let group = StatusGroup::of(Granularity::Class, Outcome::Status(200));
                MetricStateParts::Timer(Some(Box::new(GroupParts { group, ..self::group(200, true) })))
            };
            parts.metrics = metrics(100, times);
        }),
        ("distinct values", |parts| {
            let registers = || vec![1; UNIQUE_REGISTERS];
            let count = || MetricStateParts::UniqueCount { today: registers(), yesterday: registers() };
            parts.metrics = metrics(500, count);
        }),
    ];
    for (kind, fill) in kinds {
        let mut parts = snapshot.to_parts();
        fill(&mut parts);
        let calls: u64 = parts
            .endpoints
            .iter()
            .flat_map(|endpoint| &endpoint.groups)
            .flat_map(|group| &group.outcomes)
            .map(|(_, count)| count)
            .sum();
        let hostile = Snapshot::from_parts(parts).unwrap();
        let report = Report { instance: instance(now), snapshot: hostile, errors: Vec::new() }.encode();
        assert!(report.len() <= MAX_REPORT_BYTES, "{kind}");
        let sums = Mutex::new(Sums::whole(Fleet::new(now)));
        let mut kept = Minutes::default();
        for minute in 0..6 {
            let key = "a key".to_owned();
            let wanted =
                Wanted { id: &wanted_id, key, minute: Some(minute), sum: Some(Kept::Routes), route: None };
            let found = Found { wanted: &wanted, report: report.clone(), is_newest: false };
            add(&sums, &Mutex::new(&mut kept), &found);
        }
        // And the last one that was added.
        let size = kept.size();
        assert!((MAX_BUCKETS..2 * MAX_BUCKETS).contains(&size), "{kind}: {size}");
        let mut fleet = sums.into_inner().unwrap().whole;
        kept.add_to(&mut fleet, 0..=5, Kept::Routes);
        assert_eq!(fleet.refused().1, 0, "{kind}");
        assert_eq!(fleet.summary().unwrap().total.calls, 6 * calls, "{kind}");
    }
}

#[test]
fn an_endpoint_has_its_figures_alone_and_takes_little_memory() {
    let registry = Registry::new();
    let names = ["/a", "/b"].map(|route| EndpointName { method: "GET".into(), route: route.into() });
    for (calls, name) in (1..).zip(&names) {
        let endpoint = registry.endpoint("GET", &name.route);
        (0..calls).for_each(|_| registry.record_nanos(endpoint, 200, 1_000));
    }
    registry.timer("jobs").unwrap().record(Duration::from_nanos(1));
    let snapshot = registry.snapshot();
    let now = snapshot.taken();
    let wanted_id = id("a", now);
    let report = Report { instance: instance(now), snapshot, errors: Vec::new() }.encode();
    let sums = Mutex::new(Sums::by_minute(Fleet::new(now)));
    let mut kept = Minutes::default();
    let route = Some(RouteId::of(&names[1]));
    for (minute, is_newest) in [(7, true), (6, false)] {
        let (key, sum) = ("a key".to_owned(), route.map(Kept::Route));
        let wanted = Wanted { id: &wanted_id, key, minute: Some(minute), sum, route };
        add(&sums, &Mutex::new(&mut kept), &Found { wanted: &wanted, report: report.clone(), is_newest });
    }
    assert!(kept.has(6, Kept::Route(RouteId::of(&names[1])), &wanted_id));
    assert!(!kept.has(6, Kept::Route(RouteId::of(&names[0])), &wanted_id));
    assert!(kept.size() < 1_000, "{}", kept.size());
    let mut sums = sums.into_inner().unwrap();
    for minute in 6..=7 {
        kept.add_to(sums.of(Some(minute)), minute..=minute, Kept::Route(RouteId::of(&names[1])));
    }
    let (mut whole, points) = sums.finish();
    assert_eq!(points.iter().map(|point| point.figures.calls).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(points[0].histogram.total(), 2);
    let summary = whole.summary().unwrap();
    assert_eq!((summary.total.calls, summary.endpoints.len(), summary.business.len()), (4, 1, 0));
}

#[test]
fn consumers_of_kept_minutes_count_as_memory() {
    let snapshot = Registry::new().snapshot();
    let now = snapshot.taken();
    let mut kept = Minutes::default();
    for number in 0..4_u64 {
        let mut parts = snapshot.to_parts();
        parts.consumers = (0..50)
            .map(|each| ConsumerSnapshot {
                name: format!("{number} {each}").into(),
                calls: 1,
                errors: 0,
                sum_nanos: 0,
                last_seen: now,
            })
            .collect();
        let snapshot = Snapshot::from_parts(parts).unwrap();
        let report = Report { instance: instance(now), snapshot, errors: Vec::new() }.encode();
        let report = (&*number.to_string(), Decoded::read(&report).unwrap(), report.len());
        kept.add((1, Kept::Total), "a", report, now);
    }
    assert!(kept.size() >= 4 * 50 * 30, "{}", kept.size());
}

#[test]
fn a_panic_becomes_an_error() {
    assert_eq!(guarded("it", || Ok::<_, String>(7)), Ok(7));
    assert_eq!(guarded::<(), _>("it", || Err("no".to_owned())), Err("no".to_owned()));
    let panicked = guarded::<(), String>("it", || panic!("of a test"));
    assert_eq!(panicked, Err("it panicked, which is a bug in this library".to_owned()));
}
