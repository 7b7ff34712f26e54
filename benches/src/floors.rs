//! The cost of each part of a record alone.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::Event;
use crate::in_flight::InFlight;
use crate::worker::{Worker, each};
use crate::workload::Routes;

/// Only the loop that all arms run in.
struct Empty;

pub(crate) fn empty(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    each(threads, || Empty)
}

impl Worker for Empty {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        black_box(event);
    }
}

/// The least that a metric does if all threads share it.
struct FetchAdd(Arc<AtomicU64>);

pub(crate) fn fetch_add(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let shared = Arc::new(AtomicU64::new(0));
    each(threads, || FetchAdd(Arc::clone(&shared)))
}

impl Worker for FetchAdd {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        // ORDERING: Relaxed; a count that is never read.
        self.0.fetch_add(event.nanos, Ordering::Relaxed);
    }
}

/// The least that a latency costs: the processor's time-stamp counter at the start and at the end.
struct TwoRawReads {
    clock: quanta::Clock,
    in_flight: InFlight<u64>,
}

pub(crate) fn two_raw_reads(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let clock = quanta::Clock::new();
    each(threads, || TwoRawReads { in_flight: InFlight::new(|| clock.raw()), clock: clock.clone() })
}

impl Worker for TwoRawReads {
    #[inline(always)]
    fn record(&mut self, _: Event) {
        let start = self.in_flight.replace_oldest(self.clock.raw());
        black_box(self.clock.delta_as_nanos(start, self.clock.raw()));
    }
}

/// The same with the standard library's clock.
struct TwoInstants(InFlight<Instant>);

pub(crate) fn two_instants(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    each(threads, || TwoInstants(InFlight::new(Instant::now)))
}

impl Worker for TwoInstants {
    #[inline(always)]
    fn record(&mut self, _: Event) {
        let start = self.0.replace_oldest(Instant::now());
        black_box(start.elapsed());
    }
}
