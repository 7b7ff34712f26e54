//! All arms in turn, in shuffled order, round after round.
//!
//! The machines are shared and noisy. What disturbs one arm of a round likely disturbs its neighbours, so ratios are taken
//! within a round, and their median over the rounds is what counts.

use std::time::Duration;

use crate::Event;
use crate::arms::Arm;
use crate::stats::Spread;
use crate::worker::{Worker, run};

/// How long an arm runs in a round, about: long against a clock reading and a thread's start, short against the
/// scheduler's time slice, so that most runs are not interrupted.
const RUN: Duration = Duration::from_micros(1_500);

/// The overlap of the threads of a run that counts, and how often a run is tried until it has that much. Far below 1 where
/// something else gets hold of one of the processors.
const OVERLAP: f64 = 0.9;
const TRIES: usize = 10;

/// Decides the order of the arms.
const SEED: u64 = 0x0bde;

/// What one arm took on so many threads.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The arm's name.
    pub arm: &'static str,
    /// How many threads ran it at the same time.
    pub threads: usize,
    /// Nanoseconds per event on one thread, round by round. `None` where the threads could not be brought to run side by
    /// side: such a round does not count.
    pub(crate) rounds: Vec<Option<f64>>,
}

impl Measured {
    /// The median over the rounds: nanoseconds per event on one thread. NaN if no round counts.
    pub fn nanos(&self) -> f64 {
        Spread::of(self.rounds.iter().copied().flatten()).median
    }

    /// How many times as long this took as `other`, round by round.
    pub(crate) fn ratio(&self, other: &Self) -> Spread {
        Spread::of(self.rounds.iter().zip(&other.rounds).filter_map(|(own, other)| Some((*own)? / (*other)?)))
    }
}

/// An arm that is ready to run.
struct Lane<'a> {
    workers: Vec<Box<dyn Worker>>,
    /// All events, or as many as a slow arm gets through in a run.
    events: &'a [Event],
    passes: u64,
}

impl<'a> Lane<'a> {
    fn new(arm: &Arm, threads: usize, events: &'a [Event]) -> Self {
        let mut workers = (arm.workers)(threads);
        // The shortest of a few, since the first ones allocate.
        let pass = (0..3).map(|_| run(&mut workers, events, 1).mean).min().unwrap_or_default();
        let passes = RUN.div_duration_f64(pass.max(Duration::from_nanos(1)));
        let part = (events.len() as f64 * passes.min(1.0)).ceil() as usize;
        Self { workers, events: &events[..part], passes: passes.max(1.0) as u64 }
    }

    /// Nanoseconds per event on one thread.
    fn run(&mut self) -> Option<f64> {
        let side_by_side = (0..TRIES)
            .map(|_| run(&mut self.workers, self.events, self.passes))
            .find(|run| run.overlap >= OVERLAP)?;
        Some(side_by_side.mean.as_nanos() as f64 / (self.passes as f64 * self.events.len() as f64))
    }
}

/// Measures each arm on each number of threads.
pub fn measure(arms: &[Arm], threads: &[usize], events: &[Event], rounds: usize) -> Vec<Measured> {
    let combinations = || threads.iter().flat_map(|&threads| arms.iter().map(move |arm| (arm, threads)));
    let mut lanes: Vec<Lane> = combinations().map(|(arm, threads)| Lane::new(arm, threads, events)).collect();
    let mut measured: Vec<Measured> = combinations()
        .map(|(arm, threads)| Measured { arm: arm.name, threads, rounds: Vec::with_capacity(rounds) })
        .collect();

    let mut random = fastrand::Rng::with_seed(SEED);
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &lane in &order {
            measured[lane].rounds.push(lanes[lane].run());
        }
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workload;
    use crate::arms::ARMS;

    #[test]
    fn every_arm_runs_on_one_thread_and_on_two() {
        let workload = Workload::six_routes();
        let measured = measure(ARMS, &[1, 2], &workload.events()[..100], 1);
        assert_eq!(measured.len(), 2 * ARMS.len());
        let timed = |lane: &&Measured| lane.nanos() > 0.0;
        assert_eq!(measured.iter().filter(|lane| lane.threads == 1).filter(timed).count(), ARMS.len());
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let measured = |rounds: &[f64]| Measured {
            arm: "",
            threads: 1,
            rounds: rounds.iter().map(|&nanos| (nanos > 0.0).then_some(nanos)).collect(),
        };
        // The third round was disturbed as a whole, and the last one does not count.
        let ratio = measured(&[2.0, 4.0, 60.0, 9.0]).ratio(&measured(&[1.0, 2.0, 30.0, 0.0]));
        assert_eq!(ratio, Spread { median: 2.0, noise: 0.0 });
    }
}
