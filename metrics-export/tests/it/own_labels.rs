//! Labels of the application's own metrics in each format of Prometheus.

use std::time::Duration;

use metrics_core::{LabelSet, Registry};
use metrics_export::prometheus::{Exposition, Format, Resources, Scraper};
use proptest::prelude::*;

use crate::parser::{Family, parse};
use crate::proto::delimited;

fn with_labels() -> Registry {
    let registry = Registry::new();
    let jobs = registry.counter("jobs").unwrap();
    jobs.with_labels([("queue", "a\\b \"c\"\n"), ("to", "x")]).add(3);
    jobs.with("queue", "mail").increment();
    registry.gauge("depth").unwrap().with("env", "mine").set(-1.5);
    registry.hit_ratio("cache").unwrap().with("le", "users").hit();
    registry.timer("db").unwrap().with("table", "users").record(Duration::from_millis(20));
    registry.timer("db").unwrap().with("table", "orders").record(Duration::from_millis(200));
    registry.unique("users").unwrap().with_labels([("day", "x"), ("plan", "pro")]).insert("Ann");
    registry
}

fn rendered(exposition: &Exposition, registry: &Registry, format: Format) -> Vec<u8> {
    let mut buffer = Vec::new();
    exposition.render(&registry.snapshot(), format, &mut buffer);
    buffer
}

fn text(exposition: &Exposition, registry: &Registry, format: Format) -> String {
    String::from_utf8(rendered(exposition, registry, format)).unwrap()
}

/// The samples of a family, as names, labels and values.
fn samples(family: &Family) -> Vec<String> {
    let samples = family.samples.iter();
    samples.map(|sample| format!("{} {:?} {}", sample.name, sample.labels, sample.value)).collect()
}

#[test]
fn a_family_has_a_series_for_each_set_of_labels_under_one_head() {
    let exposition = Exposition::builder().duration_bounds([0.1]).build().unwrap();
    let own = r#"# HELP cache_lookups_total Lookups, by whether they were a hit or a miss.
# TYPE cache_lookups_total counter
cache_lookups_total{app_le="users",result="hit"} 1
cache_lookups_total{app_le="users",result="miss"} 0
# HELP db_duration_seconds Durations, timed by the application.
# TYPE db_duration_seconds histogram
db_duration_seconds_bucket{table="orders",le="0.1"} 0
db_duration_seconds_bucket{table="orders",le="+Inf"} 1
db_duration_seconds_sum{table="orders"} 0.2
db_duration_seconds_count{table="orders"} 1
db_duration_seconds_bucket{table="users",le="0.1"} 1
db_duration_seconds_bucket{table="users",le="+Inf"} 1
db_duration_seconds_sum{table="users"} 0.02
db_duration_seconds_count{table="users"} 1
# HELP depth Set by the application.
# TYPE depth gauge
depth{env="mine"} -1.5
# HELP jobs_total Counted by the application.
# TYPE jobs_total counter
jobs_total{queue="a\\b \"c\"\\n",to="x"} 3
jobs_total{queue="mail"} 1
"#;
    let text = text(&exposition, &with_labels(), Format::Text);
    assert!(text.contains(own), "{text}");
    // The day can change meanwhile.
    let users = r#"users{app_day="x",plan="pro"} "#;
    assert!([0, 1].iter().any(|count| text.contains(&format!("\n{users}{count}\n"))), "{text}");
    assert!(text.contains("\nmetrics_core_label_sets_refused_total 0\n"), "{text}");
}

#[test]
fn a_label_that_every_series_has_gets_a_prefix() {
    let registry = with_labels();
    registry.gauge("depth").unwrap().with_labels([("env", "mine"), ("app_env", "too")]).set(2.0);
    let exposition = Exposition::builder().constant_label("env", "prod").build().unwrap();
    for format in [Format::Text, Format::OpenMetrics] {
        let families = parse(&text(&exposition, &registry, format));
        assert_eq!(
            samples(&families["depth"]),
            [
                r#"depth {"app_app_env": "mine", "app_env": "too", "env": "prod"} 2"#,
                r#"depth {"app_env": "mine", "env": "prod"} -1.5"#,
            ]
        );
    }
    let protobuf = rendered(&exposition, &registry, Format::Protobuf);
    let depth = delimited(&protobuf).into_iter().find(|family| family.text(1) == "depth").unwrap();
    let labels = depth.messages(4)[1]
        .messages(1)
        .iter()
        .map(|label| (label.text(1), label.text(2)))
        .collect::<Vec<_>>();
    let expected = [("env", "prod"), ("app_env", "mine")];
    assert_eq!(labels, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_scrape_that_takes_over_what_did_not_change_is_as_one_that_does_not() {
    let (registry, exposition) = (with_labels(), Exposition::new());
    let mut scrapers = [Format::Text, Format::OpenMetrics, Format::Protobuf]
        .map(|format| Scraper::new(exposition.clone(), format));
    let db = registry.timer("db").unwrap();
    for round in 0..6_u64 {
        db.with("table", "users").record(Duration::from_micros(round));
        // A new series moves those after it.
        registry.counter("jobs").unwrap().with("queue", &format!("b{round}")).increment();
        db.with("table", &format!("p{round}")).record(Duration::from_micros(round));
        for scraper in &mut scrapers {
            let snapshot = registry.snapshot();
            let mut expected = Vec::new();
            exposition.render(&snapshot, scraper.format(), &mut expected);
            let mut spare = Vec::new();
            let kept = scraper.render(&snapshot, &Resources::default(), &[], &mut spare).map(<[u8]>::to_vec);
            assert_eq!(kept.unwrap_or(spare), expected, "{round}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_labels_parse_back_from_each_format(
        sets in prop::collection::vec(prop::collection::vec((any::<String>(), any::<String>()), 0..6), 1..20)
    ) {
        let registry = Registry::new();
        let jobs = registry.counter("jobs").unwrap();
        let mut expected = std::collections::BTreeMap::<Vec<(String, String)>, f64>::new();
        for labels in &sets {
            let labels = || labels.iter().map(|(name, value)| (&**name, &**value));
            jobs.with_labels(labels()).increment();
            let set = LabelSet::new(labels());
            let set = set.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            *expected.entry(set).or_default() += 1.0;
        }
        let exposition = Exposition::new();
        for format in [Format::Text, Format::OpenMetrics] {
            let families = parse(&text(&exposition, &registry, format));
            let family = families.get("jobs").or(families.get("jobs_total")).unwrap();
            let read = family.samples.iter().map(|sample| (sample.labels.clone().into_iter().collect(), sample.value));
            prop_assert_eq!(&read.collect::<std::collections::BTreeMap<_, _>>(), &expected);
        }
        let protobuf = rendered(&exposition, &registry, Format::Protobuf);
        let family = delimited(&protobuf).into_iter().find(|family| family.text(1) == "jobs_total").unwrap();
        prop_assert_eq!(family.messages(4).len(), expected.len());
    }
}
