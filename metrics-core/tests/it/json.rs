//! Snapshots and summaries as JSON: they are read back unchanged, and hostile JSON does no harm.

use std::time::Duration;

use metrics_core::{Figures, Granularity, MAX_NANOS, Outcome, Registry, Snapshot, Summary};
use serde_json::{Value, json};

use crate::merge::{contents, figures};
use crate::support::{GRANULARITIES, OUTCOMES, Rng, registry, scaled};

const REQUESTS: u64 = scaled(1_000, 20);

fn filled(digits: u8, granularity: Granularity, requests: u64) -> Registry {
    let registry = registry(digits, granularity);
    let mut rng = Rng::new(u64::from(digits));
    let endpoints = ["/a", "/\"b\"\u{0}\\", "/ü"].map(|route| registry.endpoint("GET", route));
    let recorder = registry.recorder();
    for _ in 0..requests {
        let (endpoint, outcome) = (rng.pick(&endpoints), rng.pick(&OUTCOMES));
        recorder.record_outcome(endpoint, outcome, Duration::from_nanos(rng.log_uniform(38)));
    }
    recorder.record_error(endpoints[2], Outcome::Panicked, Duration::from_secs(1), "\"boom\"\n\u{1F4A5}");
    registry
}

#[test]
fn a_snapshot_read_from_json_has_the_same_figures() {
    for digits in 1..=3 {
        for granularity in GRANULARITIES {
            let registry = filled(digits, granularity, REQUESTS);
            let _in_flight = registry.recorder().start();
            let snapshot = registry.snapshot();
            let text = serde_json::to_string(&snapshot).unwrap();
            let read: Snapshot = serde_json::from_str(&text).unwrap();
            assert_eq!(contents(&read), contents(&snapshot));
            assert_eq!(read.histogram(), snapshot.histogram());
            assert_eq!(read.summary(), snapshot.summary());
            assert_eq!(
                (read.since(), read.taken(), read.span(), read.in_flight(), read.health()),
                (snapshot.since(), snapshot.taken(), snapshot.span(), 1, snapshot.health())
            );
            assert_eq!(read.granularity(), granularity);
            assert_eq!(serde_json::to_string(&read).unwrap(), text);

            // Merging and subtracting still work.
            let mut doubled = snapshot.clone();
            doubled.merge(&read).unwrap();
            assert_eq!(doubled.summary().total.calls, 2 * snapshot.summary().total.calls);
            assert_eq!(snapshot.difference(&read).summary().total, Figures::default());
        }
    }
}

#[test]
fn endpoints_read_from_json_equal_the_originals() {
    let snapshot = filled(2, Granularity::Class, REQUESTS).snapshot();
    let read: Snapshot = serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap();
    assert!(read.endpoints().eq(snapshot.endpoints()));
}

#[test]
fn exemplars_read_from_json_equal_the_originals() {
    let registry = filled(2, Granularity::Class, REQUESTS);
    let (endpoint, trace) = (registry.endpoint("GET", "/a"), "0af7651916cd43dd8448eb211c80319c");
    let elapsed = Duration::from_millis(7);
    registry.recorder().keep_exemplar(endpoint, Outcome::Status(200), elapsed, trace.parse().unwrap());
    let snapshot = registry.snapshot();
    let read: Snapshot = serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap();
    assert_eq!((read.exemplars().len(), read.exemplars()), (1, snapshot.exemplars()));
}

#[test]
fn a_summary_read_from_json_equals_the_original() {
    let registry = filled(2, Granularity::Class, REQUESTS);
    for summary in [registry.summary(), registry.snapshot().summary(), registry.reset(), registry.reset()] {
        let text = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    }
}

#[test]
fn json_that_contradicts_itself_is_refused() {
    let valid = serde_json::to_value(filled(2, Granularity::Class, REQUESTS).snapshot()).unwrap();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut changed = valid.clone();
        change(&mut changed);
        assert_ne!(changed, valid, "nothing was changed");
        serde_json::from_value::<Snapshot>(changed).unwrap_err().to_string()
    };
    fn histogram(snapshot: &mut Value) -> &mut Value {
        // Endpoint 0 is the overflow endpoint, which was never called.
        &mut snapshot["endpoints"][1]["groups"][0]["histogram"]
    }
    for digits in [0, 4, 255] {
        let message = refused(&|snapshot| histogram(snapshot)["digits"] = json!(digits));
        assert!(message.contains(&format!("digits is {digits}; allowed: 1 to 3")), "{message}");
        refused(&|snapshot| snapshot["significant_digits"] = json!(digits));
        refused(&|snapshot| {
            snapshot["significant_digits"] = json!(digits);
            snapshot["endpoints"] = json!([]);
        });
    }
    for digits in [1, 3] {
        let message = refused(&|snapshot| histogram(snapshot)["digits"] = json!(digits));
        let clash = message.contains("digits in a snapshot of 2") || message.contains("buckets");
        assert!(clash, "{message}");
        refused(&|snapshot| snapshot["significant_digits"] = json!(digits));
    }
    for run in [-3_840_i64, -i64::from(u32::MAX), i64::MIN] {
        refused(&|snapshot| histogram(snapshot)["counts"] = json!([run, 1]));
    }
    for counts in [json!([[0, 1]]), json!(["1"]), json!([1.5]), json!([u64::MAX]), json!({"0": 1})] {
        refused(&|snapshot| histogram(snapshot)["counts"] = counts.clone());
    }
    for outcome in [json!("600"), json!("99"), json!("OTHER"), json!(200), json!("")] {
        refused(&|snapshot| snapshot["endpoints"][1]["groups"][0]["counts"][0][0] = outcome.clone());
    }
    for granularity in [json!("classes"), json!(1), json!(null)] {
        refused(&|snapshot| snapshot["granularity"] = granularity.clone());
    }
}

#[test]
fn no_json_makes_a_snapshot_panic() {
    let healthy = filled(2, Granularity::Class, 10).snapshot();
    // Small, so that the test can replace each value with each hostile one.
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/a");
    registry.record_nanos(endpoint, 200, 1_000);
    registry.record_nanos(endpoint, 503, u64::MAX);
    let small = serde_json::to_value(registry.snapshot()).unwrap();

    let hostile = [
        json!(0),
        json!(1),
        json!(3_839),
        json!(u32::MAX),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(-1),
        json!(1e308),
        json!(null),
        json!(""),
        json!("503"),
        json!("exact"),
        json!([]),
        json!([i64::MAX, i64::MAX, -3_837, i64::MAX]),
        json!([["200", u64::MAX], ["200", u64::MAX], ["panicked", u64::MAX]]),
        json!({"min": u64::MAX, "max": 0}),
        json!({"status": 0}),
        json!({}),
    ];
    let mut accepted = 0;
    for path in paths(&small, String::new()) {
        // Removes the value, doubles it (in a list), or replaces it.
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut variants = vec![small.clone(), small.clone()];
        match variants[0].pointer_mut(parent) {
            Some(Value::Array(list)) => list.clear(),
            Some(Value::Object(object)) => object.clear(),
            _ => {}
        }
        if let Some(Value::Array(list)) = variants[1].pointer_mut(parent) {
            list.extend_from_within(..);
        }
        for value in &hostile {
            let mut variant = small.clone();
            *variant.pointer_mut(&path).unwrap() = value.clone();
            variants.push(variant);
        }
        for variant in variants {
            let Ok(snapshot) = serde_json::from_value::<Snapshot>(variant) else { continue };
            accepted += 1;
            use_in_every_way(&snapshot, &healthy);
        }
    }
    assert!(accepted > 0, "nothing was accepted, so nothing was tried");
}

/// JSON pointers to all values, both inner ones and leaves.
fn paths(value: &Value, at: String) -> Vec<String> {
    let children: Vec<_> = match value {
        Value::Array(list) => {
            list.iter().enumerate().map(|(i, child)| (format!("{at}/{i}"), child)).collect()
        }
        Value::Object(object) => object.iter().map(|(key, child)| (format!("{at}/{key}"), child)).collect(),
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(|(at, child)| paths(child, at));
    below.chain([at]).collect()
}

fn use_in_every_way(snapshot: &Snapshot, healthy: &Snapshot) {
    let look_at = |snapshot: &Snapshot| {
        let summary = snapshot.summary();
        for figures in summary.endpoints.iter().map(|endpoint| &endpoint.figures).chain([&summary.total]) {
            figures.average();
            assert!(figures.error_rate().is_finite() && summary.requests_per_second() >= 0.0);
        }
        let histogram = snapshot.histogram();
        let quantiles = [0.0, 0.5, 1.0].map(|quantile| histogram.value_at_quantile(quantile));
        assert!(quantiles.is_sorted() && quantiles[2] <= MAX_NANOS, "{quantiles:?}");
        histogram.to_hdr();
        for endpoint in snapshot.endpoints() {
            endpoint.calls();
            endpoint.groups().for_each(|group| {
                group.calls();
            });
        }
        let text = serde_json::to_string(snapshot).unwrap();
        let read: Snapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(contents(&read), contents(snapshot));
        let figures_again =
            figures(&serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap());
        assert_eq!(figures_again, figures(&summary));
    };
    look_at(snapshot);
    look_at(&snapshot.difference(healthy));
    look_at(&healthy.difference(snapshot));
    for (ours, theirs) in [(snapshot, healthy), (healthy, snapshot), (snapshot, snapshot)] {
        let mut merged = ours.clone();
        if merged.merge(theirs).is_ok() {
            look_at(&merged);
        }
    }
}
