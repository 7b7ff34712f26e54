//! Reports that are damaged, hostile or too large: they are refused, named and bounded.

use super::*;

#[test]
fn bytes_that_are_not_a_report_are_left_out_counted_and_named() {
    let good = report("a", 2, Granularity::Class, &[(0, 0, 1_000)]);
    let mut trailing = good.encode();
    trailing.push(0);
    let mut fleet = Fleet::new(good.snapshot.taken());
    let written = good.encode();
    fleet.add_bytes("good", &written);
    fleet.add_bytes("text\u{1b}[31m", b"hello");
    fleet.add_bytes("empty", b"");
    fleet.add_bytes("long", &vec![0; MAX_REPORT_BYTES + 1]);
    fleet.add_bytes("trailing", &trailing);
    // It would be up for 584 years.
    for (source, interval) in [("forever", Duration::MAX), ("rare", Duration::from_nanos(3_600_000_000_001))]
    {
        let instance = Instance { interval, ..good.instance.clone() };
        fleet.add_bytes(source, &Report { instance, ..good.clone() }.encode());
    }
    // The rates of the whole fleet would be over 584 years.
    let longest = Duration::from_secs(3_650 * 86_400);
    for (source, span) in [("ages", Duration::MAX), ("old", longest + Duration::from_nanos(1))] {
        let parts = SnapshotParts { span, ..good.snapshot.to_parts() };
        let snapshot = Snapshot::from_parts(parts).unwrap();
        fleet.add_bytes(source, &Report { snapshot, ..good.clone() }.encode());
    }
    let window = fleet.summary().unwrap().window;
    assert!(window <= longest / 1_000, "{window:?}");
    let (refused, count) = fleet.refused();
    let reasons: BTreeMap<_, _> = refused.iter().map(|r| (r.source.as_str(), r.reason.as_str())).collect();
    assert_eq!(count, 8);
    assert!(reasons["ages"].starts_with("the report's figures cover 18446744073"), "{}", reasons["ages"]);
    assert_eq!(reasons["old"], "the report's figures cover 315360000.000000001s; allowed: up to 3,650 days");
    assert_eq!(
        reasons["text\\u{1b}[31m"],
        "this is not a report of an instance: it does not begin with MFLT"
    );
    assert_eq!(reasons["long"], "the report has 4194305 bytes or more; allowed: up to 4194304");
    assert_eq!(reasons["trailing"], "1 bytes follow the end of the report");
    assert_eq!(reasons["rare"], "the report's interval is 3600.000000001s; allowed: up to 1 h");
    assert!(reasons["forever"].ends_with("; allowed: up to 1 h"), "{}", reasons["forever"]);
    assert_eq!((fleet.summary().unwrap().total.calls, fleet.instances().len()), (1, 1));
}

#[test]
fn the_memory_of_wide_histograms_in_many_reports_is_bounded() {
    let report = |number: usize| {
        let registry =
            Registry::builder().significant_digits(3).granularity(Granularity::Exact).build().unwrap();
        let endpoint = registry.endpoint("GET", &format!("/{number}"));
        // All buckets from the first to the last one, in a few bytes.
        for status in 100..200 {
            registry.record_nanos(endpoint, status, 1);
            registry.record_nanos(endpoint, status, u64::MAX);
        }
        let snapshot = registry.snapshot();
        Report { instance: instance("a", snapshot.taken()), snapshot, errors: Vec::new() }
    };
    let mut fleet = Fleet::new(SystemTime::now());
    for number in 0..20 {
        let bytes = report(number).encode();
        assert!(bytes.len() < 4_100, "{}", bytes.len());
        fleet.add_bytes("wide", &bytes);
    }
    let (refused, count) = fleet.refused();
    // Each takes 2,764,700.
    assert_eq!((fleet.instances().len(), count), (6, 14));
    assert_eq!(refused[0].reason, "the fleet would have 19352900 buckets; allowed: 16777216");
    assert_eq!(fleet.summary().unwrap().total.calls, 6 * 200);
    // There is still room for a report as services write it.
    let usual = self::report("b", 3, Granularity::Exact, &[(0, 0, 1_000), (1, 3, 350_000)]);
    fleet.add_bytes("usual", &usual.encode());
    assert_eq!((fleet.summary().unwrap().total.calls, fleet.refused().1), (6 * 200 + 2, 14));

    // In a fleet with one digit, more precise reports take no more room than coarse ones.
    let mut fleet = Fleet::new(SystemTime::now());
    let coarse = self::report("b", 1, Granularity::Exact, &[(0, 0, 1_000)]);
    fleet.add_bytes("coarse", &coarse.encode());
    (0..20).for_each(|number| fleet.add_bytes("wide", &report(number).encode()));
    assert_eq!((fleet.instances().len(), fleet.refused().1), (21, 0));
}

/// A report whose snapshot was changed by its parts.
fn changed(name: &str, change: impl FnOnce(&mut SnapshotParts)) -> Vec<u8> {
    let mut written = report(name, 3, Granularity::Class, &[]);
    let mut parts = written.snapshot.to_parts();
    change(&mut parts);
    written.snapshot = Snapshot::from_parts(parts).unwrap();
    written.encode()
}

#[test]
fn the_limits_of_endpoints_and_metrics_do_not_depend_on_the_order_of_reports() {
    let endpoints = |name: &str, numbers: Range<usize>| {
        changed(name, |parts| {
            parts.endpoints.extend(numbers.map(|number| EndpointParts {
                name: Arc::new(EndpointName { method: "GET".into(), route: format!("/{number}").into() }),
                in_flight: 1,
                groups: Vec::new(),
            }));
        })
    };
    let counters = |name: &str, numbers: Range<usize>| {
        changed(name, |parts| {
            let counter = |number| MetricParts {
                name: format!("c{number}").into(),
                labels: LabelSet::default(),
                state: MetricStateParts::Counter(1),
            };
            parts.metrics = numbers.map(counter).collect();
        })
    };
    let refused = |reports: &[&Vec<u8>]| {
        let mut fleet = Fleet::new(SystemTime::now());
        reports.iter().for_each(|bytes| fleet.add_bytes("a", bytes));
        fleet.refused().0.iter().map(|refused| refused.reason.clone()).collect::<Vec<_>>()
    };
    let (many, others) = (endpoints("a", 0..19_000), endpoints("b", 18_500..20_001));
    let few = endpoints("c", 18_500..20_000);
    for reports in [[&many, &few, &many], [&few, &many, &few]] {
        assert_eq!(refused(&reports), [""; 0]);
    }
    for reports in [[&many, &others], [&others, &many]] {
        assert_eq!(refused(&reports), ["the fleet would have 20001 endpoints; allowed: 20000"]);
    }
    let [a, b, c] = [0..1_000, 1_000..1_999, 1_998..2_001].map(|numbers| counters("a", numbers));
    for reports in [[&a, &b, &c], [&c, &b, &a], [&b, &c, &a]] {
        assert_eq!(refused(&reports), ["the fleet would have 2001 metrics; allowed: 2000"]);
    }
}

#[test]
fn the_memory_of_the_timers_of_a_fleet_is_bounded() {
    let registry = Registry::builder().significant_digits(3).build().unwrap();
    let timer = registry.timer("t").unwrap();
    timer.record(Duration::from_nanos(1));
    timer.record(Duration::MAX);
    let wide = registry.snapshot().to_parts().metrics.remove(0);
    let report = |number: usize| {
        changed("a", |parts| {
            parts.metrics.extend(
                (0..150)
                    .map(|timer| MetricParts { name: format!("t{number}_{timer}").into(), ..wide.clone() }),
            );
        })
    };
    let mut fleet = Fleet::new(SystemTime::now());
    (0..5).for_each(|number| fleet.add_bytes("a", &report(number)));
    // The same ones again take no more room.
    fleet.add_bytes("a", &report(0));
    let (refused, count) = fleet.refused();
    assert_eq!((fleet.instances().len(), count), (5, 1));
    // 750 timers with 27,647 buckets each, and 2,048 for the registers of distinct values.
    assert_eq!(refused[0].reason, "the fleet would have 20737298 buckets; allowed: 16777216");
}

#[test]
fn an_endpoint_or_group_that_occurs_twice_is_refused() {
    let twice = |change: fn(&mut SnapshotParts)| {
        let mut written = report("a", 2, Granularity::Class, &[(0, 0, 1_000), (1, 2, 1_000)]);
        let mut parts = written.snapshot.to_parts();
        change(&mut parts);
        written.snapshot = Snapshot::from_parts(parts).unwrap();
        Report::decode(&written.encode()).unwrap_err().to_string()
    };
    let endpoint = twice(|parts| parts.endpoints.push(parts.endpoints[0].clone()));
    assert_eq!(endpoint, "an endpoint is in the report twice; allowed: once");
    let group = twice(|parts| {
        let group = parts.endpoints[0].groups[0].clone();
        parts.endpoints[0].groups.push(group);
    });
    assert_eq!(group, "a group of an endpoint is in the report twice; allowed: once");
}
