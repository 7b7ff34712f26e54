//! A report of an instance that came from elsewhere is refused or usable: nothing that can be done with it panics, its
//! figures are in order, and what was read is written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics_export::fleet::{Fleet, Report};

fuzz_target!(|bytes: &[u8]| {
    let Ok(report) = Report::decode(bytes) else { return };
    let written = report.encode();
    let read = Report::decode(&written).expect("what was written can be read");
    assert_eq!(read.encode(), written);

    let mut fleet = Fleet::new(report.instance.written);
    fleet.add_bytes("once", &written);
    fleet.add_bytes("twice", &written);
    let (refused, count) = fleet.refused();
    assert_eq!(count, 0, "{refused:?}");
    let summary = fleet.summary().expect("there are reports");
    for figures in summary.endpoints.iter().map(|endpoint| &endpoint.figures).chain([&summary.total]) {
        assert!(figures.min <= figures.p50 && figures.p50 <= figures.p99 && figures.p99 <= figures.max);
        assert!(figures.errors <= figures.calls, "{figures:?}");
    }
});
