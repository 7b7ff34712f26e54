//! Scale: what records, starts and finishes, resets and readings cost with more and more threads.
//!
//! There may be more threads than processors, which then take turns. So the time of a record is that of the processors
//! in use, divided by all events: it stays the same if no thread makes another one wait. A reset or a reading merges
//! the shards of all threads, each of which has recorded since the last one.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::Registry;

use crate::figures::Comparison;
use crate::measure::{Measured, Setting, turns};
use crate::unit::Unit;
use crate::worker::Worker;
use crate::{Event, Workload, ours};

/// The numbers of threads.
pub const THREADS: [usize; 5] = [2, 4, 8, 16, 32];

/// Events that all threads of a run record together.
const EVENTS: usize = 1 << 20;

/// What is measured.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Record,
    StartAndFinish,
    Reset,
    Summary,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Record, Self::StartAndFinish, Self::Reset, Self::Summary];

    fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::StartAndFinish => "start and finish",
            Self::Reset => "reset",
            Self::Summary => "summary",
        }
    }
}

/// An operation with a number of threads, ready to run.
struct Lane {
    operation: Operation,
    registry: Registry,
    workers: Vec<Box<dyn Worker>>,
}

impl Lane {
    fn new(operation: Operation, threads: usize, workload: &Workload) -> Self {
        let (registry, workers) = match operation {
            Operation::StartAndFinish => ours::timed_of_registry(workload.routes(), threads),
            _ => ours::owned_of_digits(workload.routes(), threads, 2),
        };
        Self { operation, registry, workers }
    }

    /// Nanoseconds of an operation.
    fn run(&mut self, events: &[Event], all: usize) -> f64 {
        let threads = self.workers.len();
        let time = |operation: fn(&Registry)| {
            let start = Instant::now();
            operation(&self.registry);
            start.elapsed().as_nanos() as f64
        };
        match self.operation {
            Operation::Record | Operation::StartAndFinish => {
                let passes = (all / threads / events.len()).max(1);
                let in_use = threads.min(thread::available_parallelism().map_or(1, usize::from));
                let nanos = side_by_side(&mut self.workers, events, passes).as_nanos() as f64;
                nanos * in_use as f64 / (threads * passes * events.len()) as f64
            }
            Operation::Reset => {
                self.workers.iter_mut().for_each(|worker| worker.record_all(events));
                time(|registry| drop(registry.reset()))
            }
            Operation::Summary => {
                self.workers.iter_mut().for_each(|worker| worker.record_all(events));
                time(|registry| drop(registry.summary()))
            }
        }
    }
}

/// The time from the first thread's start to the last one's end.
fn side_by_side(workers: &mut [Box<dyn Worker>], events: &[Event], passes: usize) -> Duration {
    let all_ready = Barrier::new(workers.len());
    let run = |worker: &mut Box<dyn Worker>| {
        worker.record_all(events);
        all_ready.wait();
        let start = Instant::now();
        (0..passes).for_each(|_| worker.record_all(events));
        (start, Instant::now())
    };
    let run = &run;
    let spans: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(move || run(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no arm panics")).collect()
    });
    let begun = spans.iter().map(|(start, _)| *start).min();
    let ended = spans.iter().map(|(_, end)| *end).max();
    begun.zip(ended).map_or(Duration::ZERO, |(start, end)| end - start)
}

/// Measures each operation with each number of threads.
pub fn measure(rounds: usize) -> Vec<Measured> {
    measure_with(&THREADS, EVENTS, rounds)
}

fn measure_with(threads: &[usize], events: usize, rounds: usize) -> Vec<Measured> {
    let workload = Workload::six_routes();
    let part = &workload.events()[..workload.events().len().min(events)];
    let (mut lanes, mut measured) = (Vec::new(), Vec::new());
    for &threads in threads {
        let setting = Setting::Record { routes: workload.routes().len(), threads };
        for operation in Operation::ALL {
            lanes.push(Lane::new(operation, threads, &workload));
            measured.push(Measured::new(operation.name(), setting));
        }
    }
    for lane in turns(lanes.len(), rounds) {
        measured[lane].rounds.push(Some(lanes[lane].run(part, events)));
    }
    measured
}

/// Shows the times: the design asks for no ratio of them.
pub fn comparison() -> Comparison {
    Comparison {
        kind: "scale",
        unit: Unit::NANOS,
        per: "of processors in use, per event; of the reader, per reset or summary",
        over_bare: false,
        reference: None,
        requirements: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_runs_with_more_threads_than_processors() {
        let measured = measure_with(&[2, 16], 500, 2);
        assert_eq!(measured.len(), 2 * Operation::ALL.len());
        assert!(measured.iter().all(|lane| lane.median() > 0.0));
    }
}
