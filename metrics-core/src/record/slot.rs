//! The slot of an outcome's count: the table in which `record` looks up a status.

use crate::labels::outcome::{Granularity, Outcome};

/// All outcomes: 500 statuses, other, aborted, panicked.
const OUTCOMES: usize = 503;
const OTHER: usize = 500;
const ABORTED: usize = 501;
const PANICKED: usize = 502;

/// Counts in a cell: a power of two, so that a mask replaces the bounds check.
///
/// 32 cover nearly every status that servers send. The statuses of a class from x32 on have extra cells, which most
/// services never touch. Loom's models use only the first two, since each count is one more word to explore.
pub(crate) const COUNTS: usize = if cfg!(metrics_loom) { 2 } else { 32 };

/// [`COUNTS`] outside of loom's models, which use no slots.
const STATUSES_A_CELL: usize = 32;

/// Cells for the statuses of a class.
const CELLS_A_CLASS: usize = 100_usize.div_ceil(STATUSES_A_CELL);

/// The slot of an outcome's count: a cell of the endpoint, and a count in that cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The number of the cell among the endpoint's, below [`Slots::stride`].
    pub(crate) cell: u16,
    /// The count in the cell.
    pub(crate) count: Count,
}

/// The number of a count in a cell. An enum, so that the compiler knows the range.
#[rustfmt::skip]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Count {
    C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15,
    C16, C17, C18, C19, C20, C21, C22, C23, C24, C25, C26, C27, C28, C29, C30, C31,
}

impl Count {
    #[rustfmt::skip]
    const ALL: [Self; STATUSES_A_CELL] = {
        use Count::*;
        [
            C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15,
            C16, C17, C18, C19, C20, C21, C22, C23, C24, C25, C26, C27, C28, C29, C30, C31,
        ]
    };
}

/// The slot of every outcome for one granularity: 4 KiB, computed at compile time.
///
/// A group of statuses can have several cells; readers add up their histograms. The common cells come first in the row,
/// so that one cache line holds the pointers to them.
#[derive(Debug)]
pub(crate) struct Slots {
    stride: usize,
    slots: [Slot; OUTCOMES],
    /// The same slots, by status; 0 ..= 99 have the slot of other.
    statuses: [Slot; 600],
}

static BY_CLASS: Slots = Slots::new(32);
static BY_STATUS: Slots = Slots::new(512);

impl Slots {
    pub(crate) fn by(granularity: Granularity) -> &'static Self {
        match granularity {
            Granularity::Outcome | Granularity::Class => &BY_CLASS,
            Granularity::Exact => &BY_STATUS,
        }
    }

    /// The most cells of an endpoint: a power of two, so that an `or` joins the endpoint's first cell and the cell of a
    /// status.
    pub(crate) const fn stride(&self) -> usize {
        self.stride
    }

    /// The slot of a status; `None` above 599. A status below 100 has the slot of [`Outcome::Other`].
    #[inline(always)]
    pub(crate) fn of_status(&self, status: u16) -> Option<Slot> {
        self.statuses.get(usize::from(status)).copied()
    }

    /// The slots of statuses 0 to 399, by status.
    #[inline(always)]
    pub(crate) fn successes(&self) -> &[Slot] {
        &self.statuses[..400]
    }

    #[inline(always)]
    pub(crate) fn of(&self, outcome: Outcome) -> Slot {
        match outcome {
            Outcome::Status(status) => self.of_status(status).unwrap_or(self.slots[OTHER]),
            Outcome::Other => self.slots[OTHER],
            Outcome::Aborted => self.slots[ABORTED],
            Outcome::Panicked => self.slots[PANICKED],
        }
    }

    /// The outcomes that a cell counts, in the order of its counts; empty for an unused cell.
    pub(crate) fn outcomes(&self, cell: usize) -> impl Iterator<Item = Outcome> + '_ {
        (0..OUTCOMES).filter(move |&code| usize::from(self.slots[code].cell) == cell).map(outcome)
    }

    const fn new(stride: usize) -> Self {
        let mut slots = [Slot { cell: 0, count: Count::C0 }; OUTCOMES];
        let mut code = 0;
        while code < OUTCOMES {
            slots[code] = if stride >= OUTCOMES {
                Slot { cell: code as u16, count: Count::C0 }
            } else if code < OTHER {
                let (class, status) = (code / 100, code % 100);
                let cell = match status / STATUSES_A_CELL {
                    0 => class,
                    // After the common statuses of the five classes, and other, aborted and panicked.
                    rest => 8 + class * (CELLS_A_CLASS - 1) + rest - 1,
                };
                Slot { cell: cell as u16, count: Count::ALL[status % STATUSES_A_CELL] }
            } else {
                Slot { cell: (code - OTHER + 5) as u16, count: Count::C0 }
            };
            code += 1;
        }
        let mut statuses = [slots[OTHER]; 600];
        let mut status = 100;
        while status < 600 {
            statuses[status] = slots[status - 100];
            status += 1;
        }
        Self { stride, slots, statuses }
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

// Not under Miri: it would take minutes, and nothing here is `unsafe`.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::labels::outcome::StatusGroup;

    #[test]
    fn every_outcome_has_a_slot_of_its_own_in_a_cell_of_one_group() {
        for granularity in [Granularity::Outcome, Granularity::Class, Granularity::Exact] {
            let slots = Slots::by(granularity);
            let mut seen = 0;
            for cell in 0..slots.stride() {
                let mut groups = std::collections::HashSet::new();
                for (count, outcome) in slots.outcomes(cell).enumerate() {
                    let slot = slots.of(outcome);
                    assert_eq!((usize::from(slot.cell), slot.count as usize), (cell, count));
                    assert!(count < COUNTS);
                    assert!(outcome.status().is_none_or(|status| slots.of_status(status) == Some(slot)));
                    groups.insert(StatusGroup::of(granularity, outcome));
                    seen += 1;
                }
                assert!(groups.len() <= 1, "{granularity:?} {cell} mixes {groups:?}");
            }
            assert_eq!(seen, OUTCOMES);
            assert!(slots.stride().is_power_of_two());
        }
    }

    #[test]
    fn a_status_outside_the_range_has_the_slot_of_other() {
        let slots = Slots::by(Granularity::Class);
        for status in [0, 99, 600, 601, u16::MAX] {
            assert_eq!(slots.of(Outcome::Status(status)), slots.of(Outcome::Other));
        }
    }
}
