//! One writer's figures for each consumer.
//!
//! # Synchronization
//!
//! A shard has one [`ConsumerCell`] for each consumer that its writer saw, written by that writer and read by any
//! thread, under a sequence lock as in `cell`: `begun` is incremented first, `calls` last. All figures except
//! `last_seen` only grow.

use crate::labels::consumer::{Consumer, Consumers};
use crate::record::cell::MAX_EXACT_NANOS;
use crate::record::published::Published;
use crate::sync::{AtomicU64, Ordering, add, begin, end, fence};

/// How often a reading that its writer disturbed is repeated before the last result is used.
const ATTEMPTS: usize = 64;

/// One writer's figures for all consumers.
#[derive(Debug)]
pub(crate) struct ConsumerCells {
    key: u64,
    rows: usize,
    /// Allocated when the writer first counts for a consumer: most services have no consumers.
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

/// The figures of a [`ConsumerCell`], or the sum of several.
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
        Self { key: consumers.key(), rows: consumers.rows(), cells: Published::empty() }
    }

    /// Counts one request. Called by the shard's one writer.
    #[inline]
    pub(crate) fn record(&self, consumer: Consumer, error: bool, nanos: u64, now: u64) {
        let cells =
            self.cells.get().unwrap_or_else(|| self.cells.publish(Box::new(Published::table(self.rows))));
        let slot = &cells[consumer.row(self.key, self.rows)];
        let cell = slot.get().unwrap_or_else(|| slot.publish(Box::default()));
        cell.record(error, nanos, now);
    }

    /// The memory of the cells and their table, in bytes.
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

    /// Returns the figures of one moment. If the writer never pauses for long enough, each figure is right for some
    /// moment of the reading, and the rest falls into the next window.
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

    /// Reads the figures. Returns whether they are of one moment.
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
    use crate::labels::consumer::Voucher;

    fn read(consumers: &Consumers, cells: &ConsumerCells) -> Vec<(String, ConsumerFigures)> {
        let names = consumers.names();
        let mut sums = vec![ConsumerFigures::default(); names.len()];
        cells.add_to(&mut sums);
        let named = names.iter().map(|name| name.to_string()).zip(sums);
        named.filter(|(_, figures)| figures.calls > 0).collect()
    }

    #[test]
    fn consumers_that_do_not_fit_share_one_row_and_are_counted_as_refused() {
        let consumers = Consumers::new(2, 1 << 32);
        let cells = ConsumerCells::new(&consumers);
        for (i, name) in ["a", "b", "c", "d", "a", "_rejected"].into_iter().enumerate() {
            cells.record(consumers.intern(name, Voucher::Request), i == 4, 10, i as u64);
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
        cells.record(theirs.intern("a", Voucher::Request), false, 1, 1);
        assert_eq!(read(&ours, &cells)[0].0, "_other");
    }

    #[test]
    fn figures_are_of_one_moment_unless_a_call_is_being_counted() {
        let (cell, mut figures) = (ConsumerCell::default(), ConsumerFigures::default());
        cell.record(true, 10, 1);
        assert!(cell.read_once(&mut figures));
        assert_eq!((figures.calls, figures.errors, figures.nanos, figures.last_seen), (1, 1, 10, 1));
        begin(&cell.begun);
        assert!(!cell.read_once(&mut figures));
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
    /// Fails when either fence in `read_once` is removed, or the one in `sync::begin`, and when the store in
    /// `sync::end` is Relaxed (each tried).
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
