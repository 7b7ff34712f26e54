//! The latest events of a kind, such as errors: a bounded queue that writers push to and readers drain.
//!
//! # Synchronization
//!
//! `queue` is crossbeam's lock-free queue: a push evicts the oldest entry when the queue is full. It spins only if the
//! scheduler stopped another thread in the middle of the very slot that it needs, after all other slots were
//! overwritten. The first push creates the queue; a concurrent push waits for as long as it takes to move a few words.
//! `recent` holds the drained entries; only readers lock it. Each entry is in the queue, in the list, in a count of
//! evicted entries, or was shown in the window that a reset closed: in exactly one of these.

use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};

#[cfg(not(metrics_loom))]
use crossbeam_queue::ArrayQueue;
#[cfg(metrics_loom)]
use model::ArrayQueue;

/// The latest `capacity` entries.
pub(crate) struct EventLog<T> {
    capacity: usize,
    /// Created by the first push, since creating it writes to each slot: most services have few errors.
    queue: OnceLock<ArrayQueue<T>>,
    nanos_an_entry: u64,
    /// Entries that newer ones evicted from the queue before a reader drained it, or that were never pushed.
    overwritten: AtomicU64,
    /// Entries of the current window that newer ones evicted from the list.
    pushed_out: AtomicU64,
    recent: Mutex<Recent<T>>,
}

/// The drained entries, oldest first, numbered in the order in which they were drained.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    entries: VecDeque<T>,
    /// The number of the first entry.
    first: u64,
    /// The number of the first entry since the last reset. Earlier ones are kept for readers with a cursor.
    window: u64,
}

/// How far a reader has read a log. The default is the position before the first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// The number of the next entry.
    next: u64,
    /// Entries that never got a number and are included in `missed`.
    overwritten: u64,
    missed: u64,
}

impl Position {
    /// Entries since the start that were evicted before the reader got to them.
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

    /// Begins an empty window.
    pub(crate) fn begin_window(&mut self) {
        self.window = self.end();
    }

    /// The number of the next entry.
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Adds an entry. Returns whether that evicted an entry of the current window.
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
            capacity,
            queue: OnceLock::new(),
            nanos_an_entry: Budget::nanos_an_entry(capacity),
            overwritten: AtomicU64::new(0),
            pushed_out: AtomicU64::new(0),
            recent: Mutex::new(Recent { entries: VecDeque::new(), first: 0, window: 0 }),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// What [`Budget::take`] needs to know of the log.
    pub(crate) fn nanos_an_entry(&self) -> u64 {
        self.nanos_an_entry
    }

    /// Appends an entry. Lock-free; evicts the oldest entry when the queue is full.
    pub(crate) fn push(&self, event: T) {
        let queue = self.queue.get().unwrap_or_else(|| self.create_queue());
        if queue.force_push(event).is_some() {
            // ORDERING: Relaxed, here and below; the counts order nothing else.
            self.overwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Creates the queue before it is handed over, so that other threads that push meanwhile do not wait for an
    /// allocation. Of two that create one, the second is dropped.
    #[cold]
    fn create_queue(&self) -> &ArrayQueue<T> {
        let created = ArrayQueue::new(self.capacity);
        self.queue.get_or_init(|| created)
    }

    /// Counts an entry as evicted without pushing it.
    pub(crate) fn count_unpushed(&self) {
        self.overwritten.fetch_add(1, Ordering::Relaxed);
    }

    /// Moves the entries of the queue to the list, and returns the list.
    pub(crate) fn drain(&self) -> MutexGuard<'_, Recent<T>> {
        let mut recent = lock(&self.recent);
        // Bounded, so that a storm of entries cannot delay the reader.
        for _ in 0..self.capacity() {
            let Some(event) = self.queue.get().and_then(ArrayQueue::pop) else { break };
            if recent.push(event, self.capacity()) {
                self.pushed_out.fetch_add(1, Ordering::Relaxed);
            }
        }
        recent
    }

    /// Drains the queue. Returns the entries after the cursor, oldest first, and moves the cursor to the end.
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

    /// Entries that newer ones evicted, and those that were never pushed.
    pub(crate) fn evicted(&self) -> u64 {
        self.overwritten.load(Ordering::Relaxed) + self.pushed_out.load(Ordering::Relaxed)
    }
}

impl<T> fmt::Debug for EventLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// Limits how many entries a recorder logs: a burst of the log's capacity, and then that number per second.
///
/// More would only evict each other. Entries beyond the limit are counted but not logged, and cost one reading of the
/// clock.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// When the whole burst will be available again, in nanoseconds of the recorder's clock.
    restored: std::cell::Cell<u64>,
}

impl Budget {
    const BURST_NANOS: u64 = 1_000_000_000;

    /// How long an entry takes from the budget of a log of this capacity. Computed ahead: a division takes longer than
    /// all the rest.
    pub(crate) const fn nanos_an_entry(capacity: usize) -> u64 {
        Self::BURST_NANOS / capacity as u64
    }

    /// Takes one entry from the budget. Returns false if the budget is spent.
    pub(crate) fn take(&self, now_nanos: u64, nanos_an_entry: u64) -> bool {
        let restored = self.restored.get().max(now_nanos) + nanos_an_entry;
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
    fn a_log_without_entries_has_no_queue() {
        let log = EventLog::new(4);
        assert_eq!(log.drain().window().count(), 0);
        log.count_unpushed();
        assert!(log.queue.get().is_none());
        log.push(1);
        assert_eq!((log.capacity(), log.queue.get().map(ArrayQueue::capacity)), (4, Some(4)));
    }

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
    fn a_cursor_sees_or_counts_each_entry_once_across_resets() {
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
        // The entries of the closed window made room. They had been shown, so they do not count as evicted.
        assert_eq!(log.evicted(), 0);
        assert_eq!((after(&mut late), late.missed()), (vec![2, 3, 4, 5], 2));
        (6..16).for_each(|i| log.push(i));
        assert_eq!((after(&mut late), late.missed()), (vec![12, 13, 14, 15], 8));
        assert_eq!((after(&mut early), early.missed()), (vec![12, 13, 14, 15], 6));
        assert_eq!(log.evicted(), 9);
        log.count_unpushed();
        assert_eq!((after(&mut early), early.missed(), log.evicted()), (vec![], 7, 10));
    }

    #[test]
    fn a_budget_allows_a_burst_of_the_logs_capacity_and_then_that_number_per_second() {
        let budget = Budget::default();
        let taken = |now, tries| (0..tries).filter(|_| budget.take(now, Budget::nanos_an_entry(10))).count();
        assert_eq!(taken(0, 100), 10);
        assert_eq!(taken(99_999_999, 100), 0);
        assert_eq!(taken(300_000_000, 100), 3);
        assert_eq!(taken(10_000_000_000, 100), 10);
    }
}

#[cfg(metrics_loom)]
mod model {
    use super::*;

    /// Replaces crossbeam's queue, whose atomics loom cannot see: linearisable, bounded, evicting. The model checks our
    /// accounting around the queue, not the queue.
    pub(super) struct ArrayQueue<T> {
        entries: Mutex<VecDeque<T>>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(super) fn new(capacity: usize) -> Self {
            Self { entries: Mutex::new(VecDeque::new()), capacity }
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
    fn draining_neither_loses_nor_duplicates_an_entry() {
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
