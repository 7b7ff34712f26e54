//! Records: every arm of [`ARMS`](crate::arms::ARMS) with the same events.

use std::time::Duration;

use crate::arms::{
    Arm, HDRHISTOGRAM, METRICS_LABELS, METRIKEN, OURS_TIMED, PROMETHEUS_CACHED, PROMETHEUS_LABELS,
    TWO_RAW_READS,
};
use crate::figures::{Comparison, OURS, Quantity, Reference, Required, Requirement};
use crate::measure::{Measured, Setting, turns};
use crate::unit::Unit;
use crate::worker::{Run, Worker, run};
use crate::{Event, Workload};

/// About how long an arm runs in a round: long compared with a clock reading and a thread's start, short compared with
/// the scheduler's time slice, so that most runs are not interrupted.
const RUN: Duration = Duration::from_micros(1_500);

/// The least overlap of the threads for a run to count, and the number of attempts to reach it. The overlap is far
/// below 1 if another process takes one of the processors.
const OVERLAP: f64 = 0.9;
const TRIES: usize = 10;

/// An arm that is ready to run.
struct Lane<'a> {
    workers: Vec<Box<dyn Worker>>,
    /// All events, or as many as a slow arm can process in a run.
    events: &'a [Event],
    passes: u64,
}

impl<'a> Lane<'a> {
    fn new(arm: &Arm, threads: usize, workload: &'a Workload) -> Self {
        let events = workload.events();
        let mut workers = (arm.workers)(workload.routes(), threads);
        // The shortest of a few, since the first ones allocate.
        let pass = (0..3).map(|_| run(&mut workers, events, 1).mean).min().unwrap_or_default();
        let passes = RUN.div_duration_f64(pass.max(Duration::from_nanos(1)));
        let part = (events.len() as f64 * passes.min(1.0)).ceil() as usize;
        Self { workers, events: &events[..part], passes: passes.max(1.0) as u64 }
    }

    /// Runs until the threads run at the same time, or else returns the run in which they did so for longest.
    fn run(&mut self) -> Run {
        let mut best = run(&mut self.workers, self.events, self.passes);
        for _ in 1..TRIES {
            if best.overlap >= OVERLAP {
                break;
            }
            let next = run(&mut self.workers, self.events, self.passes);
            if next.overlap > best.overlap {
                best = next;
            }
        }
        best
    }

    /// Nanoseconds per event on one thread.
    fn nanos(&self, run: Run) -> f64 {
        run.mean.as_nanos() as f64 / (self.passes as f64 * self.events.len() as f64)
    }
}

/// Measures each arm with each workload, on the number of threads given with it.
pub fn measure(arms: &[Arm], settings: &[(&Workload, usize)], rounds: usize) -> Vec<Measured> {
    let (mut lanes, mut measured) = (Vec::new(), Vec::new());
    for &(workload, threads) in settings {
        let setting = Setting::Record { routes: workload.routes().len(), threads };
        for arm in arms {
            lanes.push(Lane::new(arm, threads, workload));
            measured.push(Measured::new(arm.name, setting));
        }
    }
    let mut best: Vec<Vec<f64>> = vec![Vec::new(); lanes.len()];
    for lane in turns(lanes.len(), rounds) {
        let run = lanes[lane].run();
        let nanos = lanes[lane].nanos(run);
        best[lane].push(nanos);
        measured[lane].rounds.push((run.overlap >= OVERLAP).then_some(nanos));
    }
    for (measured, best) in measured.iter_mut().zip(best) {
        measured.use_if_none_counts(best);
    }
    measured
}

/// Compares each arm's time with ours.
pub fn comparison() -> Comparison {
    let ratio = |what: &str, (over, over_threads), (under, under_threads), required| Requirement {
        what: what.to_owned(),
        of: Quantity::Ratio {
            over: (over, Setting::Record { routes: 6, threads: over_threads }),
            under: (under, Setting::Record { routes: 6, threads: under_threads }),
        },
        required,
    };
    let requirements = vec![
        ratio(
            "record, against a plain `&mut hdrhistogram::Histogram`",
            (OURS, 1),
            (HDRHISTOGRAM, 1),
            Required::AtMost(1.0),
        ),
        ratio("record, two threads against one", (OURS, 2), (OURS, 1), Required::AtMost(1.15)),
        ratio(
            "`prometheus` with handles cached, against record",
            (PROMETHEUS_CACHED, 1),
            (OURS, 1),
            Required::AtLeast(8.0),
        ),
        ratio(
            "`prometheus` with labels looked up, against record",
            (PROMETHEUS_LABELS, 1),
            (OURS, 1),
            Required::AtLeast(20.0),
        ),
        ratio(
            "`metrics` with labels looked up, against record",
            (METRICS_LABELS, 1),
            (OURS, 1),
            Required::AtLeast(20.0),
        ),
        ratio(
            "`metriken` on two threads, against record on two threads",
            (METRIKEN, 2),
            (OURS, 2),
            Required::AtLeast(2.0),
        ),
        ratio(
            "clock and record together, against two raw TSC reads",
            (OURS_TIMED, 1),
            (TWO_RAW_READS, 1),
            Required::AtMost(1.25),
        ),
    ];
    Comparison {
        kind: "records",
        unit: Unit::NANOS,
        per: "per event on a thread",
        over_bare: false,
        reference: Some(Reference::Ours),
        requirements,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workload;
    use crate::arms::ARMS;

    #[test]
    fn every_arm_runs_on_one_thread_and_on_two_and_every_figure_finds_its_arms() {
        let (six, many) = (Workload::six_routes().cut(100), Workload::many_routes().cut(100));
        let measured = measure(ARMS, &[(&six, 1), (&six, 2), (&many, 1)], 1);
        assert_eq!(measured.len(), 3 * ARMS.len());
        let timed = |lane: &&Measured| {
            matches!(lane.setting, Setting::Record { threads: 1, .. }) && lane.median() > 0.0
        };
        assert_eq!(measured.iter().filter(timed).count(), 2 * ARMS.len());
        assert_eq!(comparison().figures(&measured).len(), comparison().requirements.len());
    }
}
