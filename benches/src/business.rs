//! Metrics of the application itself: one count, one time, one distinct value.

mod facade;

use std::time::Duration;

use metrics_core::{Counter, Registry, Timer, UniqueCount};
use prometheus::IntCounter;

use crate::Event;
use crate::arms::Arm;
use crate::figures::{Comparison, OURS, Reference};
use crate::floors;
use crate::unit::Unit;
use crate::worker::{Worker, each};
use crate::workload::Routes;

/// All arms. Ours is a counter. The floor is one number that all threads share.
pub const ARMS: &[Arm] = &[
    Arm { name: OURS, workers: counter },
    Arm { name: "ours, timer", workers: timer },
    Arm { name: "ours, distinct values", workers: unique },
    Arm { name: "ours, facade's counter", workers: facade::counter },
    Arm { name: "ours, facade's counter looked up", workers: facade::counter_looked_up },
    Arm { name: "ours, facade's histogram", workers: facade::histogram },
    Arm { name: "prometheus, counter", workers: prometheus },
    Arm { name: "metrics exporter, counter", workers: facade::exporters_counter },
    Arm { name: "metrics exporter, counter looked up", workers: facade::exporters_counter_looked_up },
    Arm { name: "metrics exporter, histogram", workers: facade::exporters_histogram },
    Arm { name: "floor: shared fetch_add", workers: floors::fetch_add },
];

fn counter(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let counter = Registry::new().counter("counter").expect("the name is valid");
    each(threads, || counter.clone())
}

impl Worker for Counter {
    #[inline(always)]
    fn record(&mut self, _: Event) {
        self.increment();
    }
}

fn timer(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let timer = Registry::new().timer("timer").expect("the name is valid");
    each(threads, || timer.clone())
}

impl Worker for Timer {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        Timer::record(self, Duration::from_nanos(event.nanos));
    }
}

fn unique(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let unique = Registry::new().unique("unique").expect("the name is valid");
    each(threads, || unique.clone())
}

impl Worker for UniqueCount {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.insert(event.nanos.to_le_bytes());
    }
}

/// A clone of a counter is the same counter.
fn prometheus(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let counter = IntCounter::new("counter", "A counter.").expect("the name is valid");
    each(threads, || Shared(counter.clone()))
}

struct Shared(IntCounter);

impl Worker for Shared {
    #[inline(always)]
    fn record(&mut self, _: Event) {
        self.0.inc();
    }
}

/// Compares each arm's time with that of our counter. The design requires nothing here.
pub fn comparison() -> Comparison {
    Comparison {
        kind: "business",
        unit: Unit::NANOS,
        per: "per call on a thread",
        over_bare: false,
        reference: Some(Reference::Ours),
        requirements: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Workload, record};

    #[test]
    fn every_arm_runs_on_one_thread_and_on_two() {
        let workload = Workload::one_route().cut(100);
        let measured = record::measure(ARMS, &[(&workload, 1), (&workload, 2)], 1);
        assert_eq!(measured.len(), 2 * ARMS.len());
        assert!(measured[..ARMS.len()].iter().all(|lane| lane.median() > 0.0));
    }
}
