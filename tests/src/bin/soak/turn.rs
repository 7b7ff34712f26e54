//! Who is called now, and whether hostile clients call, too.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::mutex::lock;

/// The instances that clients call at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Those that are monitored.
    Monitored,
    /// The same service without a monitor.
    Bare,
}

/// Who has a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) group: Group,
    pub(crate) is_hostile: bool,
}

/// The turn that it is.
#[derive(Debug)]
pub(crate) struct Board {
    turn: Mutex<Turn>,
    changed: Condvar,
}

impl Default for Board {
    fn default() -> Self {
        let turn = Mutex::new(Turn { group: Group::Monitored, is_hostile: false });
        Self { turn, changed: Condvar::new() }
    }
}

impl Board {
    pub(crate) fn set(&self, turn: Turn) {
        *lock(&self.turn) = turn;
        self.changed.notify_all();
    }

    /// Whether clients of this kind have their turn. If not, waits for it, no longer than this.
    pub(crate) fn waits_for(&self, group: Group, is_hostile: bool, longest: Duration) -> bool {
        let has_turn = |turn: &Turn| turn.group == group && (turn.is_hostile || !is_hostile);
        let turn = lock(&self.turn);
        let waited = self.changed.wait_timeout_while(turn, longest, |turn| !has_turn(turn));
        has_turn(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    pub(crate) fn is(&self, group: Group, is_hostile: bool) -> bool {
        self.waits_for(group, is_hostile, Duration::ZERO)
    }
}
