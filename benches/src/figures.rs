//! The figures that the design asks for, and whether they are met.

use serde::Serialize;

use crate::measure::{Measured, Setting};
use crate::stats::Spread;

/// What our arm is called, and the one without any metrics, wherever there are such.
pub(crate) const OURS: &str = "ours";
pub(crate) const BARE: &str = "bare";

/// What the design asks of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Required {
    /// The ratio is at most this.
    AtMost(f64),
    /// The ratio is at least this.
    AtLeast(f64),
}

/// An arm, and what it was measured with.
type Lane = (&'static str, Setting);

/// The time of `over` divided by that of `under`.
#[derive(Debug, Clone)]
pub struct Ratio {
    pub(crate) what: String,
    pub(crate) over: Lane,
    pub(crate) under: Lane,
    pub(crate) required: Required,
}

/// How the arms of one kind are set against each other.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What the times are called in the table's head.
    pub(crate) unit: &'static str,
    pub(crate) nanos_in_unit: f64,
    /// Whether the time of the bare arm is taken off all times, round by round, before there are ratios.
    pub(crate) over_bare: bool,
    /// The arm by which the times of all arms are divided.
    pub(crate) reference: Reference,
    /// Those of which the design asks something.
    pub(crate) ratios: Vec<Ratio>,
}

/// The arms that others are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    Ours,
    Bare,
}

impl Reference {
    /// The arm's name.
    pub(crate) fn arm(self) -> &'static str {
        match self {
            Self::Ours => OURS,
            Self::Bare => BARE,
        }
    }
}

impl Comparison {
    /// What a lane took longer than the bare arm in the same setting, if that is what is compared.
    pub(crate) fn over_bare(&self, lane: &Measured, measured: &[Measured]) -> Option<Measured> {
        self.over_bare.then(|| lane.over(find(measured, (BARE, lane.setting))))
    }

    /// How one lane compares with another.
    pub(crate) fn ratio(&self, over: &Measured, under: &Measured, measured: &[Measured]) -> Spread {
        match (self.over_bare(over, measured), self.over_bare(under, measured)) {
            (Some(over), Some(under)) => over.ratio_of_medians(&under),
            _ => over.ratio(under),
        }
    }

    /// The figures that the design asks for.
    ///
    /// # Panics
    ///
    /// If an arm was not measured.
    pub(crate) fn figures(&self, measured: &[Measured]) -> Vec<Figure> {
        let figure = |Ratio { what, over, under, required }: &Ratio| {
            let spread = self.ratio(find(measured, *over), find(measured, *under), measured);
            Figure::new(what, *required, spread.median, spread.noise)
        };
        self.ratios.iter().map(figure).collect()
    }
}

/// # Panics
///
/// If the arm was not measured.
pub(crate) fn find(measured: &[Measured], (arm, setting): Lane) -> &Measured {
    measured
        .iter()
        .find(|lane| (lane.arm, lane.setting) == (arm, setting))
        .unwrap_or_else(|| panic!("{arm} was not measured with {setting}"))
}

/// One figure, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What is compared.
    pub what: String,
    /// What the design asks for.
    pub required: Required,
    /// The median over the rounds of the ratio within a round; for what is added to a bare app, the ratio of the medians.
    pub measured: f64,
    /// Half the interquartile range of the rounds around it.
    pub noise: f64,
    /// Whether the median meets what is required.
    pub met: bool,
}

impl Figure {
    fn new(what: &str, required: Required, measured: f64, noise: f64) -> Self {
        Self { what: what.to_owned(), required, measured, noise, met: required.is_met_by(measured) }
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
    fn bare_of_the_same_setting_is_taken_off_both_sides() {
        let lane = |arm, shape, nanos| Measured {
            rounds: vec![Some(nanos)],
            ..Measured::new(arm, Setting::Shape(shape))
        };
        let measured = [
            lane(BARE, "b", 900.0),
            lane(BARE, "a", 100.0),
            lane(OURS, "a", 110.0),
            lane("peer", "a", 180.0),
        ];
        let a = Setting::Shape("a");
        let required = Required::AtLeast(6.0);
        let ratio = Ratio { what: String::new(), over: ("peer", a), under: (OURS, a), required };
        let comparison = Comparison {
            unit: "ns",
            nanos_in_unit: 1.0,
            over_bare: true,
            reference: Reference::Ours,
            ratios: vec![ratio],
        };
        assert_eq!(comparison.figures(&measured)[0].measured, 8.0);
    }
}
