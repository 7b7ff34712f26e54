//! Scrapes while threads record and the registry is reset.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_core::{Outcome, Registry};
use metrics_export::prometheus::{Exposition, Format};

use crate::parser::parse;

#[test]
fn under_load_no_counter_decreases_and_each_count_is_the_sum_of_its_statuses() {
    let registry = Registry::new();
    let stop = AtomicBool::new(false);
    // The scrapes begin once both threads have recorded each outcome for both endpoints.
    let recorded_all = Barrier::new(3);
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (registry, stop, recorded_all) = (&registry, &stop, &recorded_all);
            scope.spawn(move || {
                let recorder = registry.recorder();
                let endpoints = ["/a", "/b"].map(|route| registry.endpoint("GET", route));
                for turn in (thread..).step_by(2) {
                    let outcome =
                        [Outcome::Status(200), Outcome::Status(204), Outcome::Aborted][turn as usize % 3];
                    let elapsed = Duration::from_nanos(turn.wrapping_mul(0x9e37_79b9) % 5_000_000_000);
                    recorder.record_outcome(endpoints[turn as usize % 2], outcome, elapsed);
                    if turn / 2 == 12 {
                        recorded_all.wait();
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        recorded_all.wait();
        let (exposition, mut buffer) = (Exposition::new(), Vec::new());
        let mut before = BTreeMap::new();
        for turn in 0..60 {
            exposition.render(&registry.snapshot(), Format::Text, &mut buffer);
            let families = parse(std::str::from_utf8(&buffer).unwrap());
            let mut statuses = BTreeMap::new();
            for family in families.values() {
                for sample in family.samples.iter().filter(|_| family.kind != "gauge") {
                    let value = before.insert((sample.name.clone(), sample.labels.clone()), sample.value);
                    assert!(sample.value >= value.unwrap_or(0.0), "{sample:?} was {value:?}");
                    if sample.name == "http_requests_total" {
                        *statuses.entry(sample.labels["route"].clone()).or_insert(0.0) += sample.value;
                    }
                }
            }
            for sample in
                families.get("http_request_duration_seconds").iter().flat_map(|family| &family.samples)
            {
                if sample.name.ends_with("_count") && sample.labels["status_class"] == "2xx" {
                    assert_eq!(
                        Some(&sample.value),
                        statuses.get(&sample.labels["route"]),
                        "in scrape {turn}"
                    );
                }
            }
            if turn % 7 == 0 {
                registry.reset();
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(before.len() > 40, "{} series", before.len());
    });
}
