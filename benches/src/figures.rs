//! The figures that the design asks for, of those that a record decides.

use serde::Serialize;

use crate::arms::{
    HDRHISTOGRAM, METRICS_LABELS, METRIKEN, OURS, OURS_TIMED, PROMETHEUS_CACHED, PROMETHEUS_LABELS,
    TWO_RAW_READS,
};
use crate::measure::Measured;

/// What the design asks of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Required {
    /// The ratio is at most this.
    AtMost(f64),
    /// The ratio is at least this.
    AtLeast(f64),
}

/// An arm, and on how many threads it runs.
type Lane = (&'static str, usize);

/// The time of `over` divided by that of `under`.
struct Ratio {
    what: &'static str,
    over: Lane,
    under: Lane,
    required: Required,
}

const RATIOS: &[Ratio] = &[
    Ratio {
        what: "record, against a plain `&mut hdrhistogram::Histogram`",
        over: (OURS, 1),
        under: (HDRHISTOGRAM, 1),
        required: Required::AtMost(1.0),
    },
    Ratio {
        what: "record, two threads against one",
        over: (OURS, 2),
        under: (OURS, 1),
        required: Required::AtMost(1.15),
    },
    Ratio {
        what: "`prometheus` with handles cached, against record",
        over: (PROMETHEUS_CACHED, 1),
        under: (OURS, 1),
        required: Required::AtLeast(8.0),
    },
    Ratio {
        what: "`prometheus` with labels looked up, against record",
        over: (PROMETHEUS_LABELS, 1),
        under: (OURS, 1),
        required: Required::AtLeast(20.0),
    },
    Ratio {
        what: "`metrics` with labels looked up, against record",
        over: (METRICS_LABELS, 1),
        under: (OURS, 1),
        required: Required::AtLeast(20.0),
    },
    Ratio {
        what: "`metriken` on two threads, against record on two threads",
        over: (METRIKEN, 2),
        under: (OURS, 2),
        required: Required::AtLeast(2.0),
    },
    Ratio {
        what: "clock and record together, against two raw TSC reads",
        over: (OURS_TIMED, 1),
        under: (TWO_RAW_READS, 1),
        required: Required::AtMost(1.25),
    },
];

/// One figure, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What is compared.
    pub what: &'static str,
    /// What the design asks for.
    pub required: Required,
    /// The median over the rounds of the ratio within a round.
    pub measured: f64,
    /// Half the interquartile range of that ratio over the rounds.
    pub noise: f64,
    /// Whether the median meets what is required.
    pub met: bool,
}

impl Figure {
    fn new(what: &'static str, required: Required, measured: f64, noise: f64) -> Self {
        Self { what, required, measured, noise, met: required.is_met_by(measured) }
    }

    /// Whether it is missed by more than the noise, or was not measured since no round counts.
    pub fn clearly_missed(&self) -> bool {
        let in_favour = match self.required {
            Required::AtMost(_) => self.measured - self.noise,
            Required::AtLeast(_) => self.measured + self.noise,
        };
        !self.required.is_met_by(in_favour)
    }
}

impl Required {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }
}

/// The figures, from the arms measured on one thread and on two.
///
/// # Panics
///
/// If an arm was not measured.
pub fn figures(measured: &[Measured]) -> Vec<Figure> {
    let find = |(arm, threads)| {
        measured
            .iter()
            .find(|lane| (lane.arm, lane.threads) == (arm, threads))
            .unwrap_or_else(|| panic!("{arm} was not measured on {threads} threads"))
    };
    RATIOS
        .iter()
        .map(|ratio| {
            let spread = find(ratio.over).ratio(find(ratio.under));
            Figure::new(ratio.what, ratio.required, spread.median, spread.noise)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_within_the_noise_is_not_a_clear_one() {
        let judged = |required, measured| {
            let figure = Figure::new("", required, measured, 0.1);
            (figure.met, figure.clearly_missed())
        };
        for (required, met, close, missed) in
            [(Required::AtMost(1.0), 1.0, 1.05, 1.2), (Required::AtLeast(8.0), 8.0, 7.95, 7.8)]
        {
            assert_eq!(judged(required, met), (true, false));
            assert_eq!(judged(required, close), (false, false));
            assert_eq!(judged(required, missed), (false, true));
        }
    }

    #[test]
    fn each_figure_compares_arms_that_exist() {
        let workload = crate::Workload::six_routes();
        let measured = crate::measure::measure(crate::arms::ARMS, &[1, 2], &workload.events()[..100], 1);
        assert_eq!(figures(&measured).len(), RATIOS.len());
    }
}
