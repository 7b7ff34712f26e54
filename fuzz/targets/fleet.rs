//! Checks that an untrusted report of an instance is either refused or usable: reading it never panics, its figures are
//! in order, and encoding it again returns the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics_export::fleet::{Fleet, Report};

fuzz_target!(|bytes: &[u8]| {
    let Ok(report) = Report::decode(bytes) else { return };
    let written = report.encode();
    let read = Report::decode(&written).expect("an encoded report can be decoded");
    assert_eq!(read.encode(), written);

    let mut fleet = Fleet::new(report.instance.written);
    fleet.add_bytes("once", &written);
    fleet.add_bytes("twice", &written);
    let (refused, count) = fleet.refused();
    assert_eq!(count, 0, "{refused:?}");
    let summary = fleet.summary().expect("two reports were added");
    for figures in summary.endpoints.iter().map(|endpoint| &endpoint.figures).chain([&summary.total]) {
        assert!(figures.min <= figures.p50 && figures.p50 <= figures.p99 && figures.p99 <= figures.max);
        assert!(figures.errors <= figures.calls, "{figures:?}");
    }
    let differences = fleet.differences();
    fleet.instances().iter().for_each(|figures| drop(differences.of(figures)));

    // As it came, which may be of another version, and beside others of its version.
    let mut versions = Fleet::by_version(report.instance.written);
    versions.add_bytes("once", bytes);
    versions.add_bytes("twice", &written);
    assert_eq!((versions.refused().1, versions.versions().len()), (0, 1));
});
