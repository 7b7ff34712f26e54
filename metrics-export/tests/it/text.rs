//! Both text formats, read back.

use std::collections::BTreeMap;

use metrics_core::{Outcome, Registry, Snapshot};
use metrics_export::prometheus::{Exposition, Format, Names};
use proptest::prelude::*;

use crate::parser::{Family, Sample, parse};
use crate::snapshots::{granularity, hostile, recorded, traffic, with_everything};

fn rendered(exposition: &Exposition, snapshot: &Snapshot, format: Format) -> String {
    let mut buffer = b"what was there before".to_vec();
    exposition.render(snapshot, format, &mut buffer);
    String::from_utf8(buffer).unwrap()
}

fn families(snapshot: &Snapshot, format: Format) -> BTreeMap<String, Family> {
    parse(&rendered(&Exposition::new(), snapshot, format))
}

/// The samples of a family by the values of these labels, added up.
fn sums(samples: &[Sample], name: &str, labels: &[&str]) -> BTreeMap<Vec<String>, f64> {
    let mut sums = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.name == name) {
        let key = labels.iter().map(|label| sample.labels[*label].clone()).collect();
        *sums.entry(key).or_insert(0.0) += sample.value;
    }
    sums
}

#[test]
fn text_is_what_version_0_0_4_says() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/a\"b\\c\nd"), 200, 2_500_000);
    let exposition =
        Exposition::builder().duration_bounds([0.001, 1.0]).constant_label("env", "a\"b").build().unwrap();
    let text = rendered(&exposition, &registry.snapshot(), Format::Text);
    let begins = r##"# HELP http_requests_total Requests that got a response, by its status.
# TYPE http_requests_total counter
http_requests_total{env="a\"b",method="GET",route="/a\"b\\c\nd",status="200"} 1
# HELP http_requests_aborted_total Requests whose client went away before there was a response.
# TYPE http_requests_aborted_total counter
http_requests_aborted_total{env="a\"b",method="GET",route="/a\"b\\c\nd"} 0
# HELP http_requests_panicked_total Requests that panicked before there was a response.
# TYPE http_requests_panicked_total counter
http_requests_panicked_total{env="a\"b",method="GET",route="/a\"b\\c\nd"} 0
# HELP http_request_duration_seconds How long requests took. Counts all, also those that were aborted or panicked.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{env="a\"b",method="GET",route="/a\"b\\c\nd",status_class="2xx",le="0.001"} 0
http_request_duration_seconds_bucket{env="a\"b",method="GET",route="/a\"b\\c\nd",status_class="2xx",le="1.0"} 1
http_request_duration_seconds_bucket{env="a\"b",method="GET",route="/a\"b\\c\nd",status_class="2xx",le="+Inf"} 1
http_request_duration_seconds_sum{env="a\"b",method="GET",route="/a\"b\\c\nd",status_class="2xx"} 0.0025
http_request_duration_seconds_count{env="a\"b",method="GET",route="/a\"b\\c\nd",status_class="2xx"} 1
# HELP http_requests_in_flight Requests that are under way.
# TYPE http_requests_in_flight gauge
http_requests_in_flight{env="a\"b"} 0
"##;
    assert!(text.starts_with(begins), "{text}");
    assert!(!text.contains("_created") && !text.contains("# UNIT") && !text.contains("EOF"), "{text}");
}

#[test]
fn openmetrics_has_units_creation_times_and_an_end() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 2_500_000);
    let exposition = Exposition::builder().duration_bounds([1.0]).build().unwrap();
    let snapshot = registry.snapshot();
    let text = rendered(&exposition, &snapshot, Format::OpenMetrics);
    let since = snapshot.since().duration_since(std::time::UNIX_EPOCH).unwrap();
    let created = format!("{:.3}", since.as_millis() as f64 / 1e3);
    let created = created.trim_end_matches('0');
    let created = if created.ends_with('.') { format!("{created}0") } else { created.to_owned() };
    let duration = format!(
        r##"# HELP http_request_duration_seconds How long requests took. Counts all, also those that were aborted or panicked.
# TYPE http_request_duration_seconds histogram
# UNIT http_request_duration_seconds seconds
http_request_duration_seconds_bucket{{method="GET",route="/",status_class="2xx",le="1.0"}} 1
http_request_duration_seconds_bucket{{method="GET",route="/",status_class="2xx",le="+Inf"}} 1
http_request_duration_seconds_sum{{method="GET",route="/",status_class="2xx"}} 0.0025
http_request_duration_seconds_count{{method="GET",route="/",status_class="2xx"}} 1
http_request_duration_seconds_created{{method="GET",route="/",status_class="2xx"}} {created}
"##
    );
    assert!(text.contains(&duration), "{text}");
    let requests = format!(
        r##"# TYPE http_requests counter
http_requests_total{{method="GET",route="/",status="200"}} 1
http_requests_created{{method="GET",route="/",status="200"}} {created}
"##
    );
    assert!(text.contains(&requests), "{text}");
    let shards = format!(
        "# TYPE metrics_core_errors_thinned counter\nmetrics_core_errors_thinned_total 0\nmetrics_core_errors_thinned_created {created}\n"
    );
    assert!(text.contains(&shards), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

#[test]
fn consumers_are_those_with_the_most_calls_and_only_where_they_are_asked_for() {
    let snapshot = with_everything();
    assert!(!rendered(&Exposition::new(), &snapshot, Format::Text).contains("http_consumer"));
    let exposition = Exposition::builder().top_consumers(2).build().unwrap();
    let families = parse(&rendered(&exposition, &snapshot, Format::Text));
    let figures = |name: &str| sums(&families[name].samples, name, &["consumer"]);
    let expected = |ann, bob| BTreeMap::from([(vec!["ann".to_owned()], ann), (vec!["bob".to_owned()], bob)]);
    assert_eq!(figures("http_consumer_requests_total"), expected(3.0, 5.0));
    assert_eq!(figures("http_consumer_errors_total"), expected(3.0, 5.0));
    assert_eq!(figures("http_consumer_duration_seconds_total"), expected(0.003, 0.005));
}

#[test]
fn opentelemetrys_names_are_those_of_its_conventions() {
    let granularity = metrics_core::Granularity::Exact;
    let calls = vec![(Outcome::Status(204), 1_000), (Outcome::Status(201), 1_000), (Outcome::Aborted, 1_000)];
    let snapshot = recorded(granularity, 2, &[("/".to_owned(), calls)]).snapshot();
    let exposition = Exposition::builder().names(Names::OpenTelemetry).build().unwrap();
    let families = parse(&rendered(&exposition, &snapshot, Format::OpenMetrics));
    let durations = &families["http_server_request_duration_seconds"].samples;
    let counts = durations.iter().filter(|sample| sample.name.ends_with("_count"));
    let labels: Vec<_> = counts.map(|sample| sample.labels.clone()).collect();
    let labelled = |name: &str, value: &str| {
        [("http_request_method", "GET"), ("http_route", "/"), (name, value)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    };
    for expected in [
        labelled("http_response_status_code", "204"),
        labelled("http_response_status_code", "201"),
        labelled("error_type", "aborted"),
    ] {
        assert!(labels.contains(&expected), "{labels:?}");
    }
    assert_eq!(labels.len(), 3);
    assert_eq!(families["http_server_active_requests"].kind, "gauge");
    assert_eq!(
        sums(&families["http_requests"].samples, "http_requests_total", &["http_response_status_code"]).len(),
        2
    );
}

#[test]
fn counters_go_on_over_a_reset() {
    let registry = Registry::new();
    let root = registry.endpoint("GET", "/");
    registry.record_nanos(root, 200, 1_000);
    let before = rendered(&Exposition::new(), &registry.snapshot(), Format::OpenMetrics);
    registry.reset();
    assert_eq!(rendered(&Exposition::new(), &registry.snapshot(), Format::OpenMetrics), before);
}

#[test]
fn a_family_without_series_is_left_out_and_a_counter_begins_at_zero() {
    let nothing = families(&Registry::new().snapshot(), Format::Text);
    assert!(!nothing.contains_key("http_requests_total"));
    assert_eq!(nothing["http_requests_in_flight"].samples[0].value, 0.0);
    let snapshot = with_everything();
    let families = families(&snapshot, Format::Text);
    assert_eq!(families["http_responses_truncated_total"].samples[0].value, 0.0);
    assert_eq!(families["metrics_core_consumers"].samples[0].value, 3.0);
    assert_eq!(families["metrics_core_endpoints_max"].samples[0].value, 1_024.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The same series with the same values in both, each with its labels as they went in; no bucket below the one before
    /// it; and every sum that the docs promise.
    #[test]
    fn what_was_recorded_reads_back(
        traffic in traffic(),
        granularity in granularity(),
        digits in 1_u8..=3,
        constant in hostile(),
    ) {
        let snapshot = recorded(granularity, digits, &traffic).snapshot();
        let exposition = Exposition::builder().constant_label("env", &constant).build().unwrap();
        let text = parse(&rendered(&exposition, &snapshot, Format::Text));
        let open = parse(&rendered(&exposition, &snapshot, Format::OpenMetrics));
        prop_assert_eq!(text.len(), open.len());
        for (name, family) in &text {
            let theirs = &open[name.strip_suffix("_total").unwrap_or(name)];
            prop_assert_eq!((&family.kind, &family.help), (&theirs.kind, &theirs.help));
            let samples: Vec<_> =
                theirs.samples.iter().filter(|sample| !sample.name.ends_with("_created")).cloned().collect();
            prop_assert_eq!(&family.samples, &samples);
            prop_assert!(family.samples.iter().all(|sample| sample.labels["env"] == constant));
        }

        let mut expected: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        let mut statuses: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        for (route, calls) in &traffic {
            *expected.entry(vec![route.clone()]).or_insert(0.0) += calls.len() as f64;
            for (outcome, _) in calls {
                if !matches!(outcome, Outcome::Aborted | Outcome::Panicked) {
                    *statuses.entry(vec![route.clone(), outcome.to_string()]).or_insert(0.0) += 1.0;
                }
            }
        }
        // A family without series is left out.
        let samples = |name: &str| text.get(name).map_or(&[][..], |family| &family.samples);
        let requests = samples("http_requests_total");
        if !statuses.is_empty() {
            prop_assert_eq!(sums(requests, "http_requests_total", &["route", "status"]), statuses);
        }
        let durations = &text["http_request_duration_seconds"].samples;
        let counts = sums(durations, "http_request_duration_seconds_count", &["route"]);
        prop_assert_eq!(&counts, &expected);
        let mut ended = BTreeMap::new();
        for name in ["http_requests_total", "http_requests_aborted_total", "http_requests_panicked_total"] {
            for (route, value) in sums(samples(name), name, &["route"]) {
                *ended.entry(route).or_insert(0.0) += value;
            }
        }
        prop_assert_eq!(&ended, &expected);

        let key = |sample: &Sample| (sample.labels["route"].clone(), sample.labels["status_class"].clone());
        let mut before: BTreeMap<_, (f64, f64)> = BTreeMap::new();
        for bucket in durations.iter().filter(|sample| sample.name.ends_with("_bucket")) {
            let bound: f64 = bucket.labels["le"].parse().unwrap();
            let (above, count) = before.insert(key(bucket), (bound, bucket.value)).unwrap_or((0.0, 0.0));
            prop_assert!(bound > above && bucket.value >= count, "{bucket:?}");
        }
        for count in durations.iter().filter(|sample| sample.name.ends_with("_count")) {
            prop_assert_eq!(before[&key(count)], (f64::INFINITY, count.value));
        }
    }
}
