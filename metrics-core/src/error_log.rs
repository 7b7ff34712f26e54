//! The recent errors: a bounded queue that failing requests push to and readers drain.
//!
//! # Synchronization
//!
//! `queue` is crossbeam's lock-free queue: a push evicts the oldest entry when the queue is full. It spins only if a thread
//! was stopped half-way in the one slot that it needs, after all other slots were written over.
//! `recent` holds what was drained; only readers lock it. An entry is in exactly one of: the queue, the list, or the
//! count of evicted ones.

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

use crate::endpoint::{EndpointId, cut};
use crate::outcome::Outcome;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};

#[cfg(not(metrics_loom))]
use crossbeam_queue::ArrayQueue;
#[cfg(metrics_loom)]
use model::ArrayQueue;

/// The longest message that an entry keeps, in bytes; a longer one is cut at a character.
pub const MAX_MESSAGE_BYTES: usize = 256;

/// One failed request, without heap memory.
#[derive(Debug, Clone)]
pub(crate) struct ErrorEvent {
    pub(crate) time: SystemTime,
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) nanos: u64,
    pub(crate) message: Message,
}

/// A message of at most [`MAX_MESSAGE_BYTES`] bytes, stored in place.
#[derive(Clone)]
pub(crate) struct Message {
    len: u16,
    bytes: [u8; MAX_MESSAGE_BYTES],
}

impl Message {
    pub(crate) fn new(text: &str) -> Self {
        let text = cut(text, MAX_MESSAGE_BYTES);
        let mut bytes = [0; MAX_MESSAGE_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { len: text.len() as u16, bytes }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Never empty for want of UTF-8: it was cut from a `str` at a character.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// The last `capacity` errors.
pub(crate) struct ErrorLog<T = ErrorEvent> {
    queue: ArrayQueue<T>,
    evicted: AtomicU64,
    /// Oldest first.
    recent: Mutex<VecDeque<T>>,
}

impl<T> ErrorLog<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity),
            evicted: AtomicU64::new(0),
            recent: Mutex::new(VecDeque::new()),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Appends an entry. Lock-free; evicts the oldest one when nobody drained for a while.
    pub(crate) fn push(&self, event: T) {
        if self.queue.force_push(event).is_some() {
            self.count_evicted(1);
        }
    }

    /// Drains the queue into the list, and shows the list, oldest first.
    pub(crate) fn drain(&self) -> MutexGuard<'_, VecDeque<T>> {
        let mut recent = lock(&self.recent);
        // Bounded, so that a storm of errors cannot keep the reader here.
        for _ in 0..self.capacity() {
            let Some(event) = self.queue.pop() else { break };
            if recent.len() == self.capacity() {
                recent.pop_front();
                self.count_evicted(1);
            }
            recent.push_back(event);
        }
        recent
    }

    /// Entries that were pushed out by newer ones.
    pub(crate) fn evicted(&self) -> u64 {
        // ORDERING: Relaxed; a figure by itself.
        self.evicted.load(Ordering::Relaxed)
    }

    fn count_evicted(&self, entries: u64) {
        // ORDERING: Relaxed; a figure by itself.
        self.evicted.fetch_add(entries, Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for ErrorLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorLog").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// How many errors a recorder may log: a burst as large as the log, and then as many a second.
///
/// More would only push out each other. Errors beyond it are counted, not logged, and cost one reading of the clock.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Nanoseconds that one entry costs.
    cost: u64,
    /// When the whole burst is available again, in nanoseconds of the recorder's clock.
    restored: std::cell::Cell<u64>,
}

impl Budget {
    const BURST_NANOS: u64 = 1_000_000_000;

    pub(crate) fn new(capacity: usize) -> Self {
        Self { cost: Self::BURST_NANOS / capacity as u64, restored: std::cell::Cell::new(0) }
    }

    /// Takes one entry from the budget, or says that nothing is left.
    pub(crate) fn take(&self, now_nanos: u64) -> bool {
        let restored = self.restored.get().max(now_nanos) + self.cost;
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
        let log = ErrorLog::new(4);
        (0..10).for_each(|i| log.push(i));
        assert_eq!(*log.drain(), [6, 7, 8, 9]);
        assert_eq!(log.evicted(), 6);
        (10..13).for_each(|i| log.push(i));
        assert_eq!(*log.drain(), [9, 10, 11, 12]);
        assert_eq!(log.evicted(), 9);
    }

    #[test]
    fn a_message_is_cut_at_a_character() {
        assert_eq!(Message::new("boom").as_str(), "boom");
        let long = format!("{}é", "x".repeat(MAX_MESSAGE_BYTES - 1));
        assert_eq!(Message::new(&long).as_str(), &long[..MAX_MESSAGE_BYTES - 1]);
    }

    #[test]
    fn a_budget_gives_a_burst_as_large_as_the_log_and_then_as_many_a_second() {
        let budget = Budget::new(10);
        let taken = |now, tries| (0..tries).filter(|_| budget.take(now)).count();
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
            let log = Arc::new(ErrorLog::<u8>::new(1));
            log.push(0);
            let writers: Vec<_> = (1..=2)
                .map(|i| {
                    let log = Arc::clone(&log);
                    loom::thread::spawn(move || log.push(i))
                })
                .collect();
            drop(log.drain());
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            let listed = log.drain().len() as u64;
            assert_eq!((listed, log.evicted()), (1, 2));
        });
    }
}
