//! What arrived lately, in bounded memory, so that what comes twice counts once. A destination is sent one thing at a
//! time, again and again until it answers: what comes twice does so soon.

use std::collections::{BTreeMap, HashSet};
use std::mem;

/// The last ids that are surely known.
const IDS: usize = 65_536;

/// The last windows that are surely known.
const WINDOWS: usize = 64;

/// Ids that are counted once.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    young: HashSet<u64>,
    old: HashSet<u64>,
    count: u64,
}

impl Ids {
    /// Counts an id, unless it came lately. Returns whether it did not.
    pub(crate) fn insert(&mut self, id: u64) -> bool {
        if self.old.contains(&id) || !self.young.insert(id) {
            return false;
        }
        self.count += 1;
        if self.young.len() == IDS {
            self.old = mem::take(&mut self.young);
        }
        true
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Frees the memory. The count stays.
    pub(crate) fn forget(&mut self) {
        *self = Self { count: self.count, ..Self::default() };
    }
}

/// Windows by their number or time. Older ones are final.
#[derive(Debug)]
pub(crate) struct Windows<T> {
    last: BTreeMap<u64, T>,
    /// The newest of those that are final.
    taken: Option<u64>,
}

impl<T> Default for Windows<T> {
    fn default() -> Self {
        Self { last: BTreeMap::new(), taken: None }
    }
}

impl<T> Windows<T> {
    /// A window, to be changed; an empty one if it is new. Those that become final are handed over.
    pub(crate) fn change(
        &mut self,
        window: u64,
        change: impl FnOnce(&mut T),
        finish: impl FnMut(T),
    ) -> Result<(), String>
    where
        T: Default,
    {
        if self.taken.is_some_and(|taken| window <= taken) {
            return Err(format!("window {window} came long after those that followed it"));
        }
        change(self.last.entry(window).or_default());
        self.finish(WINDOWS, finish);
        Ok(())
    }

    /// Hands over all windows, which are final.
    pub(crate) fn forget(&mut self, finish: impl FnMut(T)) {
        self.finish(0, finish);
    }

    fn finish(&mut self, keep: usize, mut finish: impl FnMut(T)) {
        while self.last.len() > keep
            && let Some((window, of_window)) = self.last.pop_first()
        {
            self.taken = Some(window);
            finish(of_window);
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.last.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_again_soon_counts_once_and_memory_is_bounded() {
        let mut ids = Ids::default();
        let all = 5 * IDS as u64;
        for id in 0..all {
            assert!(ids.insert(id));
            assert!(!ids.insert(id));
            assert!(!ids.insert(id.saturating_sub(IDS as u64 - 1)), "{id}");
        }
        assert_eq!(ids.count(), all);
        assert!(ids.young.len() + ids.old.len() <= 2 * IDS);
        ids.forget();
        assert_eq!((ids.count(), ids.young.capacity() + ids.old.capacity()), (all, 0));
    }

    #[test]
    fn each_window_is_final_once_and_a_late_one_is_strange() {
        let (mut windows, mut done) = (Windows::<u64>::default(), 0);
        for window in 1..=1_000 {
            windows.change(window, |sum| *sum += 1, |sum| done += sum).expect("it is new");
            windows.change(window, |sum| *sum += 1, |sum| done += sum).expect("it is the last one");
        }
        assert_eq!(windows.last.len(), WINDOWS);
        assert_eq!(done + windows.values().sum::<u64>(), 2_000);
        windows.change(3, |sum| *sum += 1, |_| ()).expect_err("it is final");
        windows.forget(|sum| done += sum);
        assert_eq!((done, windows.last.len()), (2_000, 0));
    }
}
