//! Consumers: on whose behalf requests are made, such as the owner of an API key.
//!
//! # Synchronization
//!
//! A shard has one [`ConsumerCell`] for each consumer that its writer saw, written by that writer and read by anybody,
//! under a sequence lock as in `cell`: `begun` is stepped first, `calls` last. All figures only grow but `last_seen`.

use std::num::NonZeroU64;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::labels::endpoint::{MAX_NAME_BYTES, cut};
use crate::record::cell::MAX_EXACT_NANOS;
use crate::record::published::Published;
use crate::sync::{AtomicU64, Ordering, add, begin, end, fence};

/// Readings of a cell that its writer disturbed before the next one is taken as it is.
const ATTEMPTS: usize = 64;

/// Whom a request is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consumer {
    /// A consumer that the registry knows by name: see [`Registry::consumer`](crate::Registry::consumer).
    Known(ConsumerId),
    /// Nobody said on whose behalf; exported as `_anonymous`.
    Anonymous,
    /// It was refused (401, 403), so whatever it said of itself does not count; exported as `_rejected`.
    Rejected,
    /// It got no response, so nobody knows whether it would have been refused; exported as `_unanswered`.
    Unanswered,
    /// There were already as many as fit, or nobody vouches for it yet; exported as `_other`.
    Other,
}

/// An interned consumer of one registry. 8 bytes, `Copy`. With another registry it counts as [`Consumer::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerId(
    /// The registry's key, and below it the row.
    NonZeroU64,
);

/// The consumers that every registry has, in the order of their rows.
const RESERVED: [(Consumer, &str); 4] = [
    (Consumer::Anonymous, "_anonymous"),
    (Consumer::Rejected, "_rejected"),
    (Consumer::Unanswered, "_unanswered"),
    (Consumer::Other, "_other"),
];

/// All consumers of a registry, by name.
#[derive(Debug)]
pub(crate) struct Consumers {
    /// The registry's: see [`Endpoints::key`](crate::labels::endpoint::Endpoints::key).
    key: u64,
    max: usize,
    ids: DashMap<Arc<str>, ConsumerId, foldhash::fast::RandomState>,
    /// In the order of their rows, without the reserved ones.
    names: RwLock<Vec<Arc<str>>>,
    reserved: Vec<Arc<str>>,
    /// Of `names`, for a look without the lock.
    len: AtomicUsize,
    refused: std::sync::atomic::AtomicU64,
}

impl Consumers {
    pub(crate) fn new(max: usize, key: u64) -> Self {
        Self {
            key,
            max,
            ids: DashMap::default(),
            names: RwLock::default(),
            reserved: RESERVED.iter().map(|&(_, name)| name.into()).collect(),
            len: AtomicUsize::new(0),
            refused: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The consumer of a name, if it is known.
    pub(crate) fn get(&self, name: &str) -> Option<Consumer> {
        let name = cut(name, MAX_NAME_BYTES);
        let reserved =
            RESERVED.iter().find(|&&(_, reserved)| reserved == name).map(|&(consumer, _)| consumer);
        reserved.or_else(|| self.ids.get(name).map(|id| Consumer::Known(*id)))
    }

    /// Interns a name. When there are as many as fit, every new one is [`Consumer::Other`], and counted as refused.
    pub(crate) fn intern(&self, name: &str) -> Consumer {
        if let Some(known) = self.get(name) {
            return known;
        }
        // So that strangers' names at a full table cost no lock.
        if self.len() >= self.max {
            return self.refuse();
        }
        match self.ids.entry(cut(name, MAX_NAME_BYTES).into()) {
            Entry::Occupied(known) => Consumer::Known(*known.get()),
            Entry::Vacant(vacant) => {
                let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
                if names.len() >= self.max {
                    return self.refuse();
                }
                let row = (RESERVED.len() + names.len()) as u64;
                names.push(Arc::clone(vacant.key()));
                // ORDERING: Relaxed, as the load; whoever sees too few looks again under the lock.
                self.len.store(names.len(), Ordering::Relaxed);
                let id = ConsumerId(NonZeroU64::new(self.key | row).expect("a key is not 0"));
                vacant.insert(id);
                Consumer::Known(id)
            }
        }
    }

    /// All names, in the order of their rows.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        self.reserved.iter().chain(&*names).map(Arc::clone).collect()
    }

    /// Consumers that are known by name.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn refuse(&self) -> Consumer {
        // ORDERING: Relaxed; a figure by itself.
        self.refused.fetch_add(1, Ordering::Relaxed);
        Consumer::Other
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Times a consumer was asked for that did not fit.
    pub(crate) fn refused(&self) -> u64 {
        // ORDERING: Relaxed; a figure by itself.
        self.refused.load(Ordering::Relaxed)
    }

    fn rows(&self) -> usize {
        RESERVED.len() + self.max
    }
}

/// One writer's figures for all consumers.
#[derive(Debug)]
pub(crate) struct ConsumerCells {
    key: u64,
    rows: usize,
    /// Allocated when the writer first counts for a consumer: most services have none.
    cells: Published<Box<[Published<ConsumerCell>]>>,
}

/// One writer's figures for one consumer. Aligned so that no two writers share a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct ConsumerCell {
    begun: AtomicU64,
    errors: AtomicU64,
    nanos: AtomicU64,
    last_seen: AtomicU64,
    calls: AtomicU64,
}

/// What a [`ConsumerCell`] holds, or the sum of some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ConsumerFigures {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) nanos: u64,
    /// In nanoseconds since the registry was made.
    pub(crate) last_seen: u64,
}

impl ConsumerCells {
    pub(crate) fn new(consumers: &Consumers) -> Self {
        Self { key: consumers.key, rows: consumers.rows(), cells: Published::empty() }
    }

    /// Counts one request. Called by the shard's one writer.
    #[inline]
    pub(crate) fn record(&self, consumer: Consumer, error: bool, nanos: u64, now: u64) {
        let cells =
            self.cells.get().unwrap_or_else(|| self.cells.publish(Box::new(Published::table(self.rows))));
        let slot = &cells[self.row(consumer)];
        let cell = slot.get().unwrap_or_else(|| slot.publish(Box::default()));
        cell.record(error, nanos, now);
    }

    fn row(&self, consumer: Consumer) -> usize {
        match consumer {
            Consumer::Anonymous => 0,
            Consumer::Rejected => 1,
            Consumer::Unanswered => 2,
            Consumer::Other => 3,
            Consumer::Known(ConsumerId(bits)) => {
                let row = usize::try_from(bits.get() ^ self.key).unwrap_or(usize::MAX);
                if row < self.rows { row } else { 3 }
            }
        }
    }

    /// What the cells take, in bytes, with their table.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Some(cells) = self.cells.get() else { return 0 };
        let seen = cells.iter().filter(|cell| cell.get().is_some()).count();
        cells.len() * size_of::<Published<ConsumerCell>>() + seen * size_of::<ConsumerCell>()
    }

    /// Adds the figures of each consumer to those in its row.
    pub(crate) fn add_to(&self, sums: &mut [ConsumerFigures]) {
        let Some(cells) = self.cells.get() else { return };
        for (sum, slot) in sums.iter_mut().zip(cells) {
            let Some(figures) = slot.get().map(ConsumerCell::read) else { continue };
            sum.calls = sum.calls.wrapping_add(figures.calls);
            sum.errors = sum.errors.wrapping_add(figures.errors);
            sum.nanos = sum.nanos.wrapping_add(figures.nanos);
            sum.last_seen = sum.last_seen.max(figures.last_seen);
        }
    }
}

impl ConsumerCell {
    #[inline]
    fn record(&self, error: bool, nanos: u64, now: u64) {
        begin(&self.begun);
        add(&self.errors, u64::from(error));
        add(&self.nanos, nanos.min(MAX_EXACT_NANOS));
        // ORDERING: Relaxed; `begun` and `calls` order it.
        self.last_seen.store(now, Ordering::Relaxed);
        end(&self.calls);
    }

    /// The figures of one moment; when a writer never leaves time for that, each is right for some moment of the reading,
    /// and what is missing falls into the next window.
    fn read(&self) -> ConsumerFigures {
        let mut figures = ConsumerFigures::default();
        for _ in 0..ATTEMPTS {
            if self.read_once(&mut figures) {
                break;
            }
            std::hint::spin_loop();
        }
        figures
    }

    /// Whether the figures are of one moment.
    fn read_once(&self, figures: &mut ConsumerFigures) -> bool {
        figures.calls = self.calls.load(Ordering::Relaxed);
        // ORDERING: Acquire fences; see `sync::begin`.
        fence(Ordering::Acquire);
        figures.errors = self.errors.load(Ordering::Relaxed);
        figures.nanos = self.nanos.load(Ordering::Relaxed);
        figures.last_seen = self.last_seen.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed) == figures.calls
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    fn read(consumers: &Consumers, cells: &ConsumerCells) -> Vec<(String, ConsumerFigures)> {
        let names = consumers.names();
        let mut sums = vec![ConsumerFigures::default(); names.len()];
        cells.add_to(&mut sums);
        let named = names.iter().map(|name| name.to_string()).zip(sums);
        named.filter(|(_, figures)| figures.calls > 0).collect()
    }

    #[test]
    fn consumers_that_do_not_fit_share_one_row_and_are_counted() {
        let consumers = Consumers::new(2, 1 << 32);
        let cells = ConsumerCells::new(&consumers);
        for (i, name) in ["a", "b", "c", "d", "a", "_rejected"].into_iter().enumerate() {
            cells.record(consumers.intern(name), i == 4, 10, i as u64);
        }
        let figures =
            |calls, errors, last_seen| ConsumerFigures { calls, errors, nanos: 10 * calls, last_seen };
        let expected = [
            ("_rejected", figures(1, 0, 5)),
            ("_other", figures(2, 0, 3)),
            ("a", figures(2, 1, 4)),
            ("b", figures(1, 0, 1)),
        ];
        assert_eq!(read(&consumers, &cells), expected.map(|(name, figures)| (name.to_owned(), figures)));
        assert_eq!((consumers.len(), consumers.refused()), (2, 2));
    }

    #[test]
    fn another_registrys_consumer_counts_as_other() {
        let (ours, theirs) = (Consumers::new(2, 1 << 32), Consumers::new(9, 2 << 32));
        let cells = ConsumerCells::new(&ours);
        cells.record(theirs.intern("a"), false, 1, 1);
        assert_eq!(read(&ours, &cells)[0].0, "_other");
    }

    #[test]
    fn every_reserved_consumer_has_the_row_of_its_name() {
        let consumers = Consumers::new(0, 1 << 32);
        for (row, (consumer, name)) in RESERVED.into_iter().enumerate() {
            assert_eq!(ConsumerCells::new(&consumers).row(consumer), row);
            assert_eq!(&*consumers.names()[row], name);
        }
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use crate::sync::model;
    use loom::sync::Arc;
    use loom::thread;

    /// Figures of one moment are those of the same calls.
    ///
    /// Fails when either fence in `read_once` is removed, or the one in `sync::begin`, and when the store in `sync::end` is
    /// Relaxed (each tried).
    #[test]
    fn the_figures_of_a_consumer_are_of_the_same_calls() {
        model(|| {
            let cell = Arc::new(ConsumerCell::default());
            let writer = thread::spawn({
                let cell = Arc::clone(&cell);
                move || {
                    cell.record(true, 1, 10);
                    cell.record(false, 2, 20);
                }
            });
            let mut figures = ConsumerFigures::default();
            if cell.read_once(&mut figures) {
                let ConsumerFigures { calls, errors, nanos, last_seen } = figures;
                assert_eq!((errors, nanos, last_seen), (calls.min(1), calls * (calls + 1) / 2, 10 * calls));
            }
            writer.join().unwrap();
        });
    }
}
