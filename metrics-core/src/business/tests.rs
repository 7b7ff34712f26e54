//! What each kind counts, with labels and without.

use super::*;
use crate::read::summary::metrics::MetricFigures;
use crate::registry::Registry;
use std::collections::BTreeMap;

fn figures(registry: &Registry) -> BTreeMap<String, MetricFigures> {
    let business = registry.summary().business;
    business.into_iter().map(|metric| (metric.name.to_string(), metric.figures)).collect()
}

#[test]
fn the_counts_of_all_threads_are_added_up() {
    let registry = Registry::new();
    let counter = registry.counter("analysis_requests").unwrap();
    let cache = registry.hit_ratio("cache").unwrap();
    let (db, queue) = (registry.timer("db_query").unwrap(), registry.gauge("queue_length").unwrap());
    let users = registry.unique("daily_active_users").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (counter, cache, db, queue, users) = (&counter, &cache, &db, &queue, &users);
            scope.spawn(move || {
                for i in 0..100_u64 {
                    counter.add(2);
                    if i % 4 == 0 {
                        cache.miss()
                    } else {
                        cache.hit()
                    }
                    db.record(Duration::from_micros(100 + i));
                    queue.add(1.0);
                    users.insert((thread * 50 + i).to_le_bytes());
                }
                queue.sub(50.0);
            });
        }
    });
    let figures = figures(&registry);
    assert_eq!(figures["analysis_requests"], MetricFigures::Counter(800));
    assert_eq!(counter.value(), 800);
    assert_eq!(figures["cache"], MetricFigures::HitRatio { hits: 300, misses: 100 });
    assert_eq!(figures["queue_length"], MetricFigures::Gauge(200.0));
    let MetricFigures::Timer(times) = &figures["db_query"] else { panic!("{figures:?}") };
    assert_eq!((times.calls, times.errors), (400, 0));
    assert_eq!((times.min, times.max), (Duration::from_micros(100), Duration::from_micros(199)));
    let MetricFigures::UniqueCount { today, yesterday } = figures["daily_active_users"] else { panic!() };
    // The day can change between two inserts.
    assert!((240..=260).contains(&(today + yesterday)), "{today} {yesterday}");
    assert_eq!(registry.summary().total.calls, 0);
}

#[test]
fn a_reset_begins_a_window_for_counts_and_leaves_gauges_as_they_are() {
    let registry = Registry::new();
    let (counter, gauge) = (registry.counter("jobs").unwrap(), registry.gauge("depth").unwrap());
    let timer = registry.timer("work").unwrap();
    counter.add(3);
    gauge.set(7.5);
    gauge.set(f64::NAN);
    assert_eq!(timer.time(|| 5), 5);
    timer.start().discard();
    let closed = registry.reset().business;
    assert_eq!(closed[1].figures, MetricFigures::Counter(3));
    assert_eq!(gauge.value(), 7.5);
    counter.increment();
    let figures = figures(&registry);
    assert_eq!(figures["jobs"], MetricFigures::Counter(1));
    assert_eq!(counter.value(), 4);
    assert_eq!(figures["depth"], MetricFigures::Gauge(7.5));
    assert_eq!(figures["work"], MetricFigures::Timer(Box::default()));
}

#[test]
fn each_of_sixteen_unique_counts_has_values_of_its_own() {
    let registry = Registry::new();
    let uniques: Vec<_> = (10..26).map(|i| registry.unique(&format!("unique_{i}")).unwrap()).collect();
    for (i, unique) in uniques.iter().enumerate() {
        (0..=i).for_each(|value| unique.insert(value.to_le_bytes()));
    }
    assert!(registry.unique("one_too_many").is_err());
    let counts = figures(&registry).into_values().map(|figures| match figures {
        MetricFigures::UniqueCount { today, yesterday } => today.max(yesterday),
        other => panic!("{other:?}"),
    });
    assert_eq!(counts.collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
}

#[test]
fn distinct_values_have_labels_and_all_series_together_have_each_value_once() {
    let registry = Registry::new();
    let users = registry.unique("users").unwrap();
    let series = |figures: &BTreeMap<String, MetricFigures>, name: &str| match figures[name] {
        MetricFigures::UniqueCount { today, yesterday } => today.max(yesterday),
        ref other => panic!("{other:?}"),
    };
    for value in 0..30_u64 {
        users.with("plan", "free").insert(value.to_le_bytes());
        if value >= 10 {
            users.with("plan", "pro").insert((value + 10).to_le_bytes());
        }
    }
    let summary = registry.summary();
    let figures: BTreeMap<_, _> =
        summary.business.iter().map(|m| (m.series().into_owned(), m.figures.clone())).collect();
    assert_eq!(figures.len(), 2, "nothing was inserted without labels: {figures:?}");
    let counts = [r#"users{plan="free"}"#, r#"users{plan="pro"}"#].map(|name| series(&figures, name));
    assert_eq!(counts, [30, 20]);
    let totals = registry.snapshot().metric_totals();
    let all = totals.into_iter().map(|m| (m.series().into_owned(), m.figures)).collect();
    assert_eq!(series(&all, "users"), 40);
}

#[test]
fn sets_of_labels_of_distinct_values_past_the_cap_are_other_in_all_metrics() {
    let registry = Registry::new();
    let uniques: Vec<_> = (0..16).map(|each| registry.unique(&format!("u{each}")).unwrap()).collect();
    for value in 0..40 {
        uniques[0].with("shop", &value.to_string()).insert([value]);
    }
    uniques.iter().for_each(|unique| unique.with("shop", "x").insert("x"));
    let series = registry.summary().business;
    let of_first = series.iter().filter(|metric| &*metric.name == "u0").count();
    assert_eq!(of_first, 32 + 1);
    let others = series.iter().filter(|metric| metric.series().contains("_other")).count();
    assert_eq!((others, series.len()), (16, 32 + 16));
    assert_eq!(registry.health().label_sets_refused, 8 + 16);
    assert!(registry.shard_bytes() < 2 << 20, "{}", registry.shard_bytes());
}

#[test]
fn a_measurement_counts_when_its_guard_is_dropped_unless_it_is_discarded() {
    let registry = Registry::new();
    let timer = registry.timer("work").unwrap();
    let calls = || match &figures(&registry)["work"] {
        MetricFigures::Timer(times) => times.calls,
        other => panic!("{other:?}"),
    };
    let timing = timer.start();
    assert_eq!(calls(), 0);
    drop(timing);
    assert_eq!(calls(), 1);
    timer.start().discard();
    assert_eq!(calls(), 1);
}
