//! Protobuf, parsed back by the field numbers of Prometheus' `metrics.proto`.

use std::collections::BTreeMap;

use metrics_core::{MAX_NANOS, Registry, Snapshot};
use metrics_export::prometheus::{Exposition, Format};
use proptest::prelude::*;

use crate::parser;
use crate::proto::{Message, delimited};
use crate::snapshots::{
    TRACE, exporters, granularity, hostile, recorded, resources, traffic, with_everything,
};

fn rendered(exposition: &Exposition, snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let mut buffer = Vec::new();
    exposition.render(snapshot, format, &mut buffer);
    buffer
}

fn labels(metric: &Message) -> BTreeMap<String, String> {
    metric.messages(1).iter().map(|label| (label.text(1), label.text(2))).collect()
}

/// Decodes spans and deltas as a scraper does: upper bound and count of each native bucket.
fn native(histogram: &Message) -> Vec<(f64, i64)> {
    let per_octave = 2_f64.powi(histogram.sint(5) as i32);
    let (mut index, mut count, mut buckets) = (0, 0, Vec::new());
    let mut deltas = histogram.sints(13).into_iter();
    for span in histogram.messages(12) {
        index += span.sint(1);
        for _ in 0..span.uint(2) {
            count += deltas.next().unwrap();
            buckets.push((2_f64.powf(index as f64 / per_octave), count));
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}

#[test]
fn each_family_has_its_kind_its_unit_and_its_series() {
    let exposition = Exposition::builder().top_consumers(3).build().unwrap();
    let mut buffer = Vec::new();
    exposition.render_with(&with_everything(), &resources(), &exporters(), Format::Protobuf, &mut buffer);
    let families = delimited(&buffer);
    let about: BTreeMap<_, _> =
        families.iter().map(|family| (family.text(1), (family.uint(3), family.messages(4).len()))).collect();
    assert_eq!(about["http_requests_total"], (0, 2));
    assert_eq!(about["http_requests_in_flight"], (1, 1));
    assert_eq!(about["http_request_duration_seconds"], (4, 4));
    assert_eq!(about["http_consumer_requests_total"], (0, 3));
    let durations = families.iter().find(|family| family.text(1) == "http_request_duration_seconds").unwrap();
    assert_eq!(durations.text(5), "seconds");
    // The application's metrics, exporters and the process.
    assert_eq!(about["jobs_total"], (0, 1));
    assert_eq!(about["depth"], (1, 1));
    assert_eq!(about["metrics_exporter_windows_total"], (0, 8));
    assert_eq!(about["metrics_exporter_windows_waiting"], (1, 2));
    assert_eq!(about["cache_lookups_total"], (0, 2));
    assert_eq!(about["db_duration_seconds"], (4, 1));
    let timer = families.iter().find(|family| family.text(1) == "db_duration_seconds").unwrap();
    let histogram = &timer.messages(4)[0].messages(7)[0];
    assert_eq!((histogram.uint(1), histogram.double(2), histogram.sint(5)), (1, 0.02, 6));
    assert!((native(histogram)[0].0 / 0.02 - 1.0).abs() < 0.015);
    let cpu = families.iter().find(|family| family.text(1) == "process_cpu_seconds_total").unwrap();
    assert_eq!(cpu.messages(4)[0].messages(3)[0].double(1), 1.25);
}

#[test]
fn an_exemplar_is_on_its_own_bucket() {
    let exposition = Exposition::builder().duration_bounds([0.001, 0.002, 0.003]).build().unwrap();
    let families = delimited(&rendered(&exposition, &with_everything(), Format::Protobuf));
    let durations = families.iter().find(|family| family.text(1) == "http_request_duration_seconds").unwrap();
    let mut found = Vec::new();
    for metric in durations.messages(4) {
        for bucket in metric.messages(7)[0].messages(3) {
            for exemplar in bucket.messages(3) {
                let label = &exemplar.messages(1)[0];
                assert_eq!((label.text(1), label.text(2)), ("trace_id".to_owned(), TRACE.to_owned()));
                assert!(exemplar.messages(2 + 1)[0].uint(1) > 1_700_000_000);
                found.push((labels(&metric)["status_class"].clone(), bucket.double(2), exemplar.double(2)));
            }
        }
    }
    assert_eq!(found, [("5xx".to_owned(), 0.002, 0.002)]);
}

#[test]
fn a_quantile_of_the_native_histogram_is_within_the_stated_error() {
    for (digits, error) in [(1, 0.125), (2, 0.015), (3, 0.0033)] {
        let registry = Registry::builder().significant_digits(digits).build().unwrap();
        let root = registry.endpoint("GET", "/");
        // Spread evenly over 20 octaves, at a ratio unrelated to any bucket width.
        let mut nanos: Vec<_> = (0..20_000).map(|i| (2_000.0 * 1.000_693_f64.powi(i)) as u64).collect();
        nanos.iter().for_each(|&nanos| registry.record_nanos(root, 200, nanos));
        nanos.sort_unstable();
        let families = delimited(&rendered(&Exposition::new(), &registry.snapshot(), Format::Protobuf));
        let durations = families.iter().find(|f| f.text(1) == "http_request_duration_seconds").unwrap();
        let histogram = &durations.messages(4)[0].messages(7)[0];
        for quantile in [0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 1.0] {
            let rank = (quantile * nanos.len() as f64).ceil() as usize;
            let exact = nanos[rank - 1] as f64 / 1e9;
            let mut below = 0;
            let found = native(histogram).into_iter().find(|&(_, count)| {
                below += count as usize;
                below >= rank
            });
            let upper = found.unwrap().0;
            assert!((upper / exact - 1.0).abs() < error, "{digits} digits, {quantile}: {upper} for {exact}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn protobuf_equals_the_text_and_each_duration_is_in_one_native_bucket(
        traffic in traffic(),
        granularity in granularity(),
        digits in 1_u8..=3,
        constant in hostile(),
    ) {
        let snapshot = recorded(granularity, digits, &traffic).snapshot();
        let exposition = Exposition::builder().constant_label("env", &constant).build().unwrap();
        let text = String::from_utf8(rendered(&exposition, &snapshot, Format::Text)).unwrap();
        let text = parser::parse(&text);
        let families = delimited(&rendered(&exposition, &snapshot, Format::Protobuf));
        prop_assert_eq!(families.len(), text.len());
        for family in &families {
            let name = family.text(1);
            let theirs = &text[&name];
            prop_assert_eq!(family.text(2), theirs.help.as_str());
            let value = |labels: &BTreeMap<String, String>, suffix: &str| {
                let mut samples = theirs.samples.iter().filter(|sample| sample.name == format!("{name}{suffix}"));
                samples.find(|sample| sample.labels == *labels).unwrap().value
            };
            for metric in family.messages(4) {
                let mut labels = labels(&metric);
                let kind = [3, 2, 0, 0, 7][family.uint(3) as usize];
                if kind != 7 {
                    let kind = if kind == 3 { 3 } else { 2 };
                    let ours = metric.messages(kind)[0].double(1);
                    prop_assert_eq!(ours, value(&labels, ""));
                    continue;
                }
                let histogram = &metric.messages(7)[0];
                let count = histogram.uint(1);
                prop_assert_eq!(count as f64, value(&labels, "_count"));
                prop_assert_eq!(histogram.double(2), value(&labels, "_sum"));
                let buckets = native(histogram);
                let native: i64 = buckets.iter().map(|bucket| bucket.1).sum();
                prop_assert_eq!(native as u64 + histogram.uint(7), count);
                prop_assert!(buckets.iter().all(|bucket| bucket.0 < MAX_NANOS as f64 / 1e9 * 1.1));
                for bucket in histogram.messages(3) {
                    let upper = bucket.double(2);
                    let le = if upper.is_finite() { format!("{upper:?}") } else { "+Inf".to_owned() };
                    labels.insert("le".to_owned(), le);
                    prop_assert_eq!(bucket.uint(1) as f64, value(&labels, "_bucket"));
                }
            }
        }
    }
}
