//! Where the count of an outcome stands: the table that `record` looks a status up in.

use crate::outcome::{Granularity, Outcome, StatusGroup};

/// All outcomes: 500 statuses, other, aborted, panicked.
const OUTCOMES: usize = 503;
const OTHER: usize = 500;
const ABORTED: usize = 501;
const PANICKED: usize = 502;

/// The place of an outcome's count: which cell of the endpoint, and which count in that cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the endpoint's cells, below [`Places::stride`].
    pub(crate) group: u16,
    /// Which count in the cell, below the length of [`Places::outcomes`] of that group.
    pub(crate) count: u16,
}

/// The place of every outcome under one granularity; 2 KiB, made at compile time.
#[derive(Debug)]
pub(crate) struct Places {
    granularity: Granularity,
    places: [Place; OUTCOMES],
}

static BY_OUTCOME: Places = Places::new(Granularity::Outcome);
static BY_CLASS: Places = Places::new(Granularity::Class);
static BY_STATUS: Places = Places::new(Granularity::Exact);

impl Places {
    pub(crate) fn by(granularity: Granularity) -> &'static Self {
        match granularity {
            Granularity::Outcome => &BY_OUTCOME,
            Granularity::Class => &BY_CLASS,
            Granularity::Exact => &BY_STATUS,
        }
    }

    pub(crate) fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// Cells an endpoint can have: a power of two, at least the number of groups.
    pub(crate) const fn stride(&self) -> usize {
        match self.granularity {
            Granularity::Outcome => 4,
            Granularity::Class => 8,
            Granularity::Exact => 512,
        }
    }

    /// The place of a status; one outside 100 ..= 599 has that of [`Outcome::Other`].
    #[inline(always)]
    pub(crate) fn of_status(&self, status: u16) -> Place {
        let code = usize::from(status.wrapping_sub(100));
        self.places[if code < OTHER { code } else { OTHER }]
    }

    pub(crate) fn of(&self, outcome: Outcome) -> Place {
        match outcome {
            Outcome::Status(status) => self.of_status(status),
            Outcome::Other => self.places[OTHER],
            Outcome::Aborted => self.places[ABORTED],
            Outcome::Panicked => self.places[PANICKED],
        }
    }

    /// The outcomes that a cell counts, in the order of its counts; none for a group that does not occur.
    pub(crate) fn outcomes(&self, group: usize) -> impl Iterator<Item = Outcome> + '_ {
        (0..OUTCOMES).filter(move |&code| usize::from(self.places[code].group) == group).map(outcome)
    }

    const fn new(granularity: Granularity) -> Self {
        let mut places = [Place { group: 0, count: 0 }; OUTCOMES];
        let mut counted = [0_u16; OUTCOMES];
        let mut code = 0;
        while code < OUTCOMES {
            let group = group_index(granularity, code);
            places[code] = Place { group, count: counted[group as usize] };
            counted[group as usize] += 1;
            code += 1;
        }
        Self { granularity, places }
    }
}

/// The cell of an outcome among the endpoint's cells.
const fn group_index(granularity: Granularity, code: usize) -> u16 {
    match StatusGroup::of(granularity, outcome(code)) {
        StatusGroup::Success => 0,
        StatusGroup::Error => 1,
        StatusGroup::Class(class) => class as u16 - 1,
        StatusGroup::Status(status) => status - 100,
        StatusGroup::Other => match granularity {
            Granularity::Outcome => 0,
            Granularity::Class => 5,
            Granularity::Exact => OTHER as u16,
        },
        StatusGroup::Aborted => match granularity {
            Granularity::Outcome => 2,
            Granularity::Class => 6,
            Granularity::Exact => ABORTED as u16,
        },
        StatusGroup::Panicked => match granularity {
            Granularity::Outcome => 3,
            Granularity::Class => 7,
            Granularity::Exact => PANICKED as u16,
        },
    }
}

const fn outcome(code: usize) -> Outcome {
    match code {
        OTHER => Outcome::Other,
        ABORTED => Outcome::Aborted,
        PANICKED => Outcome::Panicked,
        _ => Outcome::Status(code as u16 + 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_place_of_its_own_in_the_group_that_names_it() {
        for granularity in [Granularity::Outcome, Granularity::Class, Granularity::Exact] {
            let places = Places::by(granularity);
            assert_eq!(places.granularity(), granularity);
            let mut seen = 0;
            for group in 0..places.stride() {
                let mut names = std::collections::HashSet::new();
                for (count, outcome) in places.outcomes(group).enumerate() {
                    let place = places.of(outcome);
                    assert_eq!((usize::from(place.group), usize::from(place.count)), (group, count));
                    names.insert(StatusGroup::of(granularity, outcome));
                    seen += 1;
                }
                assert!(names.len() <= 1, "{granularity:?} {group} mixes {names:?}");
            }
            assert_eq!(seen, OUTCOMES);
            assert!(places.stride().is_power_of_two());
        }
    }

    #[test]
    fn a_status_outside_the_range_has_the_place_of_other() {
        let places = Places::by(Granularity::Class);
        for status in [0, 99, 600, 601, u16::MAX] {
            assert_eq!(places.of_status(status), places.of(Outcome::Other));
        }
    }
}
