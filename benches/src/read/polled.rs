//! How much a reader that polls 100 times a second slows down a thread that records without a pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Workload;
use crate::figures::{ALONE, Comparison, Quantity, Reference, Required, Requirement};
use crate::measure::{Measured, Setting, turns};
use crate::ours::Owned;
use crate::service::Service;
use crate::size::Size;
use crate::stats::Spread;
use crate::unit::Unit;
use crate::worker::Worker;

/// The time between two readings: 100 a second.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long a writer runs: long enough for two readings.
const RUN: Duration = INTERVAL.saturating_mul(2);

/// Slices of a round. Every arm has a turn in each slice, and an arm's time is the median of its slices: slow phases of
/// the machine must hit all arms alike.
const SLICES: usize = 5;

const POLLED: &str = "polled";
/// The machine's share: a reader that is equally busy, with figures that the writer never touches.
const ANOTHER_POLLED: &str = "another registry polled";
const ARMS: [&str; 3] = [ALONE, POLLED, ANOTHER_POLLED];

const SETTING: Setting = Setting::Service(Size::TYPICAL);

/// Measures the writer alone, while it is polled, and while another registry is polled.
pub fn measure(rounds: usize) -> Vec<Measured> {
    let (mut service, mut another) = (Service::warm(Size::TYPICAL), Service::warm(Size::TYPICAL));
    let workload = Workload::many_routes();
    let mut slices = ARMS.map(|_| Vec::with_capacity(rounds * SLICES));
    for lane in turns(ARMS.len(), rounds * SLICES) {
        let registry = service.registry.clone();
        let writer = service.writer();
        slices[lane].push(match ARMS[lane] {
            ALONE => write(writer, &workload),
            POLLED => write_polled(writer, &workload, || drop(registry.summary())),
            _ => write_polled(writer, &workload, || {
                another.touch(1);
                drop(another.summary());
            }),
        });
    }
    let measured = |(arm, slices): (&'static str, Vec<f64>)| Measured {
        rounds: slices.chunks(SLICES).map(|round| Some(Spread::of(round.iter().copied()).median)).collect(),
        ..Measured::new(arm, SETTING)
    };
    ARMS.into_iter().zip(slices).map(measured).collect()
}

/// Returns the nanoseconds per event of a thread that records for the length of a run, on the first processor.
fn write(writer: &mut Owned, workload: &Workload) -> f64 {
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            stay_on(0);
            writer.record_all(workload.events());
            let (start, mut passes) = (Instant::now(), 0);
            loop {
                writer.record_all(workload.events());
                passes += 1;
                let elapsed = start.elapsed();
                if elapsed >= RUN {
                    return elapsed.as_nanos() as f64 / (passes * workload.events().len()) as f64;
                }
            }
        });
        writing.join().expect("a record does not panic")
    })
}

/// The same, while a thread on the second processor reads.
fn write_polled(writer: &mut Owned, workload: &Workload, mut read: impl FnMut() + Send) -> f64 {
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            stay_on(1);
            let mut next = Instant::now();
            // ORDERING: Relaxed; it ends the thread and publishes no data.
            while !done.load(Ordering::Relaxed) {
                read();
                next += INTERVAL;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let nanos = write(writer, workload);
        // ORDERING: Relaxed; as above.
        done.store(true, Ordering::Relaxed);
        nanos
    })
}

/// Pins the thread to a processor, if that processor exists.
fn stay_on(processor: usize) {
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    processors.get(processor).copied().map(core_affinity::set_for_current);
}

/// Compares each writer's time with that of the writer alone.
pub fn comparison() -> Comparison {
    Comparison {
        kind: "writers while readers poll",
        unit: Unit::NANOS,
        per: "per event",
        over_bare: false,
        reference: Some(Reference::Alone),
        requirements: vec![Requirement {
            what: "record while a reader polls 100 times a second, against alone".to_owned(),
            of: Quantity::Ratio { over: (POLLED, SETTING), under: (ALONE, SETTING) },
            required: Required::AtMost(1.03),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writer_runs_and_every_figure_finds_its_arms() {
        let measured = measure(1);
        assert!(measured.iter().all(|lane| lane.median() > 0.0));
        assert_eq!(comparison().figures(&measured).len(), comparison().requirements.len());
    }
}
