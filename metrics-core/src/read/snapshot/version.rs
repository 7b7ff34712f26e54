//! Which reading of which group a snapshot has.

use std::num::NonZeroU64;

/// Identifies the state of one group of one endpoint at one reading. Two groups with the same version are equal, so
/// what was derived from the first can be used for the second.
///
/// Of two versions of one registry, the greater one is later. Versions hold within a process, for 2^32 registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    registry: u64,
    change: NonZeroU64,
}

/// Gives each state that one reader makes a version of its own.
#[derive(Debug)]
pub(crate) struct Versions {
    next: Version,
}

impl Versions {
    /// Those of the registry with this key.
    pub(crate) fn of(registry: u64) -> Self {
        Self { next: Version { registry, change: NonZeroU64::MIN } }
    }

    pub(crate) fn next(&mut self) -> Version {
        let next = self.next;
        // A reader makes fewer than 2^64 states.
        self.next.change = next.change.saturating_add(1);
        next
    }
}
