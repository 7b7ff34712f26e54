//! A window's entries of a log: bounded, with a count of those that are missing.

use std::collections::VecDeque;

/// Entries of a log, the oldest first, and how many are missing.
#[derive(Debug, Clone)]
pub(super) struct Entries<T> {
    pub(super) list: VecDeque<T>,
    pub(super) missed: u64,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { list: VecDeque::new(), missed: 0 }
    }
}

impl<T> Entries<T> {
    pub(super) fn add(&mut self, entries: impl Iterator<Item = T>, missed: u64) {
        self.list.extend(entries);
        self.missed += missed;
    }

    /// Appends the entries of the next window.
    pub(super) fn absorb(&mut self, next: Self) {
        self.add(next.list.into_iter(), next.missed);
    }

    pub(super) fn len(&self) -> u64 {
        self.list.len() as u64
    }
}

/// Drops waiting entries until at most `max` are left, including `kept` others that stay: the least important ones
/// first, and of those the oldest. `importance` is lower for more important entries, and below `levels`. Each list counts
/// its dropped entries as missing. Returns how many were dropped.
pub(super) fn bound<'a, T: 'a>(
    waiting: impl Iterator<Item = &'a mut Entries<T>>,
    kept: usize,
    max: usize,
    levels: usize,
    importance: impl Fn(&T) -> usize,
) -> u64 {
    let mut waiting: Vec<_> = waiting.collect();
    let all = waiting.iter().map(|entries| entries.list.len()).sum::<usize>() + kept;
    let mut excess = all.saturating_sub(max);
    let before = excess;
    for level in (0..levels).rev() {
        for entries in &mut waiting {
            if excess == 0 {
                break;
            }
            let len = entries.list.len();
            entries.list.retain(|entry| {
                let drops = excess > 0 && importance(entry) == level;
                excess -= usize::from(drops);
                !drops
            });
            entries.missed += (len - entries.list.len()) as u64;
        }
    }
    (before - excess) as u64
}
