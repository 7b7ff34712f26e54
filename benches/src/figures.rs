//! The figures that the design requires, and whether they are met.

use serde::Serialize;

use crate::measure::{Measured, Setting};
use crate::stats::Spread;
use crate::unit::Unit;

/// The names of our arm, of the arm without metrics and of the arm that nothing disturbs.
pub(crate) const OURS: &str = "ours";
pub(crate) const BARE: &str = "bare";
pub(crate) const ALONE: &str = "alone";

/// What the design requires of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Required {
    /// It is at most this.
    AtMost(f64),
    /// It is at least this.
    AtLeast(f64),
}

/// An arm in one setting.
pub(crate) type LaneId = (&'static str, Setting);

/// How a figure is computed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Quantity {
    /// The time of `over` divided by the time of `under`.
    Ratio { over: LaneId, under: LaneId },
    /// What `over` has more than `under`.
    Difference { over: LaneId, under: LaneId, unit: Unit },
    /// The time or the size of one lane.
    Absolute(LaneId, Unit),
}

/// A quantity, and what the design requires of it.
#[derive(Debug, Clone)]
pub(crate) struct Requirement {
    pub(crate) what: String,
    pub(crate) of: Quantity,
    pub(crate) required: Required,
}

/// How the arms of one kind are compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What is compared, in a word or two.
    pub(crate) kind: &'static str,
    /// The unit of the table, and the words after it in the table's head.
    pub(crate) unit: Unit,
    pub(crate) per: &'static str,
    /// Whether ratios are of the time over the bare arm, which is subtracted round by round.
    pub(crate) over_bare: bool,
    /// The arm to which all others are compared, if they do the same work.
    pub(crate) reference: Option<Reference>,
    /// What the design requires.
    pub(crate) requirements: Vec<Requirement>,
}

/// The arms to which others are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    Ours,
    Bare,
    Alone,
}

impl Reference {
    /// The arm's name.
    pub(crate) fn arm(self) -> &'static str {
        match self {
            Self::Ours => OURS,
            Self::Bare => BARE,
            Self::Alone => ALONE,
        }
    }
}

impl Spread {
    fn in_unit(self, unit: Unit) -> Self {
        Self { median: unit.convert(self.median), noise: unit.convert(self.noise) }
    }
}

impl Comparison {
    /// How much longer a lane took than the bare arm in the same setting, if that is compared.
    pub(crate) fn over_bare(&self, lane: &Measured, measured: &[Measured]) -> Option<Measured> {
        self.over_bare.then(|| lane.over(find(measured, (BARE, lane.setting))))
    }

    /// The ratio of two lanes.
    pub(crate) fn ratio(&self, over: &Measured, under: &Measured, measured: &[Measured]) -> Spread {
        match (self.over_bare(over, measured), self.over_bare(under, measured)) {
            (Some(over), Some(under)) => over.ratio_of_medians(&under),
            _ => over.ratio(under),
        }
    }

    /// Computes the figures that the design requires.
    ///
    /// # Panics
    ///
    /// If an arm was not measured.
    pub(crate) fn figures(&self, measured: &[Measured]) -> Vec<Figure> {
        let figure = |requirement: &Requirement| match requirement.of {
            Quantity::Ratio { over, under } => {
                let spread = self.ratio(find(measured, over), find(measured, under), measured);
                Figure::new(requirement, None, spread)
            }
            Quantity::Difference { over, under, unit } => {
                let difference = find(measured, over).over(find(measured, under));
                Figure::new(requirement, Some(unit.name), difference.spread().in_unit(unit))
            }
            Quantity::Absolute(lane, unit) => {
                Figure::new(requirement, Some(unit.name), find(measured, lane).spread().in_unit(unit))
            }
        };
        self.requirements.iter().map(figure).collect()
    }
}

/// Finds the lane of an arm in a setting.
///
/// # Panics
///
/// If it was not measured.
pub(crate) fn find(measured: &[Measured], (arm, setting): LaneId) -> &Measured {
    measured
        .iter()
        .find(|lane| (lane.arm, lane.setting) == (arm, setting))
        .unwrap_or_else(|| panic!("{arm} was not measured with {setting}"))
}

/// One figure, as it was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What is compared.
    pub what: String,
    /// What the design requires.
    pub required: Required,
    /// Its unit; a ratio has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// The median over the rounds, of the figure itself, or of the ratio or the difference within a round. For the time
    /// over a bare app, the ratio of the medians.
    pub measured: f64,
    /// Half the interquartile range over the rounds.
    pub noise: f64,
    /// Whether the median meets the requirement.
    pub met: bool,
}

impl Figure {
    fn new(requirement: &Requirement, unit: Option<&'static str>, measured: Spread) -> Self {
        let Requirement { what, required, .. } = requirement;
        let Spread { median, noise } = measured;
        let met = required.is_met_by(median);
        Self { what: what.clone(), required: *required, unit, measured: median, noise, met }
    }

    /// Whether it is missed by more than the noise, or no round counts.
    pub fn clearly_missed(&self) -> bool {
        let in_favour = match self.required {
            Required::AtMost(_) => self.measured - self.noise,
            Required::AtLeast(_) => self.measured + self.noise,
        };
        !self.required.is_met_by(in_favour)
    }
}

impl Required {
    fn is_met_by(self, measured: f64) -> bool {
        match self {
            Self::AtMost(limit) => measured <= limit,
            Self::AtLeast(limit) => measured >= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(arm: &'static str, shape: &'static str, rounds: &[f64]) -> Measured {
        let rounds = rounds.iter().copied().map(Some).collect();
        Measured { rounds, ..Measured::new(arm, Setting::Shape(shape)) }
    }

    fn comparison(over_bare: bool, of: Quantity, required: Required) -> Comparison {
        let requirement = Requirement { what: String::new(), of, required };
        Comparison {
            kind: "",
            unit: Unit::NANOS,
            per: "",
            over_bare,
            reference: Some(Reference::Ours),
            requirements: vec![requirement],
        }
    }

    #[test]
    fn a_miss_within_the_noise_is_not_a_clear_miss() {
        let of = Quantity::Absolute((OURS, Setting::Shape("")), Unit::NANOS);
        let judged = |required, median| {
            let requirement = Requirement { what: String::new(), of, required };
            let figure = Figure::new(&requirement, None, Spread { median, noise: 0.1 });
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
    fn the_bare_arm_of_the_same_setting_is_subtracted_on_both_sides() {
        let measured = [
            lane(BARE, "b", &[900.0]),
            lane(BARE, "a", &[100.0]),
            lane(OURS, "a", &[110.0]),
            lane("peer", "a", &[180.0]),
        ];
        let a = Setting::Shape("a");
        let ratio = Quantity::Ratio { over: ("peer", a), under: (OURS, a) };
        let figures = comparison(true, ratio, Required::AtLeast(6.0)).figures(&measured);
        assert_eq!((figures[0].measured, figures[0].unit), (8.0, None));
    }

    #[test]
    fn a_difference_is_taken_within_each_round() {
        let measured = [lane(OURS, "a", &[3.0e6, 7.0e6, 9.0e6]), lane(BARE, "a", &[1.0e6, 5.0e6, 8.0e6])];
        let a = Setting::Shape("a");
        let of = Quantity::Difference { over: (OURS, a), under: (BARE, a), unit: Unit::MILLIS };
        let figures = comparison(false, of, Required::AtMost(2.0)).figures(&measured);
        assert_eq!((figures[0].measured, figures[0].unit, figures[0].met), (2.0, Some("ms"), true));
    }

    #[test]
    fn an_absolute_figure_is_the_median_in_its_own_unit() {
        let measured = [lane(OURS, "a", &[2.5e6, 1.5e6, 2.0e6])];
        let of = Quantity::Absolute((OURS, Setting::Shape("a")), Unit::MILLIS);
        let figures = comparison(false, of, Required::AtMost(2.0)).figures(&measured);
        let Figure { measured, noise, unit, met, .. } = figures[0];
        assert_eq!((measured, noise, unit, met), (2.0, 0.25, Some("ms"), true));
    }
}
