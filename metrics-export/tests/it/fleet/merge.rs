//! Instances with other settings, of other versions, and those that are gone: how they are added up.

use super::*;

/// Three statuses of one endpoint in each form, and own metrics of which two share a name.
#[test]
fn instances_with_other_settings_are_added_up_and_told() {
    let started = SystemTime::now();
    let report = |name: &str, digits, granularity, change: fn(&mut Instance, &Registry)| {
        let registry =
            Registry::builder().significant_digits(digits).granularity(granularity).build().unwrap();
        let endpoint = registry.endpoint("GET", "/items/{id}");
        for (status, nanos) in [(200, 1_234_567), (204, 2_345_678), (404, 3_456_789), (503, 4_567_890)] {
            registry.record_nanos(endpoint, status, nanos);
        }
        let mut instance = instance(name, started);
        change(&mut instance, &registry);
        Report { instance, snapshot: registry.snapshot(), errors: Vec::new() }.encode()
    };
    let fingerprint = std::num::NonZeroU64::new(7);
    let mut reports = [
        report("a", 2, Granularity::Class, |_, registry| registry.counter("jobs").unwrap().add(3)),
        report("b", 3, Granularity::Exact, |instance, registry| {
            instance.interval = Duration::from_secs(5);
            registry.gauge("jobs").unwrap().set(1.5);
        }),
        report("c", 1, Granularity::Outcome, |_, registry| registry.counter("jobs").unwrap().add(4)),
        report("d", 2, Granularity::Class, |_, _| {}),
    ];
    for turn in 0..reports.len() {
        reports.rotate_left(1);
        let mut fleet = Fleet::new(started);
        reports.iter().for_each(|bytes| fleet.add_bytes("x", bytes));
        assert_eq!(fleet.refused(), (&[][..], 0));
        let snapshot = fleet.snapshot().unwrap();
        assert_eq!((snapshot.significant_digits(), snapshot.granularity()), (1, Granularity::Outcome));
        let endpoint = snapshot.endpoints().next().unwrap();
        let mut groups: Vec<_> = endpoint.groups().map(|group| (group.group(), group.calls())).collect();
        groups.sort();
        assert_eq!(groups, [(StatusGroup::Success, 8), (StatusGroup::Error, 8)], "{turn}");
        let summary = fleet.summary().unwrap();
        let outcomes: BTreeMap<_, _> = endpoint.outcomes().collect();
        assert_eq!(outcomes.len(), 4);
        assert!(outcomes.values().all(|&calls| calls == 4), "{outcomes:?}");
        let metrics: Vec<_> =
            summary.business.iter().map(|metric| (&*metric.name, format!("{:?}", metric.figures))).collect();
        assert_eq!(metrics, [("jobs", "Counter(7)".to_owned()), ("jobs", "Gauge(1.5)".to_owned())]);
        let differences = fleet.differences();
        assert_eq!(
            differences.metrics(),
            [r#""jobs" is a counter and a gauge on different instances; each is shown separately"#]
        );
        let of = |name: &str| {
            let figures = fleet.instances().iter().find(|figures| figures.instance.name == name).unwrap();
            differences.of(figures)
        };
        let digits = |own| format!("writes {own} significant digits; c writes 1, so the fleet has 1");
        let groups = |own| {
            format!(
                "writes a histogram {own}; c writes one by success and error, so the fleet has one by success and error"
            )
        };
        assert_eq!(of("a"), [digits(2), groups("by class of statuses")]);
        let interval = "writes every 5s, most instances every 10s".to_owned();
        assert_eq!(of("b"), [digits(3), groups("by status"), interval]);
        assert_eq!(of("c"), [""; 0]);
    }

    let other = report("e", 1, Granularity::Outcome, |_, _| {});
    let mut decoded = Report::decode(&other).unwrap();
    decoded.instance.fingerprints = Fingerprints { rules: fingerprint, consumer_key: fingerprint };
    let mut fleet = Fleet::new(started);
    reports.iter().for_each(|bytes| fleet.add_bytes("x", bytes));
    fleet.add_bytes("e", &decoded.encode());
    let differences = fleet.differences();
    let notes = differences.of(fleet.instances().last().unwrap());
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[0], "has different rules or objectives than most instances");
    assert!(notes[1].starts_with("hashes API keys with another key than most instances"), "{notes:?}");
}

#[test]
fn versions_stand_side_by_side_the_newest_first() {
    let now = at(1_700_001_000);
    let report =
        |name: &str, version: &str, started: u64, written: u64, digits, granularity, nanos: &[u64]| {
            let registry =
                Registry::builder().significant_digits(digits).granularity(granularity).build().unwrap();
            for (number, &nanos) in nanos.iter().enumerate() {
                let endpoint = registry.endpoint("GET", &format!("/{number}"));
                registry.record_nanos(endpoint, if nanos == 7 { 503 } else { 200 }, nanos);
            }
            let mut instance = instance(name, at(written));
            instance.version = version.to_owned();
            instance.started = at(started);
            Report { instance, snapshot: registry.snapshot(), errors: Vec::new() }.encode()
        };
    let (old, new) = (1_700_000_000, 1_700_000_900);
    let reports = [
        report("a", "1.0", old, 1_700_001_000, 2, Granularity::Class, &[1_000; 3]),
        report("b", "1.0", old + 800, 1_700_000_100, 3, Granularity::Exact, &[2_000, 7]),
        report("c", "1.1", new, 1_700_001_000, 1, Granularity::Outcome, &[90_000, 7, 7]),
        // Another minute of the same instance.
        report("c", "1.1", new, 1_700_000_940, 2, Granularity::Class, &[80_000]),
    ];
    for turn in 0..reports.len() {
        let mut fleet = Fleet::by_version(now);
        reports[turn..].iter().chain(&reports[..turn]).for_each(|bytes| fleet.add_bytes("x", bytes));
        assert_eq!((fleet.refused().1, fleet.instances().len()), (0, 4));
        let versions = fleet.versions();
        let of: Vec<_> = versions
            .iter()
            .map(|each| {
                let figures = &each.figures;
                (
                    &*each.version,
                    each.instances,
                    each.up,
                    figures.calls,
                    figures.errors,
                    figures.max.as_nanos(),
                )
            })
            .collect();
        assert_eq!(of, [("1.1", 1, 1, 4, 2, 90_000), ("1.0", 2, 1, 5, 1, 2_000)], "{turn}");
        assert_eq!(versions.iter().map(|each| each.first_started).collect::<Vec<_>>(), [at(new), at(old)]);
        // Within the precision of the least precise report of the version.
        assert!((85_000..=90_000).contains(&versions[0].figures.p99.as_nanos()), "{versions:?}");
        assert!((1_000..=1_008).contains(&versions[1].figures.p50.as_nanos()), "{versions:?}");
    }
    let mut fleet = Fleet::by_version(now);
    for version in 0..25 {
        let bytes = report("a", &format!("1.{version}"), old, old, 2, Granularity::Class, &[1]);
        fleet.add_bytes("x", &bytes);
    }
    assert_eq!((fleet.versions().len(), fleet.refused().1), (20, 5));
    assert_eq!(fleet.refused().0[0].reason, "the fleet has more than 20 versions");
}

#[test]
fn gauges_count_while_an_instance_is_up_and_days_are_those_of_the_reader() {
    let registry = Registry::new();
    registry.gauge("depth").unwrap().set(5.0);
    registry.unique("users").unwrap().insert("ann");
    let snapshot = registry.snapshot();
    let taken = snapshot.taken();
    let midnight = taken.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400 * 86_400;
    let bytes = Report { instance: instance("a", taken), snapshot, errors: Vec::new() }.encode();
    let seen = |now: SystemTime| {
        let business = Report::decode_at(&bytes, now).unwrap().snapshot.summary().business;
        business.into_iter().map(|metric| format!("{:?}", metric.figures)).collect::<Vec<_>>()
    };
    let users = |today, yesterday| format!("UniqueCount {{ today: {today}, yesterday: {yesterday} }}");
    assert_eq!(seen(taken), ["Gauge(5.0)".to_owned(), users(1, 0)]);
    assert_eq!(seen(at(midnight + 86_400 + 1_000)), [users(0, 1)]);
    assert_eq!(seen(at(midnight + 2 * 86_400 + 1_000)), [users(0, 0)]);
    // Merging does not move the days again.
    let tomorrow = at(midnight + 86_400 + 1_000);
    let mut sum = Report::decode_at(&bytes, tomorrow).unwrap().snapshot;
    sum.merge(&Report::decode_at(&bytes, tomorrow).unwrap().snapshot).unwrap();
    assert_eq!(format!("{:?}", sum.summary().business[0].figures), users(0, 1));
    // An instance whose clock is ahead does not move them either.
    let yesterday = at(midnight - 1_000);
    let mut today = Report::decode_at(&bytes, taken).unwrap().snapshot.to_parts();
    today.taken = yesterday;
    let mut sum = Snapshot::from_parts(today).unwrap();
    sum.merge(&Report::decode_at(&bytes, yesterday).unwrap().snapshot).unwrap();
    assert_eq!(format!("{:?}", sum.summary().business[1].figures), users(1, 0));
}

#[test]
fn an_instance_is_up_then_stale_then_gone() {
    let mut instance = instance("a", at(1_700_000_100));
    let presence = |instance: &Instance, seconds: u64| instance.presence(at(1_700_000_100 + seconds));
    assert_eq!(presence(&instance, 0), Presence::Up);
    assert_eq!(instance.presence(at(1_600_000_000)), Presence::Up);
    assert_eq!((presence(&instance, 30), presence(&instance, 31)), (Presence::Up, Presence::Stale));
    assert_eq!((presence(&instance, 300), presence(&instance, 301)), (Presence::Stale, Presence::Gone));
    instance.stopped = true;
    assert_eq!(presence(&instance, 0), Presence::Gone);
}
