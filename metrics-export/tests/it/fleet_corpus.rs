//! Reports as each version of the format wrote them, which every later version reads as what they are.
//!
//! `fleet_corpus/vN-name.report` is the bytes, and `.txt` beside it what they say. Files are added, and never changed:
//! set `METRICS_WRITE_CORPUS` to write those of this version that are missing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use metrics_core::{Granularity, GroupParts, LabelSet, MetricStateParts, Snapshot};
use metrics_export::fleet::{Fleet, Report};

use crate::fleet::{fixed_report, report};

/// The version that is written today.
const VERSION: u8 = 2;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fleet_corpus")
}

/// The reports of this version that the corpus has.
fn reports() -> Vec<(&'static str, Report)> {
    let calls = |number: u64, routes: u64| -> Vec<_> {
        let call = |at: u64| {
            ((at % routes) as u8, (at * at % 7) as usize, (at * at * at * 7_919) % (1 << (at % 38)))
        };
        (1..=number).map(call).collect()
    };
    let mut total = report("total", 2, Granularity::Class, &calls(500, 6));
    total.snapshot = total.snapshot.total();
    vec![
        ("one-of-everything", fixed_report()),
        ("one-digit-by-outcome", report("outcome", 1, Granularity::Outcome, &calls(300, 3))),
        ("two-digits-by-class", report("class", 2, Granularity::Class, &calls(3_000, 6))),
        ("three-digits-by-status", report("exact", 3, Granularity::Exact, &calls(600, 4))),
        ("total-of-a-minute", total),
        ("empty", report("empty", 2, Granularity::Class, &[])),
        ("labels", labels()),
    ]
}

/// A report of metrics with labels.
fn labels() -> Report {
    let mut parts = fixed_report().snapshot.to_parts();
    for (metric, labels) in parts.metrics.iter_mut().zip([
        LabelSet::new([("name", "users")]),
        LabelSet::new([("table", "a \"b\" \\"), ("to", "x")]),
        LabelSet::new([("queue", "mail"), ("a", "1"), ("b", "2"), ("c", "3")]),
        LabelSet::new([("idle", "_other")]),
        LabelSet::new([("queue", "\u{4f59}")]),
    ]) {
        metric.labels = labels;
    }
    parts.health.label_sets_refused = 9;
    Report { snapshot: Snapshot::from_parts(parts).unwrap(), ..fixed_report() }
}

/// What a report says, as lines of text.
fn text(report: &Report) -> String {
    let mut text = String::new();
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let line = &mut text;
    let instance = &report.instance;
    writeln!(
        line,
        "{:?} {:?} {:?} started {} written {} interval {:?} epoch {} stopped {}",
        instance.service,
        instance.name,
        instance.version,
        since(instance.started),
        since(instance.written),
        instance.interval,
        instance.epoch,
        instance.stopped
    )
    .unwrap();
    let group = |group: &GroupParts| {
        let (first, counts) = group.histogram.counts();
        let counts: Vec<_> = counts.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        let GroupParts { group, outcomes, sum_nanos, min_nanos, max_nanos, clamped, .. } = group;
        format!(
            "{group:?} {outcomes:?} sum {sum_nanos} min {min_nanos} max {max_nanos} clamped {clamped} first {first} {counts:?}",
        )
    };
    let parts = report.snapshot.to_parts();
    writeln!(
        line,
        "since {} taken {} span {:?} digits {} by {:?} in flight {} streams {} {}",
        since(parts.since),
        since(parts.taken),
        parts.span,
        parts.significant_digits,
        parts.granularity,
        parts.in_flight,
        parts.open_streams,
        // As before there were labels.
        format!("{:?}", parts.health).replace(", label_sets_refused: 0", "")
    )
    .unwrap();
    for endpoint in &parts.endpoints {
        writeln!(line, "{} in flight {}", endpoint.name.route, endpoint.in_flight).unwrap();
        for each in &endpoint.groups {
            writeln!(
                line,
                "  {} bytes {} {} truncated {}",
                group(each),
                each.request_bytes,
                each.response_bytes,
                each.truncated
            )
            .unwrap();
        }
    }
    for consumer in &parts.consumers {
        writeln!(
            line,
            "consumer {:?} {} {} {} {}",
            consumer.name,
            consumer.calls,
            consumer.errors,
            consumer.sum_nanos,
            since(consumer.last_seen)
        )
        .unwrap();
    }
    for metric in &parts.metrics {
        let state = match &metric.state {
            MetricStateParts::Timer(Some(times)) => group(times),
            MetricStateParts::UniqueCount { today, yesterday } => {
                let used = |registers: &[u8]| {
                    registers.iter().copied().enumerate().filter(|(_, each)| *each > 0).collect::<Vec<_>>()
                };
                format!("{:?} {:?}", used(today), used(yesterday))
            }
            state => format!("{state:?}"),
        };
        let labels = if metric.labels.is_empty() { String::new() } else { format!(" {:?}", metric.labels) };
        writeln!(line, "metric {:?}{labels} {state}", metric.name).unwrap();
    }
    for error in &report.errors {
        writeln!(
            line,
            "error {} {} {} {:?} {:?}",
            since(error.time),
            error.endpoint.route,
            error.outcome,
            error.response_time,
            error.message
        )
        .unwrap();
    }
    text
}

#[test]
fn each_version_of_a_report_that_was_ever_written_reads_as_what_it_was() {
    if std::env::var_os("METRICS_WRITE_CORPUS").is_some() {
        for (name, report) in reports() {
            let path = folder().join(format!("v{VERSION}-{name}.report"));
            if !path.exists() {
                let bytes = report.encode();
                fs::write(&path, &bytes).unwrap();
                let report = Report::decode(&bytes).unwrap();
                fs::write(path.with_extension("txt"), text(&report)).unwrap();
            }
        }
    }
    let mut found = BTreeMap::new();
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "report") {
            let bytes = fs::read(&path).unwrap();
            let read = Report::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
            assert!(text(&read) == expected.replace('\r', ""), "{}: {}", path.display(), text(&read));
            // And as a sum of one.
            let mut fleet = Fleet::new(read.instance.written);
            fleet.add_bytes("x", &bytes);
            assert_eq!(fleet.refused().1, 0, "{}: {:?}", path.display(), fleet.refused());
            let (ours, theirs) = (fleet.snapshot().unwrap(), read.snapshot);
            assert_eq!(calls(&ours), calls(&theirs), "{}", path.display());
            *found.entry(bytes[4]).or_insert(0) += 1;
        }
    }
    for version in 1..=VERSION {
        // Version 1 has no labels.
        let least = reports().len() - usize::from(version == 1);
        assert!(found.get(&version) >= Some(&least), "version {version}: {found:?}");
    }
}

fn calls(snapshot: &Snapshot) -> u64 {
    snapshot.summary().total.calls
}
