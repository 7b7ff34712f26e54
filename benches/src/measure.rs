//! Runs lanes in turn, in shuffled order, round after round, and evaluates the rounds.
//!
//! The machines are shared and noisy. A disturbance that hits one lane of a round likely hits its neighbours, so
//! differences and ratios are taken within a round, and their median over the rounds counts.

use std::fmt;

use serde::Serialize;

use crate::size::Size;
use crate::stats::Spread;

/// Seeds the order of the lanes.
const SEED: u64 = 0x0bde;

/// What all arms of a comparison have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Events of a number of routes, on a number of threads at the same time.
    Record {
        /// Number of routes.
        routes: usize,
        /// Number of threads.
        threads: usize,
    },
    /// Requests of one shape.
    Shape(&'static str),
    /// A server with this number of workers.
    Workers(usize),
    /// A service of this size.
    Service(Size),
    /// Scrapes of this number of routes, each with three statuses, after one in so many of these series changed.
    Scrapes {
        /// Number of routes.
        routes: usize,
        /// 1 for all of them.
        changed: usize,
    },
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Record { routes, threads: 1 } => write!(f, "{routes} routes, 1 thread"),
            Self::Record { routes, threads } => write!(f, "{routes} routes, {threads} threads"),
            Self::Shape(shape) => write!(f, "{shape} requests"),
            Self::Workers(1) => write!(f, "1 worker"),
            Self::Workers(workers) => write!(f, "{workers} workers"),
            Self::Scrapes { routes, changed: 1 } => write!(f, "{routes} routes x 3 statuses, all changed"),
            Self::Scrapes { routes, changed } => {
                write!(f, "{routes} routes x 3 statuses, one in {changed} changed")
            }
            Self::Service(size) => {
                let s = |count: usize| if count == 1 { "" } else { "s" };
                let Size { endpoints, shards, digits } = size;
                write!(f, "{endpoints} endpoint{} x {shards} shard{}, ", s(endpoints), s(shards))?;
                write!(f, "{digits} digit{}", s(digits.into()))
            }
        }
    }
}

/// The measurements of one arm in one setting.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The arm's name.
    pub arm: &'static str,
    /// The setting.
    pub setting: Setting,
    /// Nanoseconds, bytes of memory, or what else the comparison's unit is of, for each round. `None` if the round does
    /// not count.
    pub(crate) rounds: Vec<Option<f64>>,
    /// Rounds that are shown although they should not count, since none does.
    pub(crate) forced: usize,
}

impl Measured {
    /// Without any rounds yet.
    pub(crate) fn new(arm: &'static str, setting: Setting) -> Self {
        Self { arm, setting, rounds: Vec::new(), forced: 0 }
    }

    /// If no round counts, takes these measurements instead: something is better than nothing, and the report says so.
    pub(crate) fn use_if_none_counts(&mut self, measurements: Vec<f64>) {
        if self.rounds.iter().all(Option::is_none) {
            self.forced = measurements.len();
            self.rounds = measurements.into_iter().map(Some).collect();
        }
    }

    /// The median over the rounds. NaN if no round counts.
    pub fn median(&self) -> f64 {
        self.spread().median
    }

    /// The median over the rounds, and how far they scatter around it.
    pub(crate) fn spread(&self) -> Spread {
        Spread::of(self.rounds.iter().copied().flatten())
    }

    /// How much longer this took than `floor`, for each round.
    pub(crate) fn over(&self, floor: &Self) -> Self {
        let rounds = self.rounds.iter().zip(&floor.rounds).map(|(own, floor)| Some((*own)? - (*floor)?));
        Self { rounds: rounds.collect(), ..*self }
    }

    /// The ratio to `other`, taken within each round. Without a round that counts for both, that of the medians, with
    /// the noise of both.
    pub(crate) fn ratio(&self, other: &Self) -> Spread {
        if self.with(other).next().is_none() {
            let (own, other) = (self.spread(), other.spread());
            let median = own.median / other.median;
            return Spread { median, noise: median * (own.noise / own.median + other.noise / other.median) };
        }
        Spread::of(self.with(other).map(|(own, other)| own / other))
    }

    /// The ratio of the medians, and how far the rounds scatter around it. For differences, which can be close to 0 by
    /// accident in a single round, so that a ratio within that round is meaningless.
    pub(crate) fn ratio_of_medians(&self, other: &Self) -> Spread {
        let median = self.median() / other.median();
        let off = Spread::of(self.with(other).map(|(own, other)| own - median * other));
        Spread { median, noise: off.noise / other.median().abs() }
    }

    /// The rounds that count for both.
    fn with(&self, other: &Self) -> impl Iterator<Item = (f64, f64)> {
        self.rounds.iter().zip(&other.rounds).filter_map(|(own, other)| (*own).zip(*other))
    }
}

/// The order of the turns: each lane once a round, newly shuffled in each round.
pub(crate) fn turns(lanes: usize, rounds: usize) -> impl Iterator<Item = usize> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut order: Vec<usize> = (0..lanes).collect();
    (0..rounds).flat_map(move |_| {
        random.shuffle(&mut order);
        order.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(rounds: &[f64]) -> Measured {
        let rounds = rounds.iter().map(|&nanos| (nanos > 0.0).then_some(nanos)).collect();
        Measured { rounds, ..Measured::new("", Setting::Shape("")) }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // The third round was slow as a whole, and the last one does not count.
        let ratio = measured(&[2.0, 4.0, 60.0, 9.0]).ratio(&measured(&[1.0, 2.0, 30.0, 0.0]));
        assert_eq!(ratio, Spread { median: 2.0, noise: 0.0 });
    }

    #[test]
    fn without_a_common_round_a_ratio_is_that_of_the_medians() {
        let ratio = measured(&[2.0, 4.0, 6.0, 0.0]).ratio(&measured(&[0.0, 0.0, 0.0, 2.0]));
        assert_eq!((ratio.median, ratio.noise), (2.0, 2.0 * measured(&[2.0, 4.0, 6.0]).spread().noise / 4.0));
    }

    #[test]
    fn a_difference_is_taken_within_each_round() {
        let over = measured(&[3.0, 7.0, 62.0, 9.0]).over(&measured(&[1.0, 5.0, 60.0, 0.0]));
        assert_eq!(over.rounds, [Some(2.0), Some(2.0), Some(2.0), None]);
    }

    #[test]
    fn a_round_without_a_difference_does_not_spoil_the_ratio_of_the_medians() {
        let own = measured(&[20.0, 21.0, 20.0, 19.0, 20.0]);
        let ratio = own.ratio_of_medians(&measured(&[10.0, 10.5, 1e-9, 9.5, 10.0]));
        assert_eq!(ratio, Spread { median: 2.0, noise: 0.0 });
    }

    #[test]
    fn of_a_lane_without_a_round_that_counts_all_are_shown_and_said_to_be_so() {
        let mut some = measured(&[2.0, 0.0]);
        some.use_if_none_counts(vec![2.0, 5.0]);
        assert_eq!((some.rounds, some.forced), (vec![Some(2.0), None], 0));
        let mut none = measured(&[0.0, 0.0]);
        assert!(none.median().is_nan());
        none.use_if_none_counts(vec![4.0, 4.0]);
        assert_eq!((none.median(), none.forced), (4.0, 2));
    }

    #[test]
    fn each_lane_has_one_turn_a_round_in_changing_order() {
        let turns: Vec<usize> = turns(5, 8).collect();
        let mut orders: Vec<&[usize]> = turns.chunks(5).collect();
        for order in &orders {
            assert!((0..5).all(|lane| order.contains(&lane)), "{order:?}");
        }
        orders.dedup();
        assert!(orders.len() > 1);
    }
}
