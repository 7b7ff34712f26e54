//! The last events of a kind, such as errors: a bounded queue that requests push to and readers drain.
//!
//! # Synchronization
//!
//! `queue` is crossbeam's lock-free queue: a push evicts the oldest entry when the queue is full. It spins only if a thread
//! was stopped half-way in the one slot that it needs, after all other slots were written over.
//! `recent` holds what was drained; only readers lock it. An entry is in exactly one of: the queue, the list, the
//! count of evicted ones, or it was shown in the window that a reset closed.

use std::collections::VecDeque;
use std::fmt;

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};

#[cfg(not(metrics_loom))]
use crossbeam_queue::ArrayQueue;
#[cfg(metrics_loom)]
use model::ArrayQueue;

/// The last `capacity` entries.
pub(crate) struct EventLog<T> {
    queue: ArrayQueue<T>,
    /// Entries that newer ones pushed out of the queue, before anybody drained it, or that were let go.
    overwritten: AtomicU64,
    /// Entries of the current window that newer ones pushed out of the list.
    pushed_out: AtomicU64,
    recent: Mutex<Recent<T>>,
}

/// What was drained, oldest first. Entries are numbered in the order in which they were drained.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    entries: VecDeque<T>,
    /// The number of the first entry.
    first: u64,
    /// The number of the first entry since the last reset. Those before it are kept for readers with a cursor.
    window: u64,
}

/// How far a reader has read a log. The default is that of a reader who has read nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// The number of the next entry.
    next: u64,
    /// Entries that never got a number, as far as they are in `missed`.
    overwritten: u64,
    missed: u64,
}

impl Position {
    /// Entries that were gone before the reader came, since the start.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

impl<T> Recent<T> {
    /// The entries since the last reset.
    pub(crate) fn window(&self) -> impl DoubleEndedIterator<Item = &T> {
        let before = self.window.saturating_sub(self.first);
        self.entries.iter().skip(usize::try_from(before).unwrap_or(usize::MAX))
    }

    /// Begins a window without entries.
    pub(crate) fn begin_window(&mut self) {
        self.window = self.end();
    }

    /// The number of the next entry.
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Adds an entry, and says whether one of the window had to make room for it.
    fn push(&mut self, entry: T, capacity: usize) -> bool {
        let full = self.entries.len() == capacity;
        let pushes_out = full && self.first >= self.window;
        if full {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(entry);
        pushes_out
    }
}

impl<T> EventLog<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity),
            overwritten: AtomicU64::new(0),
            pushed_out: AtomicU64::new(0),
            recent: Mutex::new(Recent { entries: VecDeque::new(), first: 0, window: 0 }),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Appends an entry. Lock-free; evicts the oldest one when nobody drained for a while.
    pub(crate) fn push(&self, event: T) {
        if self.queue.force_push(event).is_some() {
            // ORDERING: Relaxed, here and below; figures by themselves.
            self.overwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an entry that was not worth a push, as one that was pushed out.
    pub(crate) fn let_go(&self) {
        self.overwritten.fetch_add(1, Ordering::Relaxed);
    }

    /// Drains the queue into the list, and gives the list.
    pub(crate) fn drain(&self) -> MutexGuard<'_, Recent<T>> {
        let mut recent = lock(&self.recent);
        // Bounded, so that a storm cannot keep the reader here.
        for _ in 0..self.capacity() {
            let Some(event) = self.queue.pop() else { break };
            if recent.push(event, self.capacity()) {
                self.pushed_out.fetch_add(1, Ordering::Relaxed);
            }
        }
        recent
    }

    /// Drains the queue, shows the entries that came after the cursor, oldest first, and moves it behind them.
    pub(crate) fn after<R>(&self, cursor: &mut Position, show: impl Fn(&T) -> R) -> Vec<R> {
        let recent = self.drain();
        let overwritten = self.overwritten.load(Ordering::Relaxed);
        let never_listed = overwritten.saturating_sub(cursor.overwritten);
        let from = cursor.next.max(recent.first);
        cursor.missed += never_listed + (from - cursor.next);
        cursor.overwritten = overwritten;
        cursor.next = recent.end().max(from);
        let seen = usize::try_from(from - recent.first).unwrap_or(usize::MAX);
        recent.entries.iter().skip(seen).map(show).collect()
    }

    /// Entries that were pushed out by newer ones.
    pub(crate) fn evicted(&self) -> u64 {
        self.overwritten.load(Ordering::Relaxed) + self.pushed_out.load(Ordering::Relaxed)
    }
}

impl<T> fmt::Debug for EventLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// How many entries a recorder may log: a burst as large as the log, and then as many a second.
///
/// More would only push out each other. What is beyond it is counted, not logged, and costs one reading of the clock.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// When the whole burst is available again, in nanoseconds of the recorder's clock.
    restored: std::cell::Cell<u64>,
}

impl Budget {
    const BURST_NANOS: u64 = 1_000_000_000;

    /// Takes one entry of a log of this capacity from the budget, or says that nothing is left.
    pub(crate) fn take(&self, now_nanos: u64, capacity: usize) -> bool {
        let restored = self.restored.get().max(now_nanos) + Self::BURST_NANOS / capacity as u64;
        let left = restored - now_nanos <= Self::BURST_NANOS;
        if left {
            self.restored.set(restored);
        }
        left
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_in_the_list_or_counted_as_evicted() {
        let log = EventLog::new(4);
        let listed = || log.drain().window().copied().collect::<Vec<_>>();
        (0..10).for_each(|i| log.push(i));
        assert_eq!(listed(), [6, 7, 8, 9]);
        assert_eq!(log.evicted(), 6);
        (10..13).for_each(|i| log.push(i));
        assert_eq!(listed(), [9, 10, 11, 12]);
        assert_eq!(log.evicted(), 9);
    }

    #[test]
    fn a_cursor_sees_each_entry_once_or_counts_it_whatever_is_reset() {
        let log = EventLog::new(4);
        let (mut early, mut late) = (Position::default(), Position::default());
        let after = |cursor: &mut Position| log.after(cursor, |entry| *entry);
        (0..3).for_each(|i| log.push(i));
        assert_eq!(after(&mut early), [0, 1, 2]);
        assert_eq!(after(&mut early), [0; 0]);
        log.drain().begin_window();
        assert_eq!(log.drain().window().count(), 0);
        (3..6).for_each(|i| log.push(i));
        assert_eq!(after(&mut early), [3, 4, 5]);
        assert_eq!(log.drain().window().copied().collect::<Vec<_>>(), [3, 4, 5]);
        // Those of the closed window made room, and nobody lost sight of them.
        assert_eq!(log.evicted(), 0);
        assert_eq!((after(&mut late), late.missed()), (vec![2, 3, 4, 5], 2));
        (6..16).for_each(|i| log.push(i));
        assert_eq!((after(&mut late), late.missed()), (vec![12, 13, 14, 15], 8));
        assert_eq!((after(&mut early), early.missed()), (vec![12, 13, 14, 15], 6));
        assert_eq!(log.evicted(), 9);
        log.let_go();
        assert_eq!((after(&mut early), early.missed(), log.evicted()), (vec![], 7, 10));
    }

    #[test]
    fn a_budget_gives_a_burst_as_large_as_the_log_and_then_as_many_a_second() {
        let budget = Budget::default();
        let taken = |now, tries| (0..tries).filter(|_| budget.take(now, 10)).count();
        assert_eq!(taken(0, 100), 10);
        assert_eq!(taken(99_999_999, 100), 0);
        assert_eq!(taken(300_000_000, 100), 3);
        assert_eq!(taken(10_000_000_000, 100), 10);
    }
}

#[cfg(metrics_loom)]
mod model {
    use super::*;

    /// Stands in for crossbeam's queue, whose atomics loom cannot see: linearisable, bounded, evicting. The model
    /// checks our accounting around the queue, not the queue.
    pub(super) struct ArrayQueue<T> {
        entries: Mutex<VecDeque<T>>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(super) fn new(capacity: usize) -> Self {
            Self { entries: Mutex::new(VecDeque::new()), capacity }
        }

        pub(super) fn capacity(&self) -> usize {
            self.capacity
        }

        pub(super) fn force_push(&self, value: T) -> Option<T> {
            let mut entries = lock(&self.entries);
            entries.push_back(value);
            if entries.len() > self.capacity { entries.pop_front() } else { None }
        }

        pub(super) fn pop(&self) -> Option<T> {
            lock(&self.entries).pop_front()
        }
    }

    /// Two writers and a reader that drains: each entry is listed, queued or counted as evicted, and none twice.
    ///
    /// Fails when `drain` or `push` drops an entry without counting it, and when the count is a load and a store (each
    /// tried).
    #[cfg(test)]
    #[test]
    fn draining_neither_loses_nor_doubles_an_entry() {
        use loom::sync::Arc;
        crate::sync::model(|| {
            let log = Arc::new(EventLog::<u8>::new(1));
            log.push(0);
            let writers: Vec<_> = (1..=2)
                .map(|i| {
                    let log = Arc::clone(&log);
                    loom::thread::spawn(move || log.push(i))
                })
                .collect();
            drop(log.drain());
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            let listed = log.drain().window().count() as u64;
            assert_eq!((listed, log.evicted()), (1, 2));
        });
    }
}
