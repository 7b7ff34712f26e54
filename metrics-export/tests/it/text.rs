//! Both text formats, parsed back.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_core::{Outcome, Registry, Snapshot, TraceId};
use metrics_export::prometheus::{Exposition, Format, Names};
use proptest::prelude::*;

use crate::parser::{Family, Sample, parse};
use crate::snapshots::{
    TRACE, exporters, granularity, hostile, recorded, resources, traffic, with_everything,
};

fn rendered(exposition: &Exposition, snapshot: &Snapshot, format: Format) -> String {
    let mut buffer = b"what was there before".to_vec();
    exposition.render(snapshot, format, &mut buffer);
    String::from_utf8(buffer).unwrap()
}

fn families(snapshot: &Snapshot, format: Format) -> BTreeMap<String, Family> {
    parse(&rendered(&Exposition::new(), snapshot, format))
}

/// Sums up the samples of a family by the values of these labels.
fn sums(samples: &[Sample], name: &str, labels: &[&str]) -> BTreeMap<Vec<String>, f64> {
    let mut sums = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.name == name) {
        let key = labels.iter().map(|label| sample.labels[*label].clone()).collect();
        *sums.entry(key).or_insert(0.0) += sample.value;
    }
    sums
}

#[test]
fn text_follows_version_0_0_4() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/a\"b\\c\nd"), 200, 2_500_000);
    let exposition =
        Exposition::builder().duration_bounds([0.001, 1.0]).constant_label("env", "a\"b").build().unwrap();
    let text = rendered(&exposition, &registry.snapshot(), Format::Text);
    let begins = r##"# HELP http_requests_total Requests that got a response, by status.
# TYPE http_requests_total counter
http_requests_total{env="a\"b",method="GET",route="/a\"b\\c\\nd",status="200"} 1
# HELP http_requests_aborted_total Requests whose client disconnected before the response.
# TYPE http_requests_aborted_total counter
http_requests_aborted_total{env="a\"b",method="GET",route="/a\"b\\c\\nd"} 0
# HELP http_requests_panicked_total Requests that panicked before the response.
# TYPE http_requests_panicked_total counter
http_requests_panicked_total{env="a\"b",method="GET",route="/a\"b\\c\\nd"} 0
# HELP http_request_duration_seconds Durations of requests, including aborted and panicked ones.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{env="a\"b",method="GET",route="/a\"b\\c\\nd",status_class="2xx",le="0.001"} 0
http_request_duration_seconds_bucket{env="a\"b",method="GET",route="/a\"b\\c\\nd",status_class="2xx",le="1.0"} 1
http_request_duration_seconds_bucket{env="a\"b",method="GET",route="/a\"b\\c\\nd",status_class="2xx",le="+Inf"} 1
http_request_duration_seconds_sum{env="a\"b",method="GET",route="/a\"b\\c\\nd",status_class="2xx"} 0.0025
http_request_duration_seconds_count{env="a\"b",method="GET",route="/a\"b\\c\\nd",status_class="2xx"} 1
# HELP http_requests_in_flight Requests in flight.
# TYPE http_requests_in_flight gauge
http_requests_in_flight{env="a\"b"} 0
"##;
    assert!(text.starts_with(begins), "{text}");
    assert!(!text.contains("_created") && !text.contains("# UNIT") && !text.contains("EOF"), "{text}");
}

#[test]
fn openmetrics_has_units_an_eof_and_creation_times_if_asked_for() {
    let registry = Registry::new();
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 2_500_000);
    let snapshot = registry.snapshot();
    assert!(!rendered(&Exposition::new(), &snapshot, Format::OpenMetrics).contains("_created"));
    let exposition = Exposition::builder().duration_bounds([1.0]).created(true).build().unwrap();
    let text = rendered(&exposition, &snapshot, Format::OpenMetrics);
    let since = snapshot.since().duration_since(std::time::UNIX_EPOCH).unwrap();
    let created = format!("{:.3}", since.as_millis() as f64 / 1e3);
    let created = created.trim_end_matches('0');
    let created = if created.ends_with('.') { format!("{created}0") } else { created.to_owned() };
    let duration = format!(
        r##"# HELP http_request_duration_seconds Durations of requests, including aborted and panicked ones.
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
    let thinned = format!(
        "# TYPE metrics_core_errors_thinned counter\n\
         metrics_core_errors_thinned_total 0\n\
         metrics_core_errors_thinned_created {created}\n"
    );
    assert!(text.contains(&thinned), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

#[test]
fn the_top_consumers_are_those_with_the_most_calls_and_only_if_asked_for() {
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
fn the_applications_metrics_are_families_of_their_kind() {
    let exposition = Exposition::builder().duration_bounds([0.01, 0.1]).build().unwrap();
    let text = rendered(&exposition, &with_everything(), Format::OpenMetrics);
    let own = r##"# HELP cache_lookups Lookups, by whether they were a hit or a miss.
# TYPE cache_lookups counter
cache_lookups_total{result="hit"} 1
cache_lookups_total{result="miss"} 0
# HELP db_duration_seconds Durations, timed by the application.
# TYPE db_duration_seconds histogram
# UNIT db_duration_seconds seconds
db_duration_seconds_bucket{le="0.01"} 0
db_duration_seconds_bucket{le="0.1"} 1
db_duration_seconds_bucket{le="+Inf"} 1
db_duration_seconds_sum 0.02
db_duration_seconds_count 1
# HELP depth Set by the application.
# TYPE depth gauge
depth -1.25
# HELP jobs Counted by the application.
# TYPE jobs counter
jobs_total 7
# HELP unused_duration_seconds Durations, timed by the application.
# TYPE unused_duration_seconds histogram
# UNIT unused_duration_seconds seconds
unused_duration_seconds_bucket{le="0.01"} 0
unused_duration_seconds_bucket{le="0.1"} 0
unused_duration_seconds_bucket{le="+Inf"} 0
unused_duration_seconds_sum 0.0
unused_duration_seconds_count 0
# HELP users Distinct values today (UTC); standard error 1.15 %.
# TYPE users gauge
users 1
# HELP metrics_core_metrics_hidden "##;
    assert!(text.contains(own), "{text}");
}

#[test]
fn of_metrics_with_a_name_clash_one_is_written_and_none_clashes_with_a_family_of_ours() {
    let registry = Registry::new();
    registry.gauge("app_http_requests_total").unwrap().set(1.0);
    registry.counter("http_requests").unwrap().add(2);
    registry.counter("jobs").unwrap().add(3);
    registry.counter("jobs_total").unwrap().add(4);
    registry.gauge("process_open_fds").unwrap().set(5.0);
    registry.record_nanos(registry.endpoint("GET", "/"), 200, 1_000);
    let mut buffer = Vec::new();
    Exposition::new().render_with(
        &registry.snapshot(),
        &resources(),
        &exporters(),
        Format::Text,
        &mut buffer,
    );
    // The parser fails on a family that occurs twice.
    let families = parse(&String::from_utf8(buffer).unwrap());
    let value = |name: &str| families[name].samples[0].value;
    assert_eq!(value("app_http_requests_total"), 1.0);
    assert_eq!(families["app_http_requests_total"].kind, "gauge");
    assert_eq!((value("http_requests_total"), value("jobs_total")), (1.0, 3.0));
    assert_eq!((value("app_process_open_fds"), value("process_open_fds")), (5.0, 12.0));
    assert_eq!(value("metrics_core_metrics_hidden"), 2.0);
}

#[test]
fn process_metrics_have_the_standard_names_and_appear_only_if_known() {
    let exposition = Exposition::new();
    let mut buffer = Vec::new();
    exposition.render_with(&with_everything(), &resources(), &exporters(), Format::Text, &mut buffer);
    let families = parse(&String::from_utf8(buffer).unwrap());
    for (name, kind, value) in [
        ("process_cpu_seconds_total", "counter", 1.25),
        ("process_resident_memory_bytes", "gauge", 1_048_576.0),
        ("process_virtual_memory_bytes", "gauge", 1_073_741_824.0),
        ("process_open_fds", "gauge", 12.0),
        ("process_max_fds", "gauge", 1_024.0),
        ("process_threads", "gauge", 5.0),
        ("process_start_time_seconds", "gauge", 1_700_000_000.5),
        ("host_network_receive_bytes_total", "counter", 3.0),
        ("host_network_transmit_bytes_total", "counter", 4.0),
        ("event_loop_lag_seconds", "gauge", 0.007),
        ("metrics_core_ticks_total", "counter", 60.0),
        ("metrics_core_tick_duration_seconds_total", "counter", 0.09),
        ("metrics_core_scrapes_kept_bytes", "gauge", 90_000.0),
        ("metrics_core_history_bytes", "gauge", 300_000.0),
        ("metrics_core_shard_bytes", "gauge", 5_000_000.0),
        ("metrics_core_error_groups_bytes", "gauge", 7_000.0),
    ] {
        assert_eq!((families[name].kind.as_str(), families[name].samples[0].value), (kind, value), "{name}");
    }
    let nothing = rendered(&exposition, &with_everything(), Format::Text);
    assert!(!nothing.contains("process_") && !nothing.contains("host_"), "{nothing}");
}

#[test]
fn exporter_counts_are_labelled_by_exporter_and_outcome() {
    let exposition = Exposition::new();
    let mut buffer = Vec::new();
    exposition.render_with(&with_everything(), &resources(), &exporters(), Format::OpenMetrics, &mut buffer);
    let text = String::from_utf8(buffer).unwrap();
    for (name, outcomes) in [
        ("windows", &[("sent", 9), ("idle", 4), ("dropped", 1), ("merged", 3)] as &[_]),
        ("errors", &[("sent", 5), ("dropped", 6), ("missed", 7)]),
        ("requests", &[("sent", 11), ("dropped", 12), ("missed", 13)]),
    ] {
        for (outcome, count) in outcomes {
            let line =
                format!("metrics_exporter_{name}_total{{exporter=\"otlp\",outcome=\"{outcome}\"}} {count}\n");
            assert!(text.contains(&line), "{line}");
        }
    }
    for line in [
        "windows_waiting{exporter=\"otlp\"} 2",
        "errors_waiting{exporter=\"otlp\"} 8",
        "requests_waiting{exporter=\"otlp\"} 14",
        "calls_dropped_total{exporter=\"otlp\"} 70",
        "rejected_total{exporter=\"otlp\"} 16",
        "attempts_failed_total{exporter=\"otlp\"} 17",
        "failing_attempts{exporter=\"a \\\"b\\\"\"} 4",
        "last_sent_timestamp_seconds{exporter=\"otlp\"} 1700000000.25",
        "last_sent_timestamp_seconds{exporter=\"a \\\"b\\\"\"} 0.0",
    ] {
        assert!(text.contains(&format!("\nmetrics_exporter_{line}\n")), "{line}");
    }
    assert!(!rendered(&exposition, &with_everything(), Format::Text).contains("metrics_exporter"));
}

#[test]
fn an_exemplar_is_on_its_own_bucket_and_in_openmetrics_only() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let [slow, failed] = ["/slow", "/failed"].map(|route| registry.endpoint("GET", route));
    for (endpoint, status, millis) in [(slow, 200, 1_500), (slow, 404, 1), (failed, 500, 20_000)] {
        recorder.record_nanos(endpoint, status, millis * 1_000_000);
    }
    let mut traces = Vec::new();
    for (endpoint, status, millis) in [(slow, 200, 1_500), (failed, 500, 20_000)] {
        let trace = TraceId::new(u128::from(millis)).unwrap();
        let elapsed = Duration::from_millis(millis);
        recorder.keep_exemplar(endpoint, Outcome::Status(status), elapsed, trace);
        traces.push(trace.to_string());
    }
    let exposition = Exposition::builder().duration_bounds([1.0, 2.0, 10.0]).build().unwrap();
    let snapshot = registry.snapshot();
    assert!(!rendered(&exposition, &snapshot, Format::Text).contains("trace_id"));
    let text = rendered(&exposition, &snapshot, Format::OpenMetrics);
    let lines: Vec<_> = text.lines().filter(|line| line.contains("trace_id")).collect();
    let expected = [
        (r#"route="/slow",status_class="2xx",le="2.0"} 1"#, &traces[0], "1.5"),
        (r#"route="/failed",status_class="5xx",le="+Inf"} 1"#, &traces[1], "20.0"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, (bucket, trace, seconds)) in lines.into_iter().zip(expected) {
        let begins = format!(
            r##"http_request_duration_seconds_bucket{{method="GET",{bucket} # {{trace_id="{trace}"}} {seconds} "##
        );
        assert!(line.starts_with(&begins), "{line}");
        let time: f64 = line[begins.len()..].parse().unwrap();
        let since = snapshot.since().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((since - 0.01..since + 3_600.0).contains(&time), "{line}");
    }
    assert!(rendered(&exposition, &with_everything(), Format::OpenMetrics).contains(TRACE));
}

#[test]
fn opentelemetry_names_follow_its_semantic_conventions() {
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
fn a_reset_does_not_change_counters() {
    let registry = Registry::new();
    let root = registry.endpoint("GET", "/");
    registry.record_nanos(root, 200, 1_000);
    let before = rendered(&Exposition::new(), &registry.snapshot(), Format::OpenMetrics);
    registry.reset();
    assert_eq!(rendered(&Exposition::new(), &registry.snapshot(), Format::OpenMetrics), before);
}

#[test]
fn a_family_without_series_is_left_out_and_a_counter_starts_at_zero() {
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

    /// Both texts have the same series with the same values, labels are unchanged, buckets never decrease, and the sums
    /// that the docs promise hold.
    #[test]
    fn text_parses_back_to_what_was_recorded(
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
            // Hidden characters are escaped where a route is registered.
            let route = metrics_core::visible(route, metrics_core::MAX_NAME_BYTES).into_owned();
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
