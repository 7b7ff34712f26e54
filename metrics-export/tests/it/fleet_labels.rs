//! The own metrics of a fleet that have labels.

use std::time::{Duration, SystemTime};

use metrics_core::{MetricFigures, Registry};
use metrics_export::fleet::{Fleet, Report};

use crate::fleet::{instance, joined, sections};

fn labelled(registry: &Registry) -> Vec<u8> {
    let snapshot = registry.snapshot();
    Report { instance: instance("a", snapshot.taken()), snapshot, errors: Vec::new() }.encode()
}

#[test]
fn sets_of_labels_are_added_up_across_instances_and_kinds_stay_apart() {
    let [a, b, c] = [(); 3].map(|()| Registry::new());
    for (registry, queue, count) in [(&a, "mail", 2), (&b, "mail", 3), (&b, "sms", 4)] {
        registry.counter("jobs").unwrap().with("queue", queue).add(count);
        registry.gauge("depth").unwrap().with_labels([("queue", queue), ("to", "x")]).set(count as f64);
        registry.timer("work").unwrap().with("queue", queue).record(Duration::from_millis(count));
        registry.hit_ratio("cache").unwrap().with("queue", queue).hit();
        let users = registry.unique("users").unwrap().with("queue", queue);
        (0..count).for_each(|value| users.insert(value.to_le_bytes()));
    }
    c.gauge("jobs").unwrap().with("queue", "mail").set(1.5);
    let mut fleet = Fleet::new(SystemTime::now());
    [&a, &b, &c].into_iter().for_each(|registry| fleet.add_bytes("x", &labelled(registry)));
    assert_eq!(fleet.refused().1, 0, "{:?}", fleet.refused());
    let business = fleet.summary().unwrap().business;
    let series: Vec<_> = business
        .iter()
        .map(|metric| match &metric.figures {
            MetricFigures::Timer(times) => format!("{} {:?}", metric.series(), times.sum),
            // The day can change meanwhile.
            MetricFigures::UniqueCount { today, yesterday } => {
                format!("{} {} distinct", metric.series(), today.max(yesterday))
            }
            figures => format!("{} {figures:?}", metric.series()),
        })
        .collect();
    assert_eq!(
        series,
        [
            "cache{queue=\"mail\"} HitRatio { hits: 2, misses: 0 }",
            "cache{queue=\"sms\"} HitRatio { hits: 1, misses: 0 }",
            "depth{queue=\"mail\",to=\"x\"} Gauge(5.0)",
            "depth{queue=\"sms\",to=\"x\"} Gauge(4.0)",
            "jobs{queue=\"mail\"} Counter(5)",
            "jobs{queue=\"sms\"} Counter(4)",
            "jobs{queue=\"mail\"} Gauge(1.5)",
            "users{queue=\"mail\"} 3 distinct",
            "users{queue=\"sms\"} 4 distinct",
            "work{queue=\"mail\"} 5ms",
            "work{queue=\"sms\"} 4ms",
        ]
    );
    assert_eq!(
        fleet.differences().metrics(),
        ["\"jobs\" is a counter and a gauge on different instances; each is shown separately"]
    );
}

#[test]
fn a_reader_that_does_not_know_labels_reads_all_else() {
    let registry = Registry::new();
    registry.counter("jobs").unwrap().add(7);
    let without = labelled(&registry);
    registry.counter("jobs").unwrap().with("queue", "mail").add(2);
    let with = labelled(&registry);
    let tags = |report: &[u8]| sections(report).into_iter().map(|(tag, _)| tag).collect::<Vec<_>>();
    assert_eq!(tags(&without), (1..=9).collect::<Vec<_>>());
    assert_eq!(tags(&with), (1..=10).collect::<Vec<_>>());
    // To a reader of today, a section of a later version is what this one is to a reader of yesterday.
    let mut later = sections(&with);
    later[9].0 = 99;
    let mut fleet = Fleet::new(SystemTime::now());
    fleet.add_bytes("a", &joined(&later));
    let business = fleet.summary().unwrap().business;
    assert_eq!((business.len(), &business[0].figures), (1, &MetricFigures::Counter(7)));
    assert_eq!(fleet.instances()[0].form.unknown, 1);
    // What is in it is nothing to trust: names that are not valid become so, and what is then the same is added up.
    let twice = |name: &str| {
        let mut series = vec![4];
        series.extend(b"jobs");
        series.extend([1, name.len() as u8]);
        series.extend(name.as_bytes());
        series.extend([1, b'x', 0, 5]);
        let mut sections = sections(&with);
        sections[9].1 = [&[2, series.len() as u8], &series[..], &[series.len() as u8], &series].concat();
        Report::decode(&joined(&sections)).map(|read| read.snapshot.summary().business[1].clone())
    };
    let read = twice("a-\n").unwrap();
    assert_eq!((&*read.series(), &read.figures), ("jobs{a__n=\"x\"}", &MetricFigures::Counter(10)));
    assert_eq!(&*twice("le").unwrap().series(), "jobs{app_le=\"x\"}");
    assert!(twice(&"x".repeat(65)).is_err());
}

#[test]
fn sets_of_labels_that_a_fleet_has_no_room_for_are_other_and_every_report_is_added_up() {
    let mut fleet = Fleet::new(SystemTime::now());
    for instance in 0..6 {
        let registry = Registry::new();
        let (jobs, few) = (registry.counter("jobs").unwrap(), registry.counter("few").unwrap());
        for set in 0..130 {
            jobs.with_labels([("set", &*format!("{instance}-{set}")), ("to", "x")]).increment();
        }
        few.with("set", "a").increment();
        fleet.add_bytes("x", &labelled(&registry));
    }
    assert_eq!(fleet.refused().1, 0, "{:?}", fleet.refused());
    let summary = fleet.summary().unwrap();
    let of = |name: &'static str| summary.business.iter().filter(move |metric| &*metric.name == name);
    assert_eq!(of("jobs").filter_map(|metric| metric.figures.count()).sum::<u64>(), 6 * 130);
    // Four instances fill it, with the `_other` of each; the rest of the other two is there, too.
    assert_eq!(of("jobs").count(), 512);
    let other = of("jobs").find(|metric| metric.labels.get("set") == Some("_other")).unwrap();
    assert_eq!(other.figures, MetricFigures::Counter(6 * 130 - 511));
    assert_eq!(of("few").next().unwrap().figures, MetricFigures::Counter(6));
    assert_eq!(summary.health.label_sets_refused, 6 * 2 + (6 * 128 - 511));
}

#[test]
fn distinct_values_of_sets_of_labels_that_a_fleet_has_no_room_for_are_united_in_other() {
    let mut fleet = Fleet::new(SystemTime::now());
    for instance in 0..3 {
        let registry = Registry::new();
        let users = registry.unique("users").unwrap();
        // The same 32 values at each instance.
        (0..32).for_each(|set| users.with("set", &format!("{instance}-{set}")).insert([set]));
        fleet.add_bytes("x", &labelled(&registry));
    }
    assert_eq!(fleet.refused().1, 0, "{:?}", fleet.refused());
    let count = |figures: &MetricFigures| match figures {
        // The day can change meanwhile.
        MetricFigures::UniqueCount { today, yesterday } => today + yesterday,
        other => panic!("{other:?}"),
    };
    let summary = fleet.summary().unwrap();
    let other = summary.business.iter().find(|metric| metric.labels.get("set") == Some("_other")).unwrap();
    assert_eq!((summary.business.len(), count(&other.figures)), (64 + 1, 32));
    assert_eq!(summary.health.label_sets_refused, 32);
    let totals = fleet.snapshot().unwrap().metric_totals();
    assert_eq!((totals.len(), count(&totals[0].figures)), (1, 32));
}
